"""An X-ray with the evidence laid over it, as a picture for people."""

import cv2
import numpy as np

from features.crop import Box

_LONGEST_SIDE = 1024
_COLOUR = np.array([0, 90, 255], np.float32)  # orange, blue first: the colour-blind tell it from grey too
_FRAME = (200, 200, 80)  # a dull cyan around the lungs
_MOST = 0.55  # opacity at the peak: what lies beneath must stay visible
_FAINTEST = 1.0  # a peak below this many log-odds is drawn fainter, or noise would look like a finding
_RIM = 0.5  # of the peak, where a line is drawn


def overlay(pixels: np.ndarray, grid: np.ndarray, lungs: Box | None = None) -> bytes:
    """A PNG of grey pixels, 2-D uint8 or uint16, at most 1,024 a side, with what of an evidence grid is positive.

    A thin line frames the lungs, if a model looks for them: it sees nothing beyond.
    """
    scale = min(1.0, _LONGEST_SIDE / max(pixels.shape))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    grey = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if grey.dtype == np.uint16:
        grey = cv2.convertScaleAbs(grey, alpha=1 / 257)
    smooth = cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    strength = np.clip(smooth / max(float(grid.max()), _FAINTEST), 0.0, 1.0)
    opacity = (_MOST * strength)[:, :, None]
    drawn = (cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR) * (1.0 - opacity) + _COLOUR * opacity).astype(np.uint8)
    rims, _ = cv2.findContours((strength >= _RIM).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if lungs is not None:
        ends = np.array([[lungs.left, lungs.top], [lungs.right, lungs.bottom]]) * size
        (left, top), (right, bottom) = ends.round().astype(int).tolist()
        cv2.rectangle(drawn, (left, top), (right, bottom), _FRAME, max(1, max(size) // 400))
    cv2.drawContours(drawn, rims, -1, _COLOUR.tolist(), max(1, max(size) // 400), cv2.LINE_AA)
    return bytes(cv2.imencode(".png", drawn)[1].tobytes())
