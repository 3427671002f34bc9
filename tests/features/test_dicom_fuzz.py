"""Every element of a DICOM header that is read: empty, of a wrong type or length, extreme; pydicom's reading judges."""

import builtins
import io
import itertools
import re
import warnings
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from features.reading.decode import decode
from features.reading.errors import ImageError
from tests.features.images import picture
from tests.features.raw_dicom import file_of, image, numbers, table, text

NAME = "MUSTERMANN^ERIKA"
EXCEPTIONS = re.compile(
    "|".join(
        name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
    )
    + r"|\w+Error\b|\w+Exception\b|Traceback"
)
DEEP = picture(48, 40).astype(np.uint16) * 16
CURVE = np.linspace(0, 65535, 4096).astype(np.uint16)
WINDOW = {"WindowCenter": text("DS", "1600"), "WindowWidth": text("DS", "2400")}
RESCALE = {"RescaleSlope": text("DS", "2"), "RescaleIntercept": text("DS", "-1024")}
TWELVE = {"BitsStored": numbers("US", 12), "HighBit": numbers("US", 11)}
BASES = [
    image(DEEP, **TWELVE),
    image(DEEP, **TWELVE, **WINDOW, PhotometricInterpretation=text("CS", "MONOCHROME1")),
    image(DEEP, **TWELVE, **WINDOW, **RESCALE, VOILUTFunction=text("CS", "SIGMOID")),
    image(DEEP.astype(np.int16) - 2048, **TWELVE, **RESCALE, PixelPaddingValue=numbers("SS", -2048)),
    image(DEEP, **TWELVE, **RESCALE, PixelPaddingValue=numbers("US", 0), PixelPaddingRangeLimit=numbers("US", 40)),
    image(DEEP, **TWELVE, VOILUTSequence=("SQ", table(0, CURVE)), PresentationLUTShape=text("CS", "IDENTITY")),
    image(
        DEEP, **TWELVE, **WINDOW, ModalityLUTSequence=("SQ", table(100, CURVE[::-1])), NumberOfFrames=text("IS", "1")
    ),
    image(picture(48, 40)),
]
TYPES = {
    **dict.fromkeys(["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"], "DS"),
    **dict.fromkeys(["PhotometricInterpretation", "VOILUTFunction", "PresentationLUTShape"], "CS"),
    **dict.fromkeys(["VOILUTSequence", "ModalityLUTSequence"], "SQ"),
    "NumberOfFrames": "IS",
    **dict.fromkeys(["SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"], "US"),
    **dict.fromkeys(["PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"], "US"),
}
OPTIONAL = [name for name in TYPES if TYPES[name] in ("DS", "SQ", "IS") or "Padding" in name or "LUT" in name]
DECIMALS = [
    "0",
    "-1",
    "1",
    "0.5",
    "1e308",
    "-1e308",
    "1e-308",
    "nan",
    "inf",
    "1e999",
    "1,5",
    "40,400",
    "100\\200",
    "\\",
]
DECIMALS += [NAME, " 12 ", "+7", "1_000", "0x10", "1.5.2", "9" * 40, "-0", "1\x00", "1600\\x", "2400.0\\0"]
SHORTS = [0, 1, 2, 7, 8, 11, 12, 13, 15, 16, 17, 31, 32, 39, 40, 41, 48, 255, 2048, 4095, 32767, 32768, 65535]
ENUMERATED = ["", "LINEAR", "LINEAR_EXACT", "SIGMOID", "linear ", NAME, "MONOCHROME1", "MONOCHROME2", "RGB", "INVERSE"]
ENUMERATED += ["PALETTE COLOR", "MONOCHROME 2", "IDENTITY", "A\\B", "\x00\x00"]
TABLES = [
    table(0, CURVE[:100]),
    table(0, CURVE, count=4000),
    table(0, CURVE, count=4097),
    table(0, CURVE, count=0),
    table(-1024, CURVE, vr="SS"),
    table(65535, CURVE),
    table(0, CURVE, bits=0),
    table(0, (CURVE // 256).astype(np.uint8), bits=8),
    table(0, CURVE)[:-3],
    table(0, CURVE)[:11],
    b"\xfe\xff\x00\xe0" + b"\xff" * 4,
]


def values(keyword: str, random: np.random.Generator) -> tuple[str, bytes]:
    """A value for an element: now and then fitting, mostly not."""
    vr = TYPES[keyword]
    kind = random.integers(6)
    if kind == 0:
        return vr, b""
    if kind == 1:  # another type
        other = ["UN", "LO", "FD", "UL", "SS", "OB", "PN", "ZZ"][random.integers(8)]
        sources = [NAME.encode(), b"\x01\x00\x00\x00\x00\x00\x00\x00", b"12", random.bytes(8)]
        return other, sources[random.integers(4)]
    if kind == 2:  # another length
        return vr, random.bytes(int(random.integers(1, 9))) if vr == "US" else b"1" * int(random.integers(1, 40))
    if vr == "SQ":
        return vr, TABLES[random.integers(len(TABLES))]
    if vr in ("DS", "IS"):
        return text(vr, DECIMALS[random.integers(len(DECIMALS))])
    if vr == "CS":
        return text(vr, ENUMERATED[random.integers(len(ENUMERATED))])
    several = [SHORTS[place] for place in random.integers(len(SHORTS), size=1 + (kind == 3))]
    return numbers("US", *several)


def files(count: int) -> Iterator[tuple[int, bytes]]:
    """The same ones every time: each element in turn, in each base, alone or with one or two more."""
    turns = itertools.cycle(itertools.product(TYPES, range(len(BASES))))
    for seed, (keyword, base) in zip(range(count), turns, strict=False):
        random = np.random.default_rng(seed)
        changed = [keyword, *random.choice(OPTIONAL, random.integers(3))]
        elements = {**BASES[base], **{name: values(name, random) for name in changed}}
        syntax = (ExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, None)[random.integers(4)]
        yield seed, file_of(elements, syntax=syntax, preamble=bool(random.integers(8)), meta=bool(random.integers(8)))


def first(dataset: pydicom.Dataset, keyword: str) -> object:
    """Of several values the first."""
    value = dataset.get(keyword)
    return value[0] if isinstance(value, MultiValue | list) and value else value


def comparable(dataset: pydicom.Dataset, stored: np.ndarray) -> bool:
    """Whether the file means the same to pydicom: it takes for numbers what is none, such as "nan" and "1_000"."""
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        value = first(dataset, keyword)
        if value is not None and ("_" in str(value) or not np.isfinite(float(value))):
            return False
    if not dataset.get("ModalityLUTSequence") and first(dataset, "RescaleSlope") == 0:
        return False  # viewers pass over it
    if not isinstance(first(dataset, "PixelPaddingValue") or 0, int):
        return False
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        for item in dataset.get(keyword) or []:
            if item["LUTDescriptor"].VR == "US" and item.LUTDescriptor[1] >= 2**15 and stored.min() < 0:
                return False  # signed, by the standard
    return True


def reading(data: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """pydicom's own: what is shown, white high, and which pixels count; None where it cannot read, or not compare."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(data), force=True)
            if dataset.file_meta.get("TransferSyntaxUID") is None:
                dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            stored = shifted(dataset)
            modal = apply_modality_lut(stored, dataset)
            if not comparable(dataset, modal):
                return None
            shown = np.asarray(apply_voi_lut(modal, dataset), dtype=np.float64)
            padding = padded(dataset, stored)
        except Exception:  # whatever pydicom cannot read, it cannot judge
            return None
    used = ~padding if (~padding).mean() > 0.01 else ~np.zeros_like(padding)
    if np.ptp(shown[used]) == 0 < np.ptp(stored[used]):
        return None  # a window or a table beside all values is passed over, since it would leave nothing of the picture
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = -shown
    return shown, used


def shifted(dataset: pydicom.Dataset) -> np.ndarray:
    """Stored values with the high bit, which pydicom passes over."""
    stored, bits = dataset.pixel_array, dataset.BitsStored
    shift = dataset.HighBit + 1 - bits if "HighBit" in dataset else 0
    if shift:
        words = np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}").reshape(stored.shape)
        stored = (words >> shift).astype(np.int64) & (2**bits - 1)
        if dataset.PixelRepresentation:
            stored = np.where(stored >= 2 ** (bits - 1), stored - 2**bits, stored)
    return stored


def padded(dataset: pydicom.Dataset, stored: np.ndarray) -> np.ndarray:
    ends = [first(dataset, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = [end % 2**16 for end in ends if isinstance(end, int)]
    words = np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}")[: stored.size].reshape(stored.shape)
    if dataset.PixelRepresentation:
        ends = [end - 2**16 if end >= 2**15 else end for end in ends]
        words = words.view(f"i{words.itemsize}")
    whole = [words] if dataset.get("HighBit", 0) + 1 == dataset.BitsStored else []
    return np.any([(values >= min(ends)) & (values <= max(ends)) for values in (stored, *whole)], axis=0)


def agrees(grey: np.ndarray, shown: np.ndarray, counts: np.ndarray) -> bool:
    """Whether grey is what is shown on a scale of its own, but for ends that are cut off."""
    grey, shown = grey[counts].astype(np.float64), shown[counts] / (np.abs(shown[counts]).max() or 1.0)
    order = np.argsort(shown, kind="stable")
    if np.ptp(shown) == 0:
        return bool(np.ptp(grey) == 0)
    if np.ptp(shown) < 1e-9:
        return True  # what differs is rounding
    if (np.diff(grey[order]) < -1).any():
        return False
    inner = (grey > 0) & (grey < 65535)
    if not inner.any() or np.ptp(shown[inner]) == 0:
        return True
    slope, offset = np.polyfit(shown[inner], grey[inner], 1)
    return bool(np.abs(np.clip(slope * shown + offset, 0, 65535) - grey)[inner].max() < 66)


def outcome(data: bytes) -> tuple[np.ndarray | None, str]:
    """The picture, or why there is none."""
    try:
        return decode(data), ""
    except ImageError as error:
        return None, str(error)


def run(count: int) -> dict[str, int]:
    """Judge that many files; how many were answered, compared, refused."""
    seen = {"answered": 0, "compared": 0, "refused": 0}
    for seed, data in files(count):
        grey, refusal = outcome(data)
        if grey is None:
            assert not EXCEPTIONS.search(refusal), (seed, refusal)
            assert not re.search("MUSTER|ERIKA|damaged", refusal), (seed, refusal)  # every refusal knows its reason
            seen["refused"] += 1
            continue
        seen["answered"] += 1
        judged = reading(data)
        if judged is not None and judged[0].shape == grey.shape:
            seen["compared"] += 1
            assert agrees(grey, *judged), seed
    return seen


@pytest.mark.filterwarnings("ignore")
def test_senseless_elements_are_passed_over_or_named_and_never_change_the_picture() -> None:
    seen = run(600)
    assert seen["compared"] > 100, seen
    assert seen["refused"] > 100, seen


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_twenty_thousand_files_with_senseless_elements_are_read_as_pydicom_reads_them() -> None:
    seen = run(20_000)
    assert seen["compared"] > 4_000, seen
    assert seen["refused"] > 4_000, seen
