"""How much faster than scikit-image are the descriptors, one core, same images, same numbers?

Prints a ratio a family and overall, and the largest difference between the two answers. Run it with
``python -m benchmarks.descriptors [--images N]``; X-rays are taken from ``HM_DATA`` or ``../shared/data``
where there are any, otherwise generated.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from features.descriptors.filter_bank import FilterBank, filter_bank
from features.descriptors.hog import Hog, hog
from features.descriptors.intensity import Intensity, intensity
from features.descriptors.lbp import Lbp, lbp
from features.normalise import normalise
from features.reading.decode import decode
from features.spec import DEFAULT_SPEC, FeatureSpec

TARGET = 10.0
Descriptor = Callable[[np.ndarray], np.ndarray]


def pictures(count: int, spec: FeatureSpec) -> list[np.ndarray]:
    """Normalised square pictures (the plain ones), real where the development X-rays are at hand."""
    root = Path(os.environ.get("HM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    files = sorted((root / "chest-xray-224" / "train").glob("*/*.jpeg"))
    if files:
        chosen = [files[index] for index in np.linspace(0, len(files) - 1, count).astype(int)]
        return [normalise(decode(path.read_bytes()), spec.normalise).plain for path in chosen]
    random = np.random.default_rng(0)
    noise = (random.integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(count))
    large = (cv2.resize(part, (224, 224), interpolation=cv2.INTER_CUBIC) for part in noise)
    return [normalise(part, spec.normalise).plain for part in large]


# The families, which scikit-image can compute too.
LBP, HOG, BANK, INTENSITY = Lbp(), Hog(), FilterBank(), Intensity()


def ours() -> dict[str, Descriptor]:
    """The families as the system computes them, on one picture."""
    return {
        "lbp": lambda image: lbp(image, LBP),
        "hog": lambda image: hog(image, HOG),
        "filter bank": lambda image: filter_bank(image, BANK),
        "intensity": lambda image: intensity(image, INTENSITY),
    }


def peers() -> dict[str, Descriptor]:
    """The same numbers by scikit-image, as its documentation says to compute them."""
    from scipy import ndimage
    from skimage.feature import hog as peer_hog
    from skimage.feature import local_binary_pattern
    from skimage.filters import gabor_kernel
    from skimage.transform import downscale_local_mean

    def halved(image: np.ndarray, times: int) -> np.ndarray:
        return np.asarray(downscale_local_mean(image, (2**times, 2**times)))

    levels = [int(np.log2(0.25 / frequency)) for frequency in BANK.frequencies]
    kernels = [
        (level, gabor_kernel(frequency * 2**level, np.pi * direction / BANK.directions, bandwidth=BANK.bandwidth))
        for level, frequency in zip(levels, BANK.frequencies, strict=True)
        for direction in range(BANK.directions)
    ]

    def peer_lbp(image: np.ndarray) -> np.ndarray:
        histograms = []
        for radius in LBP.radii:
            level = max(0, int(np.log2(radius / 2)))
            patterns = local_binary_pattern(halved(image, level), 8, radius / 2**level, "uniform")
            for cell in cells(patterns, LBP.grid):
                histograms.append(np.bincount(cell.astype(int).ravel(), minlength=10) / cell.size)
        return np.concatenate(histograms)

    def peer_bank(image: np.ndarray) -> np.ndarray:
        energies = []
        for level, kernel in kernels:
            small = halved(image, level)
            real = ndimage.convolve(small, kernel.real, mode="reflect")
            imaginary = ndimage.convolve(small, kernel.imag, mode="reflect")
            energies += [cell.mean() for cell in cells(np.sqrt(real**2 + imaginary**2)[::2, ::2], BANK.grid)]
        return np.array(energies)

    def peer_intensity(image: np.ndarray) -> np.ndarray:
        parts = cells(image, INTENSITY.grid)
        means, deviations = [part.mean() for part in parts], [part.std() for part in parts]
        return np.concatenate([means, deviations, np.quantile(image[::2, ::2], INTENSITY.quantiles)])

    return {
        "lbp": peer_lbp,
        "hog": lambda image: np.concatenate(
            [peer_hog(image, HOG.orientations, (cell, cell), (HOG.block, HOG.block), "L2-Hys") for cell in HOG.cells]
        ),
        "filter bank": peer_bank,
        "intensity": peer_intensity,
    }


def cells(image: np.ndarray, grid: int) -> list[np.ndarray]:
    """The parts of a grid, row by row."""
    return [part for band in np.array_split(image, grid, axis=0) for part in np.array_split(band, grid, axis=1)]


def seconds(function: Descriptor, image: np.ndarray) -> tuple[float, np.ndarray]:
    """Time of one call, and its answer."""
    start = time.perf_counter()
    answer = function(image)
    return time.perf_counter() - start, answer


def compare(mine: Descriptor, peer: Descriptor, images: list[np.ndarray]) -> tuple[float, float, float]:
    """Median seconds an image of both, taking turns, and the largest difference of their answers."""
    mine(images[0])  # what is made once is not timed
    times, differences = [], []
    for image in images:
        own, answer = seconds(mine, image)
        other, expected = seconds(peer, image.astype(np.float64))  # what scikit-image works in
        times.append((own, other))
        differences.append(float(np.abs(answer - expected).max()))
    own, other = (median(side) for side in zip(*times, strict=True))
    return own, other, max(differences)


def measure(count: int) -> tuple[float, float]:
    """Print the table for so many images; how many times faster all families are, and all but the filter bank."""
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", message="Applying `local_binary_pattern` to floating-point images")
    images, others = pictures(count, DEFAULT_SPEC), peers()
    times: dict[str, tuple[float, float]] = {}
    print(f"{count} images of {DEFAULT_SPEC.normalise.side} pixels a side, one core")
    print(f"{'family':<12}{'ours ms':>10}{'peer ms':>10}{'ratio':>8}{'largest difference':>20}")
    for family, function in ours().items():
        mine, peer, difference = compare(function, others[family], images)
        times[family] = (mine, peer)
        print(f"{family:<12}{mine * 1e3:>10.2f}{peer * 1e3:>10.2f}{peer / mine:>8.1f}{difference:>20.2e}")
    # Most of the peer's time goes into its two-dimensional convolutions, so the rest is summed by itself too.
    rest = show("all but bank", [pair for family, pair in times.items() if family != "filter bank"])
    return show("overall", list(times.values())), rest


def show(label: str, times: list[tuple[float, float]]) -> float:
    """Print the sums of both sides; their ratio."""
    mine, peer = (sum(side) for side in zip(*times, strict=True))
    print(f"{label:<12}{mine * 1e3:>10.2f}{peer * 1e3:>10.2f}{peer / mine:>8.1f}")
    return peer / mine


def main() -> int:
    """Print the table; 1 where the overall ratio misses the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40, help="how many images (default 40)")
    ratio, _ = measure(parser.parse_args().images)
    print(f"target: overall ≥ {TARGET:g}")
    return int(ratio < TARGET)


if __name__ == "__main__":
    raise SystemExit(main())
