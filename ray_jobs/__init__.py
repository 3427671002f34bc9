"""The jobs, a module each, that `ray job submit -- python -m ray_jobs.NAME` runs, and the functions under them."""
