"""The descriptors, a family a module: array in, vector out."""
