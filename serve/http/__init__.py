"""What every request meets on its way in and out: identity, keys, limits, uploads, problems."""
