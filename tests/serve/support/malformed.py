"""A thousand uploads that no decoder should like, the same ones every time."""

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header announces a size, with almost no pixels to fill it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def malformed(sound: list[bytes], count: int, seed: int = 0) -> Iterator[tuple[bytes, str]]:
    """Bodies with their media types: cut, mutated, random, of a wrong type, bombs, empty."""
    random = np.random.default_rng(seed)
    png = cv2.imencode(".png", random.integers(0, 255, (96, 96), dtype=np.uint8))[1].tobytes()
    magics = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(128) + b"DICM", b"GIF89a", b"RIFF", b"II*\0", b"%PDF-1.7")
    for index in range(count):
        base = png if index % 3 == 0 else sound[index % len(sound)]
        kind = index % 7
        if kind == 0:
            body = base[: int(random.integers(1, len(base)))]
        elif kind == 1:
            mutated = np.frombuffer(base, np.uint8).copy()
            places = random.integers(0, len(mutated), 20)
            mutated[places] = random.integers(0, 256, 20)
            body = mutated.tobytes()
        elif kind == 2:
            body = random.bytes(int(random.integers(1, 20_000)))
        elif kind == 3:
            body = magics[index % len(magics)] + random.bytes(2_000)
        elif kind == 4:
            body = png_of(30_000, 30_000)
        elif kind == 5:
            body = b"" if index % 2 else b"<html>not a picture</html>"
        else:
            body = base + random.bytes(100)
        yield (
            body,
            ("image/jpeg", "image/png", "application/dicom", "application/octet-stream", "text/plain")[index % 5],
        )
