"""What people do with an account: look at what it lacks and what is left in it, and ask what runs there."""
