"""A version: its files, what they hold, and where they are kept."""
