"""Describes pictures as often as it is asked: one side of `benchmarks.before.features`, in a process of its own.

``python -P describing.py PICTURES FEATURES``, with the code of the side in PYTHONPATH, which is why nothing else of the
project is imported here. It writes the features of the pictures in a folder, (N, D), and prints CODE_VERSION. Then it
answers each line with the milliseconds of one core that a picture takes.
"""

import sys
import time
from pathlib import Path

import cv2
import numpy as np

from features.extract import extract
from features.spec import CODE_VERSION


def main() -> None:
    """Until there is no further line."""
    cv2.setNumThreads(1)
    pictures = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    np.save(sys.argv[2], np.stack([extract(picture) for picture in pictures]))
    print(CODE_VERSION, flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        for picture in pictures:
            extract(picture)
        print(1000 * (time.process_time() - start) / len(pictures), flush=True)


if __name__ == "__main__":
    main()
