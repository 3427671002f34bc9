"""A DICOM file to displayable grey pixels: header checks, photometric interpretation, rescale and window.

Of a multi-frame file nothing is guessed: it is refused. Standard: DICOM PS3.3 C.7.6.3 (pixels), C.11 (look-up).
"""

import io
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_partial
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from features.reading import jpeg
from features.reading.errors import UndecodableImage, UnsupportedImage
from features.reading.limits import Limits

MAGIC = b"DICM"
MAGIC_AT = 128
# Not among them: deflated and run-length coding, which expand without bound, and codecs that OpenCV does not carry.
TRANSFER_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
)
PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2")
_MOST_ELEMENTS = 20_000
_WANTED = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PixelData",
)


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """uint16 array (rows, columns), white high, over the whole range of what the window shows.

    Raises any `ImageError`; also whatever pydicom raises on malformed elements, which the caller names.
    """
    _check_transfer_syntax(data)
    dataset = read_partial(io.BytesIO(data), stop_when=_counter(), specific_tags=[Tag(name) for name in _WANTED])
    _check_header(dataset, limits)
    with np.errstate(all="ignore"):  # what overflows is found below
        shown = apply_voi_lut(apply_modality_lut(_stored(dataset, limits), dataset), dataset, index=0)
    shown = np.asarray(shown, dtype=np.float64)
    low, high = float(shown.min()), float(shown.max())
    if not (np.isfinite(low) and np.isfinite(high) and np.isfinite(high - low)):
        raise UndecodableImage("the DICOM's rescale or window gives values that are not finite; export it again")
    # Scaling by a span so small that its reciprocal overflows would bring the infinities back.
    scaled = (shown - low) / (high - low) if high - low > 1e-30 else np.zeros_like(shown)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        scaled = 1.0 - scaled
    return np.rint(scaled * 65535.0).astype(np.uint16)


def _check_transfer_syntax(data: bytes) -> None:
    buffer = io.BytesIO(data)
    buffer.seek(MAGIC_AT + len(MAGIC))
    meta = read_dataset(buffer, False, True, stop_when=lambda tag, *_: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if syntax is None:
        raise UndecodableImage("the DICOM's file header names no transfer syntax; export the file again")
    if syntax not in TRANSFER_SYNTAXES:
        raise UnsupportedImage(
            f"the DICOM transfer syntax {str(syntax)[:64]} is not taken; export the image uncompressed "
            f"(Explicit VR Little Endian, {ExplicitVRLittleEndian})"
        )


def _counter() -> Any:
    """A bound on how many elements are read: a file of nothing but tiny ones would take minutes."""
    seen = 0

    def stop(*_: object) -> bool:
        nonlocal seen
        seen += 1
        if seen > _MOST_ELEMENTS:
            raise UndecodableImage(f"the DICOM has more than {_MOST_ELEMENTS:,} elements; export the image by itself")
        return False

    return stop


def _check_header(dataset: FileDataset, limits: Limits) -> None:
    if "PixelData" not in dataset:
        raise UnsupportedImage("the DICOM holds no pixel data; send an image object")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise UnsupportedImage(f"the DICOM has {frames:,} frames, only one is taken; export the one to be judged")
    photometric = str(dataset.get("PhotometricInterpretation"))[:32]
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if photometric not in PHOTOMETRIC or samples != 1:
        raise UnsupportedImage(
            f"the DICOM is {photometric} with {samples} samples a pixel; only {' and '.join(PHOTOMETRIC)} are taken"
        )
    if dataset.BitsAllocated not in (8, 16):
        raise UnsupportedImage(f"the DICOM has {dataset.BitsAllocated} bits a pixel; export it with 8 or 16")
    limits.check_size(int(dataset.Columns), int(dataset.Rows))


def _stored(dataset: FileDataset, limits: Limits) -> np.ndarray:
    """Pixel values as stored, before rescale and window."""
    if dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit:
        pixels = jpeg.decode(get_frame(dataset.PixelData, 0, number_of_frames=1), limits)
    else:
        pixels = dataset.pixel_array
    # pydicom takes surplus pixel data for more frames.
    if pixels.shape != (dataset.Rows, dataset.Columns):
        raise UndecodableImage(
            f"the DICOM announces {dataset.Rows} × {dataset.Columns} pixels, its data {pixels.shape}; export it again"
        )
    return pixels
