"""The web application: a verified model behind an API and a page, on Ray Serve."""
