"""The topology in containers of one machine."""
