"""What a model knows of what it does not know, measured in one run: calibration and refusals on held-out patients,
refusals of pictures that no fitting saw, and what check and explanation cost beside extraction.

``python -m benchmarks.out_of_distribution [--data URI]``; exits with 1 where a promise is not kept. Times are processor
seconds of one core, medians over pictures. The extracted features are kept in STATE_URI.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.report import machine, verdict
from features.extract import extract
from features.reading.colour import colourfulness
from features.reading.errors import ImageError, NotAChestXray
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.manifest import images_of
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.learning.evaluate import Evaluation, evaluate
from ray_jobs.learning.fit import fit
from ray_jobs.learning.out_of_distribution import detection_rates, fit_detector, share
from ray_jobs.learning.search_space import candidates
from ray_jobs.learning.table import FeatureTable, Sides
from ray_jobs.learning.training_set import TrainingSet
from ray_jobs.learning.trial import cross_validate, decision
from registry.model.bundle import Bundle
from registry.settings import load_settings
from serve.inference.explain import explain
from serve.inference.overlay import overlay
from tests.behaviour.conftest import pixels_of, png_of
from tests.behaviour.not_xrays import KINDS, generated, packaged

GENERATED = "synthetic:1200"
EACH = 40  # drawn pictures of a kind
TURNED = 150  # held-out X-rays that are inverted and turned
TIMED = 60
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverted": lambda pixels: 255 - pixels,
    "upside down": lambda pixels: pixels[::-1, ::-1],
    "turned by 90°": np.rot90,
    "turned by 270°": lambda pixels: np.rot90(pixels, 3),
}
PAGES = {
    "letter": "<h1>Report</h1>" + "<p>The child was seen today and is well. There is no fever and no cough.</p>" * 9,
    "table": "<table border=1>" + "<tr><td>Monday<td>12<td>38.5<td>none</tr>" * 25 + "</table>",
    "form": "<form>" + "<p>Name <input value='Silva'> Age <input value=4> <button>Send</button>" * 12 + "</form>",
}


def model_of(sides: Sides) -> Bundle:
    """What a training with its first candidate comes to, without a registry."""
    data = TrainingSet.of(sides.train, seed=0)
    start = time.process_time()
    detector = fit_detector(data)
    print(f"scope fitted to {data.images} X-rays and their views in {time.process_time() - start:.0f} s of one core")
    fitted = fit(cross_validate(candidates(1, seed=0)[0], data.features, data.labels, data.folds), data)
    return Bundle(
        estimator=fitted.estimator,
        spec=DEFAULT_SPEC,
        threshold=fitted.threshold,
        detector=detector,
        evaluation={},
        golden=(),
    )


def calibration(bundle: Bundle, held_out: FeatureTable) -> float:
    """The model's calibration error on held-out patients in that of its scores before the sigmoid; prints both."""
    scores = decision(bundle.estimator.calibrated_classifiers_[0].estimator, held_out.features)
    before = 1 / (1 + np.exp(-scores))
    found: list[Evaluation] = []
    for name, probabilities in (("scores", before), ("calibrated", bundle.probability(held_out.features))):
        numbers = evaluate(held_out.labels, probabilities, held_out.patients, threshold=bundle.threshold)
        found.append(numbers)
        print(f"{name:<12}AUC {numbers.auc}, Brier {numbers.brier}, calibration error {numbers.calibration_error}")
    return found[1].calibration_error.value / found[0].calibration_error.value


def refused(bundle: Bundle, images: list[bytes]) -> np.ndarray:
    """Of each picture whether it is answered with `not-a-chest-xray`, (N,)."""

    def look(image: bytes) -> bool:
        try:
            bundle.examine(image)
        except NotAChestXray:
            return True
        return False

    return np.array([look(image) for image in images])


def doubtful(bundle: Bundle, images: list[bytes]) -> np.ndarray:
    """Of each picture whether it is refused or answered with a doubt, (N,)."""

    def look(image: bytes) -> bool:
        try:
            return bool(bundle.examine(image).doubts)
        except ImageError:
            return True

    return np.array([look(image) for image in images])


def held_out_pictures(prepared: Prepared, held_out: FeatureTable, count: int) -> list[bytes]:
    """Some held-out X-rays as they are stored."""
    rows = prepared.manifest.table("path", "sha256")
    chosen = set(held_out.sha256[:: max(1, len(held_out) // count)][:count].tolist())
    paths = images_of(rows)
    return [prepared.source.read(path) for path, sha256 in paths if sha256 in chosen]


def pages() -> list[bytes]:
    """Screenshots of pages in a real browser; none where there is none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        return []
    shots = []
    with tempfile.TemporaryDirectory() as folder:
        for name, body in PAGES.items():
            page, shot = Path(folder) / f"{name}.html", Path(folder) / f"{name}.png"
            page.write_text(f"<meta charset=utf-8><body style='color:#222'>{body}")
            size = ["--window-size=800,900", f"--screenshot={shot}", page.as_uri()]
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", *size]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            shots.append(shot.read_bytes())
    return shots


def strangers(bundle: Bundle, xrays: list[bytes]) -> tuple[float, float]:
    """The least share refused of any collection of other pictures, and of any change made to X-rays; prints all."""
    collections = {f"drawn: {kind}": generated(kind, EACH) for kind in KINDS}
    collections |= {f"real: {name}": images for name, images in packaged().items()}
    shots = pages()
    if shots:
        collections["real: pages in Chromium"] = shots
    changed = {
        f"X-rays {name}": [png_of(change(pixels_of(image))) for image in xrays] for name, change in CHANGES.items()
    }
    least: list[float] = []
    print(f"\n{'':<28}{'pictures':>9}{'refused':>9}{'or doubtful':>13}")
    for group in (collections, changed):
        shares = []
        for name, images in group.items():
            shares.append(float(refused(bundle, images).mean()))
            print(f"{name:<28}{len(images):>9}{shares[-1]:>9.1%}{doubtful(bundle, images).mean():>13.1%}")
        least.append(min(shares))
    return least[0], least[1]


def cost(work: Callable[[bytes], object], images: list[bytes]) -> float:
    """Milliseconds of one core a picture."""
    work(images[0])
    spent = []
    for image in images:
        start = time.process_time()
        work(image)
        spent.append(time.process_time() - start)
    return 1000 * median(spent)


def costs(bundle: Bundle, images: list[bytes]) -> tuple[float, float]:
    """The check's share of extraction, and seconds of an explanation, overlay included."""
    known = extract(images[0])[None].astype(np.float64)

    def check(image: bytes) -> None:
        colourfulness(image)
        bundle.detector.distance(known)

    def explained(image: bytes) -> None:
        evidence = explain(bundle, image)
        overlay(evidence.answer.examined.pixels, evidence.grid)

    answered = [image for image, no in zip(images, refused(bundle, images), strict=True) if not no]
    described, checked, shown = cost(extract, images), cost(check, images), cost(explained, answered)
    side = f"{pixels_of(images[0]).shape[1]} × {pixels_of(images[0]).shape[0]}"
    print(f"\n{len(images)} pictures, the first of {side}: extraction {described:.2f} ms,")
    print(f"check {checked:.2f} ms, explanation {shown:.0f} ms of one core")
    return checked / described, shown / 1000


def main() -> int:
    """Print what was measured, what is promised, and whether it is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="URI", help=f"X-rays to train on and hold out (default: {GENERATED})")
    parser.add_argument("--also", metavar="FOLDER", help="more X-rays, such as originals: their refusals and times")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    print(f"{machine()}\n{options.data or GENERATED}\n")
    prepared = prepare(load_settings(data_uri=options.data or GENERATED))
    sides = Sides.of(prepared.all_rows(DEFAULT_SPEC).read())
    with threadpool_limits(1):
        bundle = model_of(sides)
        error, rates = calibration(bundle, sides.held_out), detection_rates(bundle.detector, sides.held_out)
        print(f"held out    refused {rates.refused}, doubtful {rates.doubtful}, of {rates.images} X-rays")
        xrays = held_out_pictures(prepared, sides.held_out, TURNED)
        others, turned = strangers(bundle, xrays)
        part, seconds = costs(bundle, xrays[:TIMED])
        if options.also:
            more = [path.read_bytes() for path in sorted(Path(options.also).rglob("*.*")) if path.is_file()]
            print(f"{len(more)} X-rays of {options.also}: refused {share(refused(bundle, more), len(more))}", end=", ")
            print(f"or doubtful {share(doubtful(bundle, more), len(more))}")
            seconds = max(seconds, costs(bundle, more[:: max(1, len(more) // TIMED)])[1])
    return verdict(
        [
            ("held-out X-rays refused, %", 100 * rates.refused.value, "<=", 1.0),
            ("other pictures refused, worst collection, %", 100 * others, ">=", 95.0),
            ("X-rays inverted or turned refused, worst, %", 100 * turned, ">=", 95.0),
            ("calibration error, times the bare scores'", error, "<=", 0.5),
            ("check, share of extraction", part, "<=", 0.15),
            ("explanation, seconds of one core", seconds, "<=", 1.0),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
