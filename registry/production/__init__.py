"""Which version is in Production, who changed it, and what is tried before."""
