"""How large an image may be, checked against its header before any pixel is allocated."""

from dataclasses import dataclass

from features.reading.errors import ImageTooLarge, UndecodableImage


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on one image; the defaults hold a 5,000 × 5,000 radiograph, larger than any detector of today."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 25_000_000
    min_side: int = 32

    def check_bytes(self, count: int) -> None:
        """Raise `ImageTooLarge` for a file of more than ``max_bytes``."""
        if count > self.max_bytes:
            raise ImageTooLarge(f"the file has {count:,} bytes, the limit is {self.max_bytes:,}; send a smaller image")

    def check_size(self, width: int, height: int) -> None:
        """Raise `ImageTooLarge` above ``max_pixels``, `UndecodableImage` under ``min_side``."""
        if width * height > self.max_pixels:
            raise ImageTooLarge(
                f"the header announces {width:,} × {height:,} pixels, the limit is {self.max_pixels:,} in all; "
                "scale the image down"
            )
        if min(width, height) < self.min_side:
            raise UndecodableImage(
                f"the image has {width} × {height} pixels, the least is {self.min_side} a side; "
                "send the radiograph itself, not a thumbnail"
            )
