"""What a training leaves in MLflow, and how its version is judged."""
