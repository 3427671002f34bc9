"""The infrastructure: one topology, and what makes Docker, Compose and AWS out of it."""
