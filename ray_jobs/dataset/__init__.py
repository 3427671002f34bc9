"""The labelled pictures: where they come from, what the manifest says of them, and how patients are split."""
