"""What serving remembers: predictions, and people's feedback on them."""
