"""DICOM files put together byte by byte, so that any element can be empty, of a wrong type or of a wrong length."""

import struct
from collections.abc import Mapping

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

FOUR_BYTE_LENGTH = ("OB", "OD", "OF", "OL", "OW", "SQ", "UC", "UN", "UR", "UT")
Elements = Mapping[str, tuple[str, bytes]]


def numbers(vr: str, *values: float, order: str = "<") -> tuple[str, bytes]:
    """A value of one of the binary representations."""
    code = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FD": "d", "FL": "f"}[vr]
    return vr, struct.pack(f"{order}{len(values)}{code}", *values)


def text(vr: str, value: str) -> tuple[str, bytes]:
    """A value of one of the textual representations, padded to an even length."""
    encoded = value.encode("latin-1")
    return vr, encoded + b" " * (len(encoded) % 2)


def element(tag: int, vr: str, value: bytes, *, order: str = "<", implicit: bool = False) -> bytes:
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(f"{order}I", len(value)) + value
    if vr in FOUR_BYTE_LENGTH:
        return head + vr.encode() + struct.pack(f"{order}HI", 0, len(value)) + value
    return head + vr.encode() + struct.pack(f"{order}H", len(value)) + value


def data_set(elements: Elements, *, order: str = "<", implicit: bool = False) -> bytes:
    """Elements by keyword or by hexadecimal tag, in the order of their tags."""
    tags = {tag_for_keyword(name) or int(name, 16): value for name, value in elements.items()}
    return b"".join(element(tag, *tags[tag], order=order, implicit=implicit) for tag in sorted(tags))


def table(first: int, entries: np.ndarray, *, bits: int = 16, vr: str = "US", count: int | None = None) -> bytes:
    """A sequence of one item that holds a look-up table, in explicit little endian."""
    descriptor = struct.pack("<HHH", (len(entries) if count is None else count) % 65536, first % 65536, bits)
    item = data_set({"LUTDescriptor": (vr, descriptor), "LUTData": ("OW", entries.tobytes())})
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item


def image(pixels: np.ndarray, **elements: tuple[str, bytes] | None) -> dict[str, tuple[str, bytes]]:
    """The elements of one grey frame; ``elements`` add to them, replace them, or, with None, remove them."""
    bits = pixels.dtype.itemsize * 8
    made: dict[str, tuple[str, bytes] | None] = {
        "SamplesPerPixel": numbers("US", 1),
        "PhotometricInterpretation": text("CS", "MONOCHROME2"),
        "Rows": numbers("US", pixels.shape[0]),
        "Columns": numbers("US", pixels.shape[1]),
        "BitsAllocated": numbers("US", bits),
        "BitsStored": numbers("US", bits),
        "HighBit": numbers("US", bits - 1),
        "PixelRepresentation": numbers("US", int(pixels.dtype.kind == "i")),
        "PixelData": ("OW", pixels.tobytes()),
        **elements,
    }
    return {name: value for name, value in made.items() if value is not None}


def file_of(
    elements: Elements, *, syntax: str | None = ExplicitVRLittleEndian, preamble: bool = True, meta: bool = True
) -> bytes:
    """The file; ``syntax`` None leaves the transfer syntax out of its header, which is explicit little endian then."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    body = data_set(elements, order=order, implicit=syntax == ImplicitVRLittleEndian)
    header = {"MediaStorageSOPInstanceUID": ("UI", b"1.2.3\x00")}
    if syntax:
        header["TransferSyntaxUID"] = ("UI", syntax.encode() + b"\x00" * (len(syntax) % 2))
    start = bytes(128) + b"DICM" if preamble else b""
    return start + (data_set(header) if meta else b"") + body


def made(pixels: np.ndarray, **elements: tuple[str, bytes] | None) -> bytes:
    """`file_of` an `image`."""
    return file_of(image(pixels, **elements))
