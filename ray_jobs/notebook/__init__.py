"""What the notebook shows and asks beside the jobs: its profile, its tables and charts, and the live webapp."""
