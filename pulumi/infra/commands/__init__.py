"""What `make` does with a stack, on any platform, beside Pulumi itself."""
