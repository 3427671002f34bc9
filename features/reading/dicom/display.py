"""How a DICOM's stored values are shown: rescale, window or look-up table, padding, and which end is white.

All of it is worked out on a table of the at most 65,536 words that there can be, not on the pixels: PS3.3, C.11.
"""

from dataclasses import dataclass

import numpy as np

from features.reading.dicom.header import Header, label, plain
from features.reading.dicom.look_up import look_up
from features.reading.dicom.pixels import PixelFormat
from features.reading.errors import UndecodableImage
from features.reading.grey_range import robust_range

_WHITE = 65535
_LEAST_PICTURE = 0.01  # of all pixels: with less left, it is not padding that was declared


@dataclass(frozen=True, kw_only=True)
class Display:
    """For each word of the pixel data, its grey (uint16, white high), and whether it is padding (bool)."""

    grey: np.ndarray
    padding: np.ndarray


def display(header: Header, pixels: PixelFormat, counts: np.ndarray) -> Display:
    """How to show pixels, of which ``counts`` says how many have each word: over the whole range of what is shown.

    Where the file has a window, its ends are black and white; elsewhere the ends of the picture itself.
    Raises `UndecodableImage` for a rescale that leads out of all numbers.
    """
    stored = pixels.values()
    padding = _padding(header, pixels, stored, counts)
    used = (counts > 0) & ~padding
    with np.errstate(all="ignore"):  # what overflows is found right after
        values = _modality(header, pixels, stored.astype(np.float64), used)
        windowed = _windowed(header, pixels, values, used)
        shown = values if windowed is None else windowed
        finite = bool(np.isfinite(values[used]).all() and np.isfinite(shown[used]).all())
        if windowed is None and finite:
            distinct, at = np.unique(shown[used], return_inverse=True)
            low, high = robust_range(distinct, np.bincount(at, weights=counts[used]))
        else:
            low, high = float(shown[used].min()), float(shown[used].max())
        span = high - low
    if not (finite and np.isfinite(span)):
        raise UndecodableImage(
            f"the DICOM's {label('RescaleSlope')} of {plain(header.decimal('RescaleSlope'))} and "
            f"{label('RescaleIntercept')} of {plain(header.decimal('RescaleIntercept'))} give values that are not "
            "finite; export it again, with 1 and 0 where nothing is to be rescaled"
        )
    # Scaling by a span so small that its reciprocal overflows would bring infinities back.
    scaled = (np.clip(np.nan_to_num(shown), low, high) - low) / span if span > 1e-30 else np.zeros_like(shown)
    if pixels.inverted:
        scaled = 1.0 - scaled
    return Display(grey=np.rint(scaled * _WHITE).astype(np.uint16), padding=padding)


def _padding(header: Header, pixels: PixelFormat, stored: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Which words are declared not to be picture, PS3.3, C.7.5.1.1.2.

    The value may need more bits than pixels have, so it is looked for among whole words as well.
    """
    none = np.zeros(stored.shape, dtype=bool)
    value = header.number("PixelPaddingValue")
    if value is None:
        return none
    limit = header.number("PixelPaddingRangeLimit")
    low, high = sorted((pixels.number(value), pixels.number(value if limit is None else limit)))
    padding = (stored >= low) & (stored <= high)
    if pixels.shift == 0:
        words = pixels.words()
        if pixels.signed:
            words = np.where(words >= 2 ** (pixels.allocated - 1), words - 2**pixels.allocated, words)
        padding |= (words >= low) & (words <= high)
    return padding if counts[~padding].sum() >= _LEAST_PICTURE * counts.sum() else none


def _modality(header: Header, pixels: PixelFormat, stored: np.ndarray, used: np.ndarray) -> np.ndarray:
    """What stored values stand for, by the file's table or its rescale; none that makes the picture one grey."""
    table = look_up(header, "ModalityLUTSequence", signed=pixels.signed)
    if table is not None and np.ptp((values := table(stored))[used]) > 0:
        return values
    slope, intercept = _rescale(header)
    return stored * slope + intercept


def _rescale(header: Header) -> tuple[float, float]:
    """Slope and intercept: 1 and 0 unless both make sense. A slope of 0 would leave nothing of the picture."""
    slope, intercept = header.decimal("RescaleSlope"), header.decimal("RescaleIntercept")
    return (slope, intercept) if slope and intercept is not None else (1.0, 0.0)


def _windowed(header: Header, pixels: PixelFormat, values: np.ndarray, used: np.ndarray) -> np.ndarray | None:
    """What the file's table or its first usable window makes of the values; None where it has neither.

    One that lies beside all values in the picture would make it one grey, so it cannot be what was meant.
    """
    table = look_up(header, "VOILUTSequence", signed=pixels.signed or bool(values.min() < 0))
    if table is not None and np.ptp((mapped := table(values))[used]) > 0:
        return mapped
    pairs = zip(header.numbers("WindowCenter"), header.numbers("WindowWidth"), strict=False)
    usable = [(centre, width) for centre, width in pairs if centre is not None and width is not None and width > 0]
    slope, _ = _rescale(header)
    if usable and slope < 0:  # by the standard the window's upper end is white, in pydicom its lower one
        raise UndecodableImage(
            f"the DICOM's {label('RescaleSlope')} is {plain(slope)} and it has a window: programs differ in which end "
            "is then white; export it with a positive slope"
        )
    shown = (_window(values, centre, width, header.text("VOILUTFunction")) for centre, width in usable)
    return next((windowed for windowed in shown if np.ptp(windowed[used]) > 0), None)


def _window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """0 to 1. A function that is missing or unknown is LINEAR, which needs a width of 1: below, it is the exact one."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width))
    if function != "LINEAR_EXACT" and width >= 1:
        centre, width = centre - 0.5, width - 1.0
    if width == 0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
