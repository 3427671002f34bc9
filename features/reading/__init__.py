"""Untrusted bytes to grey pixels, or a named error."""
