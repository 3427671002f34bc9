"""Image bytes to checked pixels to an ordered feature vector; pure: no Ray, no MLflow, no network."""
