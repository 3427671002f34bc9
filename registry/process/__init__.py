"""What every process of ours needs: log, threads, traces, and whether others answer."""
