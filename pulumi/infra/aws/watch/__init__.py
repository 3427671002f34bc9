"""What tells people that something is wrong or dear."""
