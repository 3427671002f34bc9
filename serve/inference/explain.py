"""Where in a picture a model sees evidence of pneumonia: occlusion, in the descriptors instead of in the pixels.

A window slides over the picture, and the descriptors measured under it are replaced by those of the average normal
X-ray of the training side; how far the log-odds of pneumonia fall is the evidence under the window. This is the
occlusion of M. D. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, without its
artefacts: a grey patch in the pixels has edges and no texture, and a model of textures answers to those. Nothing has to
be described again.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import erf

from features.crop import Box
from features.spec import FeatureSpec
from registry.model.answer import ScoredImage
from registry.model.bundle import Bundle

GRID = 16
WIDTH = 0.1  # standard deviation of the window, in shares of the picture's sides
_SUREST = 1e-12  # probabilities nearer to 0 or 1 than this have no log-odds of use


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An answer, and the fall of its log-odds with the window at each place of a grid over the picture.

    `grid` is float64 (GRID, GRID), top to bottom and left to right: positive speaks for PNEUMONIA, negative against.
    """

    answer: ScoredImage
    grid: np.ndarray

    @property
    def peak(self) -> tuple[float, float]:
        """Where the evidence is strongest: shares of the picture's height and width."""
        down, right = np.unravel_index(int(np.argmax(self.grid)), self.grid.shape)
        return (float(down) + 0.5) / self.grid.shape[0], (float(right) + 0.5) / self.grid.shape[1]


def explain(bundle: Bundle, image: bytes) -> Evidence:
    """The evidence in an encoded picture; raises `features.reading.errors.ImageError` as an answer does."""
    answer = bundle.score(image)
    features = answer.examined.features.astype(np.float64)
    occluded = features + windows(bundle.spec, answer.examined.looked.frame) * (bundle.detector.normal - features)
    falls = _log_odds(np.array([answer.probability])) - _log_odds(bundle.probability(occluded))
    return Evidence(answer=answer, grid=falls.reshape(GRID, GRID))


@lru_cache(maxsize=2)
def windows(spec: FeatureSpec, frame: Box) -> np.ndarray:
    """float32 (GRID², D): how much of each number is replaced with the window at each place of the picture, 0 to 1.

    `frame` is the part of the picture that the numbers are measured in.
    It is the mean of a Gaussian of height 1 over the number's cell; numbers of the whole picture stay as they are.
    """
    top, left, bottom, right = spec.places.T
    high, wide = frame.bottom - frame.top, frame.right - frame.left
    down = _share(frame.top + high * top, frame.top + high * bottom)
    across = _share(frame.left + wide * left, frame.left + wide * right)
    return np.nan_to_num(down[:, None] * across[None]).reshape(GRID * GRID, -1).astype(np.float32)


def _share(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Means of the window's profile between two borders (D,), at each of the places on one axis: (GRID, D)."""
    centres = (np.arange(GRID)[:, None] + 0.5) / GRID
    reach = WIDTH * np.sqrt(2.0)
    area = np.sqrt(np.pi) / 2 * reach * (erf((end - centres) / reach) - erf((start - centres) / reach))
    return np.asarray(area / (end - start))


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    bounded = np.clip(probabilities, _SUREST, 1.0 - _SUREST)
    return np.asarray(np.log(bounded / (1.0 - bounded)))
