"""Serving against other servers over the same model, started beside it in one run.

They are a bare FastAPI app, `mlflow models serve`, NVIDIA's Triton (by PyTriton, with the same Python in it), LitServe
and BentoML.

``python -m benchmarks.serving [--data FOLDER] [--chart FILE]``; exits with 1 where a promise is not kept. Every
contestant has one worker process, logs as it does by default, and is asked in turn by a generator that needs a tenth
of a core; ours also runs with two, as it does by default. Medians over rounds count. Twice: with a predictor that
does nothing (`benchmarks.idle`), then with the real one, with a new picture in every request. On two cores all parts
compete, the generator too, so a ratio compares processor time a request, proxy included, more than it compares
latencies of an empty machine.
"""

import argparse
import contextlib
import itertools
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import matplotlib as mpl
import numpy as np
import psutil
from matplotlib import pyplot as plt

from benchmarks.asking import agree, requests_of
from benchmarks.load import Load, closed, paced
from benchmarks.peers import Peer, started
from benchmarks.report import machine, verdict
from features.extract import extract
from features.reading.errors import ImageError
from ray_jobs.dataset.synthetic import chest_picture
from registry.model.bundle import read_bundle
from registry.settings import ROOT, Settings
from tests.conftest import detector_of
from tests.serve.support.models import GeneratedXrays, Registry

ROUNDS, SECONDS, CONNECTIONS = 7, 3.0, 16
PACED_ROUNDS, PACED_S = 5, 6.0
OVERLOAD, OVERLOAD_CONNECTIONS, REST_S = 10, 256, 1.0
_TICK_S = 0.01  # as finely as a system counts what a process uses
TRAINED_ON, PICTURES = 200, 50
OURS = ("shipped", "haproxy", "python")
NAMES = {
    "shipped": "ours, 2 replicas",
    "haproxy": "ours, 1 replica",
    "python": "the same, Ray's proxy",
    "bare": "bare FastAPI + uvicorn",
    "mlflow": "mlflow models serve",
    "triton": "Triton",
    "litserve": "LitServe",
    "bentoml": "BentoML",
}


def checked(load: Load, name: str) -> Load:
    """A load whose every answer was one; raises where any was not, since a refusal is quicker than an answer."""
    if set(load.statuses) != {200}:
        raise RuntimeError(f"{name} answered {load.statuses}")
    return load


def throughput(peers: dict[str, Peer], pictures: list[bytes]) -> dict[str, list[float]]:
    """Answers a second of each contestant, round by round, in turn; those a second of a core are printed beside."""
    asked = {name: requests_of(peer, pictures) for name, peer in peers.items()}
    for name, peer in peers.items():
        checked(closed(peer.url, asked[name], connections=CONNECTIONS, seconds=1), name)
    found: dict[str, list[float]] = {name: [] for name in peers}
    worked: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, peer in peers.items():
            before = peer.processor_s()
            load = checked(closed(peer.url, asked[name], connections=CONNECTIONS, seconds=SECONDS), name)
            found[name].append(load.rate)
            worked[name].append(load.statuses[200] / max(peer.processor_s() - before, _TICK_S))
    for name, rates in found.items():
        spread = f"({min(rates):.0f} to {max(rates):.0f})"
        each = f"{1000 / median(worked[name]):.2f} ms of a core each"
        print(f"  {NAMES[name]:<24}{median(rates):>7.0f} a second {spread}, {each}")
    compare("answers a second", found)
    compare("answers a second of a core", worked)
    return found


def latency(peers: dict[str, Peer], pictures: list[bytes], rate: float) -> dict[str, list[float]]:
    """The 99th percentile, in seconds, of each contestant at the same rate of requests, round by round, in turn."""
    found: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(PACED_ROUNDS):
        for name, peer in peers.items():
            load = paced(peer.url, requests_of(peer, pictures), rate=rate, seconds=PACED_S)
            found[name].append(checked(load, name).quantile(0.99))
    for name, seconds in found.items():
        least, most = 1000 * min(seconds), 1000 * max(seconds)
        print(
            f"  {NAMES[name]:<24}{1000 * median(seconds):>7.0f} ms at the 99th percentile ({least:.0f} to {most:.0f})"
        )
    return found


def overload(peer: Peer, pictures: list[bytes]) -> float:
    """What is still answered of ten times as many requests as a server can answer, as a share of what it can."""
    shares, asked = [], requests_of(peer, pictures)
    for _ in range(PACED_ROUNDS):
        time.sleep(REST_S)  # what was let in last time is answered, and nothing is turned away any more
        peak = checked(closed(peer.url, asked, connections=CONNECTIONS, seconds=SECONDS), peer.name).rate
        load = paced(peer.url, asked, rate=OVERLOAD * peak, seconds=PACED_S, connections=OVERLOAD_CONNECTIONS)
        if not {200, 503}.issuperset(load.statuses):
            raise RuntimeError(f"{peer.name} answered {load.statuses}")
        shares.append(load.rate / peak)
        turned = f"{1000 * load.quantile(0.5, 503):.0f} ms each" if 503 in load.statuses else "none"
        print(
            f"  {NAMES[peer.name]:<24}{load.rate:>7.0f} a second of {sum(load.statuses.values()) / load.elapsed:.0f}, "
            f"at its best {peak:.0f}; turned away: {turned}"
        )
    return median(shares)


def ratios(found: dict[str, list[float]], ours: str, other: str) -> list[float]:
    """Ours in the other's of the same round, which what else the machine does blurs least, in ascending order."""
    return sorted(one / another for one, another in zip(found[ours], found[other], strict=True))


def ratio(found: dict[str, list[float]], ours: str, other: str) -> float:
    """The median over rounds."""
    return median(ratios(found, ours, other))


def compare(what: str, found: dict[str, list[float]]) -> None:
    """Print how ours compares with each other one: the median of the rounds, and their least and most.

    Between the least and the most of seven rounds lies the true median with a probability of 98 %, of five with 94 %.
    """
    others = [name for name in found if name not in OURS]
    for ours, other in itertools.product([name for name in OURS if name in found], others):
        each = ratios(found, ours, other)
        times = f"{median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})"
        print(f"  {what}: {NAMES[ours]}, times {NAMES[other]}: {times}")


def draw(file: Path, idle: dict[str, list[float]], real: dict[str, list[float]], tail: dict[str, list[float]]) -> None:
    """A bar a contestant, its rounds as dots."""
    mpl.use("Agg")
    panels = (
        ("predictor that does nothing\nanswers a second", idle, 1),
        ("real predictor\nanswers a second", real, 1),
        ("real predictor, half load\n99th percentile, ms", tail, 1000),
    )
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    for axis, (title, found, scale) in zip(axes, panels, strict=True):
        for place, name in enumerate(name for name in NAMES if name in found):
            values = [scale * value for value in found[name]]
            axis.barh(place, median(values), color="#2b6ca3" if name in OURS else "#b8c2cc")
            axis.plot(values, [place] * len(values), ".", color="black", alpha=0.5, markersize=4)
        axis.set_yticks(range(len(found)), [NAMES[name] for name in NAMES if name in found], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        if axis is not axes[0] and found.keys() == idle.keys():
            axis.set_yticklabels([])
    figure.savefig(file, dpi=110, metadata={"Software": None})


def main() -> int:
    """Print what was measured, what is promised, and whether it is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path, help="ask about X-rays of this folder, not generated ones"
    )
    parser.add_argument("--chart", metavar="FILE", type=Path, default=ROOT / "docs" / "pictures" / "serving.png")
    options = parser.parse_args()
    print(f"{machine()}\n{options.data or 'generated X-rays'}\n")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "registry").mkdir()
        settings, pictures = prepared(scratch, options.data)
        loads = [os.getloadavg()[0]]
        print("a predictor that does nothing")
        (scratch / "idle").mkdir()
        with started(settings, scratch / "idle", idle=True) as peers:
            idle = throughput(peers, pictures)
        print("the real one")
        (scratch / "real").mkdir()
        with started(settings, scratch / "real", idle=False) as peers:
            agree(peers, pictures[0])
            real = throughput(peers, pictures)
            loads.append(os.getloadavg()[0])
            half = median(real["bare"]) / 2
            print(f"half load of the bare one, {half:.0f} a second, for each")
            tail = latency({name: peers[name] for name in ("shipped", "haproxy", "bare")}, pictures, half)
            compare("99th percentile", tail)
            print("ten times as many as it can answer")
            goodput = overload(peers["shipped"], pictures)
    print(f"load average {' → '.join(f'{load:.1f}' for load in loads)} on {psutil.cpu_count()} cores")
    draw(options.chart, idle, real, tail)
    triton = [
        ("nothing to do, times Triton", ratio(idle, "haproxy", "triton"), ">=", 1.0),
        ("real, 2 replicas, times Triton", ratio(real, "shipped", "triton"), ">=", 1.5),
    ]
    return verdict(
        [
            *(triton if "triton" in real else ()),
            ("nothing to do, times mlflow", ratio(idle, "haproxy", "mlflow"), ">=", 3.0),
            ("nothing to do, times bare", ratio(idle, "haproxy", "bare"), ">=", 0.75),
            ("real, 2 replicas, times mlflow", ratio(real, "shipped", "mlflow"), ">=", 1.5),
            ("real, 2 replicas, times bare", ratio(real, "shipped", "bare"), ">=", 1.3),
            ("p99 at half load, 2 replicas, times bare", ratio(tail, "shipped", "bare"), "<=", 1.2),
            ("answered at ten times the load, of its best", goodput, ">=", 0.8),
        ]
    )


def prepared(scratch: Path, data: Path | None) -> tuple[Settings, list[bytes]]:
    """A registry with one small model in Production, and pictures that it answers."""
    if data:
        files = sorted(path for path in data.rglob("*") if path.is_file())
        files = files[:: max(1, len(files) // TRAINED_ON)]
        images, labels = [path.read_bytes() for path in files], np.array(["PNEUMONIA" in str(path) for path in files])
    else:
        labels = np.arange(TRAINED_ON) % 2
        images = [
            chest_picture(patient=patient, picture=0, label="PNEUMONIA" if label else "NORMAL")
            for patient, label in enumerate(labels)
        ]
    features, labels = np.stack([extract(image) for image in images]), labels.astype(int)
    training_set = GeneratedXrays(images, features, labels, detector_of(features, labels))
    registry = Registry.empty(scratch / "registry", training_set)
    version = registry.add(0.01)
    registry.promote(version)
    bundle = read_bundle(registry.files_of(version), digest=version.digest)
    pictures = []
    for image in images[:: len(images) // PICTURES]:
        with contextlib.suppress(ImageError):
            bundle.score(image)
            pictures.append(image)
    return registry.settings, pictures


if __name__ == "__main__":
    raise SystemExit(main())
