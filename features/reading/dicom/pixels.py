"""The pixels of a DICOM file as its header describes them, before any look-up (PS3.3, C.7.6.3; PS3.5, chapter 8)."""

from dataclasses import dataclass

import numpy as np

from features.reading import jpeg
from features.reading.dicom.elements import Element
from features.reading.dicom.header import Header, label, plain
from features.reading.errors import UndecodableImage, UnsupportedImage
from features.reading.limits import Limits

_INVERTED = "MONOCHROME1"
_GREY = (_INVERTED, "MONOCHROME2")
_COLOURED = (
    *("RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"),
    *("XYB", "ARGB", "CMYK", "HSV"),
)


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How pixels are stored: each in ``allocated`` bits, of which ``stored`` from bit ``shift`` on are its value.

    ``inverted`` pictures have their lowest value white.
    """

    rows: int
    columns: int
    allocated: int
    stored: int
    shift: int
    signed: bool
    inverted: bool

    def values(self) -> np.ndarray:
        """int64 (2**allocated,): the value that each word in the pixel data stands for."""
        values = (self.words() >> self.shift) & (2**self.stored - 1)
        return _signed(values, self.stored) if self.signed else values

    def words(self) -> np.ndarray:
        """int64 (2**allocated,): every word that there is."""
        return np.arange(2**self.allocated, dtype=np.int64)

    def number(self, value: float) -> int:
        """A number that stands beside the pixels, such as their padding: 16 bits, signed where the pixels are."""
        word = int(value) % 2**16
        return word - 2**16 if self.signed and word >= 2**15 else word


def _signed(values: np.ndarray, bits: int) -> np.ndarray:
    return np.where(values >= 2 ** (bits - 1), values - 2**bits, values)


def read_format(header: Header, limits: Limits) -> PixelFormat:
    """What the header says of its pixels. Raises any `ImageError`, which names the element that is wrong."""
    if header.element("PixelData") is None:
        _no_pixels(header)
    frames = header.whole("NumberOfFrames") or 1
    if frames != 1:
        raise UnsupportedImage(
            f"the DICOM's {label('NumberOfFrames')} is {plain(frames)}, only 1 is taken; export the one to be judged"
        )
    inverted = _is_inverted(header)
    allocated = header.whole("BitsAllocated")
    if allocated not in (8, 16):
        raise UnsupportedImage(f"{_says(header, 'BitsAllocated')}; it must be 8 or 16; export the image with 16")
    stored, shift = _bits(header, allocated)
    representation = 0 if header.element("PixelRepresentation") is None else header.whole("PixelRepresentation")
    if representation not in (0, 1):
        raise UndecodableImage(f"{_says(header, 'PixelRepresentation')}; it must be 0 (unsigned) or 1 (signed)")
    sides = header.whole("Rows"), header.whole("Columns")
    for keyword, side in zip(("Rows", "Columns"), sides, strict=True):
        if side is None or side < 1:
            raise UndecodableImage(f"{_says(header, keyword)}; it must be the picture's size in pixels")
    rows, columns = (int(side or 0) for side in sides)
    limits.check_size(columns, rows)
    return PixelFormat(
        rows=rows,
        columns=columns,
        allocated=allocated,
        stored=stored,
        shift=shift,
        signed=representation == 1,
        inverted=inverted,
    )


def _no_pixels(header: Header) -> None:
    for keyword in ("FloatPixelData", "DoubleFloatPixelData"):
        if header.element(keyword):
            raise UnsupportedImage(f"the DICOM holds {label(keyword)}; export the image with 16-bit whole numbers")
    raise UnsupportedImage(f"the DICOM holds no pixel data, {label('PixelData')}; send the whole file of an image")


def _is_inverted(header: Header) -> bool:
    photometric = header.text("PhotometricInterpretation").replace(" ", "")
    if photometric not in _GREY:
        known = header.text("PhotometricInterpretation")
        found = f"is {known}" if known in _COLOURED else "is missing or unknown"
        raise UnsupportedImage(
            f"the DICOM's {label('PhotometricInterpretation')} {found}; only {' and '.join(_GREY)} are taken; "
            "export the image in grey"
        )
    samples = header.whole("SamplesPerPixel")
    if samples not in (None, 1):
        raise UnsupportedImage(f"{_says(header, 'SamplesPerPixel')}; only 1 is taken; export the image in grey")
    shape = header.text("PresentationLUTShape")
    wrong = {"IDENTITY": _INVERTED, "INVERSE": "MONOCHROME2"}.get(shape)
    if photometric == wrong:  # programs differ in which of the two they believe
        raise UndecodableImage(
            f"the DICOM's {label('PresentationLUTShape')} is {shape}, which contradicts its "
            f"{label('PhotometricInterpretation')}, {photometric}; export the image with MONOCHROME2 and IDENTITY"
        )
    return photometric == _INVERTED


def _bits(header: Header, allocated: int) -> tuple[int, int]:
    """How many bits are stored, and above how many others."""
    stored = allocated if header.element("BitsStored") is None else header.whole("BitsStored")
    if stored is None or not 1 <= stored <= allocated:
        raise UndecodableImage(f"{_says(header, 'BitsStored')}; it must be 1 to {allocated}, the bits allocated")
    high = stored - 1 if header.element("HighBit") is None else header.whole("HighBit")
    if high is None or not stored - 1 <= high < allocated:
        raise UndecodableImage(
            f"{_says(header, 'HighBit')}; with {stored} bits stored of {allocated} it must be {stored - 1}"
            + (f" to {allocated - 1}" if stored < allocated else "")
        )
    return stored, high + 1 - stored


def _says(header: Header, keyword: str) -> str:
    """What is wrong, without any text of the file."""
    if header.element(keyword) is None:
        return f"the DICOM's {label(keyword)} is missing or empty"
    return f"the DICOM's {label(keyword)} is {plain(header.number(keyword))}"


def stored_words(header: Header, pixels: PixelFormat, is_jpeg: bool, limits: Limits) -> np.ndarray:
    """uint8 or uint16 (rows, columns): the words in the pixel data, as `PixelFormat.values` expects them."""
    element = header.element("PixelData")
    if element is None or (element.fragments is not None) != is_jpeg:
        held, named = ("compressed", "uncompressed") if not is_jpeg else ("uncompressed", "JPEG")
        raise UndecodableImage(
            f"the DICOM's pixel data are {held}, its Transfer Syntax UID (0002,0010) says {named}; export it again"
        )
    if element.fragments is not None:
        return _from_jpeg(element.fragments, pixels, limits)
    return _native(element, pixels)


def _native(element: Element, pixels: PixelFormat) -> np.ndarray:
    needed = pixels.rows * pixels.columns * pixels.allocated // 8
    got = len(element.value)
    size = f"{pixels.rows} × {pixels.columns} pixels of {pixels.allocated} bits need {needed:,} bytes"
    if got < needed:
        raise UndecodableImage(f"the DICOM's pixel data have {got:,} bytes, but {size}; send the whole file")
    # Zeros are padding, and less than one row or column too much says nothing against the picture's size.
    line = min(pixels.rows, pixels.columns) * pixels.allocated // 8
    if got >= needed + line and any(element.value[needed:]):
        raise UndecodableImage(
            f"the DICOM's pixel data have {got:,} bytes, but {size}: {label('Rows')}, {label('Columns')} or "
            f"{label('NumberOfFrames')} is wrong; export it again"
        )
    words = np.frombuffer(element.value[:needed], f"{element.encoding.order}u{pixels.allocated // 8}")
    if pixels.allocated == 8 and element.vr == "OW" and not element.encoding.little:
        padded = np.frombuffer(element.value[: needed + needed % 2], ">u2")  # each two bytes were swapped as a word
        words = padded.astype("<u2").view(np.uint8)[:needed]
    return words.astype(words.dtype.newbyteorder("="), copy=False).reshape(pixels.rows, pixels.columns)


def _from_jpeg(fragments: tuple[memoryview, ...], pixels: PixelFormat, limits: Limits) -> np.ndarray:
    # The first item tells where frames begin; some writers leave it out.
    whole = [bytes(part) for part in fragments]
    picture = b"".join(whole if whole and whole[0].startswith(jpeg.MAGIC) else whole[1:])
    if not picture.startswith(jpeg.MAGIC):
        raise UndecodableImage("the DICOM's compressed pixel data begin like no JPEG; export the image uncompressed")
    decoded = jpeg.decode(picture, limits, as_stored=True)  # a DICOM's rows and columns are not turned by EXIF
    if decoded.shape != (pixels.rows, pixels.columns):
        raise UndecodableImage(
            f"the DICOM announces {pixels.rows} × {pixels.columns} pixels, its JPEG has "
            f"{decoded.shape[0]} × {decoded.shape[1]}; export it again"
        )
    return decoded
