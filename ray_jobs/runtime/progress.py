"""How a job tells the person who watches what it has done."""

import sys

from tqdm import tqdm


def write_line(text: str) -> None:
    """Write a line to standard error, where bars and logs go too, so that all of them come in their order."""
    tqdm.write(text, file=sys.stderr)
