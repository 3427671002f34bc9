"""What runs: services, their roles and numbers, and the notebook."""
