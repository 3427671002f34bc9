"""The topology on AWS: one concern a module, each a thin layer of resources over plain data."""
