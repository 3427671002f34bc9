"""What every job runs in: the command line, the cluster, progress, submission."""
