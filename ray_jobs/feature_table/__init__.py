"""From a data address to a table of features: the cache, the work on Ray, the preparation."""
