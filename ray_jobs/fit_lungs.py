"""Fit the locator of lungs to X-rays with masks: `python -m ray_jobs.fit_lungs --images FOLDER --masks FOLDER`.

A picture FOLDER/…/NAME.jpeg goes with the mask FOLDER/…/NAME.png of the same last folder, white where there is lung.
Masks of the X-rays of Kermany et al. (2018) are in V7 Labs' COVID-19 X-ray dataset (CC BY 4.0), whose records name the
files.
"""

import argparse
import hashlib
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from features.lungs import CANVAS, NUMBERS, Lungs, canvas_of, locate
from ray_jobs.dataset.errors import SourceError, TooLittleData
from ray_jobs.dataset.layout import patient_of
from ray_jobs.dataset.split import is_held_out
from ray_jobs.learning.lungs import COARSE, Masked, box_of, fit_lungs, outline_of, overlap
from ray_jobs.runtime.cli import positive, run_job, seed
from ray_jobs.runtime.output import OutputFile
from registry.settings import Settings

LEAST = 100
_PICTURES = {".jpeg", ".jpg", ".png"}


def pairs_of(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Every picture that has a mask, with it."""
    known = {(path.parent.name, path.stem): path for path in masks.rglob("*.png")}
    pictures = sorted(path for path in images.rglob("*") if path.suffix.lower() in _PICTURES)
    return [(path, known[key]) for path in pictures if (key := (path.parent.name, path.stem)) in known]


def masked_of(picture: Path, mask: Path) -> tuple[np.ndarray, Masked] | None:
    """The canvas of a picture, and what the fit sees of it; None where either shows nothing."""
    pixels, drawn = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in (picture, mask))
    if pixels is None or drawn is None or not drawn.any():
        return None
    canvas = canvas_of(pixels)
    small = cv2.resize(canvas, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    return canvas, Masked(picture=small, outline=outline_of(drawn))


def run(images: Path, masks: Path, *, out: Path, rounds: int, seed: int) -> str:
    """Fit, write the numbers, and say how well they find the lungs of patients whom the fit has not seen."""
    OutputFile(name=str(out)).try_out()
    for option, folder in (("--images", images), ("--masks", masks)):
        if not folder.is_dir():
            raise SourceError(f"{option} is {folder}, which is no folder; name one that exists")
    train, held_out = list[Masked](), list[tuple[np.ndarray, Masked]]()
    for picture, mask in tqdm(pairs_of(images, masks), desc="pictures", unit="image", mininterval=1):
        read = masked_of(picture, mask)
        if read is None:
            continue
        if is_held_out(patient_of(picture.name)):
            held_out.append(read)
        else:
            train.append(read[1])
    if min(len(train), len(held_out)) < LEAST:
        raise TooLittleData(
            f"{len(train)} X-rays with masks to fit and {len(held_out)} to judge by; {LEAST} of each are needed. "
            f"The mask of {images}/…/NORMAL/NAME.jpeg is {masks}/…/NORMAL/NAME.png"
        )
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**fit_lungs(train, rounds=rounds, seed=seed)}
    np.savez(buffer, **arrays)
    out.write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    report = f"{out}, {len(buffer.getvalue()) // 1024} KiB, fitted on {len(train)} X-rays; sha256 {digest}"
    return f"{report}\n{judged(held_out, digest)}" if out == NUMBERS else report


def judged(held_out: list[tuple[np.ndarray, Masked]], digest: str) -> str:
    """How well the shipped numbers do."""
    found = [(locate(canvas, Lungs(numbers=digest)), masked) for canvas, masked in held_out]
    overlaps = np.array([overlap(place.box, box_of(masked.outline)) for place, masked in found])
    median, low, lowest = np.quantile(overlaps, [0.5, 0.05, 0.01])
    lost = np.mean([not place.plausible for place, _ in found])
    return (
        f"held out, {len(found)} X-rays: intersection over union of boxes {median:.3f} in the median, {low:.3f} at the "
        f"5th percentile, {lowest:.3f} at the 1st; no lungs found in {100 * lost:.1f} %\n"
        f"set features.lungs.DIGEST to {digest}"
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images", type=Path, required=True, help=f"folder of X-rays; {CANVAS} pixels a side are enough"
    )
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks, PNG, white where there is lung")
    parser.add_argument("--out", type=Path, default=NUMBERS, help="file of the numbers (default features/lungs.npz)")
    parser.add_argument("--rounds", type=positive, default=12, help="views of each X-ray (default 12)")
    parser.add_argument("--seed", type=seed, default=0, help="of the views (default 0)")


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.fit_lungs",
        description="Fit where lungs are found to X-rays with masks.",
        data=False,
        uses=(),
        arguments=_arguments,
    )


def _job(_: Settings, options: argparse.Namespace) -> None:
    print(run(options.images, options.masks, out=options.out, rounds=options.rounds, seed=options.seed))


if __name__ == "__main__":
    main()
