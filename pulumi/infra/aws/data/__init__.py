"""What holds data: buckets, database, secrets, keys, image repositories."""
