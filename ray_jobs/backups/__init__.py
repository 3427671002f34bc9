"""Copies of everything that a system keeps, and the way back from them."""
