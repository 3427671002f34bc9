"""Servers that are not installed with the project, each with one worker over the model that the others have too."""
