"""Serving against `mlflow models serve` and a bare FastAPI app over the same bundle, started beside it in one run.

``python -m benchmarks.serving [--data FOLDER] [--chart FILE]``; exits with 1 where a promise is not kept. Every
contestant has one worker process, logs as it does by default, and is asked in turn by a generator that needs a tenth
of a core; medians over rounds count. Twice: with a predictor that does nothing (`benchmarks.idle`), then with the
real one, with a new picture in every request. On two cores all parts compete, the generator too, so a ratio
compares processor time a request, proxy included, more than it compares latencies of an empty machine.

With `SERVE_INGRESS=haproxy`, Ray's HAProxy opens ports 9101 and 8404 on every address while this runs.
"""

import argparse
import base64
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx
import matplotlib as mpl
import numpy as np
import psutil
from matplotlib import pyplot as plt

from benchmarks.extraction import machine, verdict
from benchmarks.load import Load, closed, paced, post
from benchmarks.peers import Peer, started
from features.extract import extract
from features.reading.errors import ImageError
from ray_jobs.dataset.synthetic import chest_picture
from registry.bundle import read_bundle
from registry.settings import ROOT, Settings
from tests.conftest import detector_of
from tests.serve.support.models import GeneratedXrays, Registry

ROUNDS, SECONDS, CONNECTIONS = 7, 4.0, 16
PACED_ROUNDS, PACED_S = 5, 6.0
OVERLOAD, OVERLOAD_CONNECTIONS, REST_S = 10, 256, 1.0
TRAINED_ON, PICTURES = 200, 50
NAMES = {
    "haproxy": "ours, HAProxy",
    "python": "ours, Ray's own proxy",
    "bare": "bare FastAPI + uvicorn",
    "mlflow": "mlflow models serve",
}


def requests_of(peer: Peer, pictures: list[bytes]) -> list[bytes]:
    """The pictures as a contestant wants them."""
    if peer.name != "mlflow":
        return [post(peer.url, picture, "image/jpeg") for picture in pictures]
    rows = ([[base64.b64encode(picture).decode()]] for picture in pictures)
    bodies = (json.dumps({"dataframe_split": {"columns": ["image"], "data": row}}).encode() for row in rows)
    return [post(peer.url, body, "application/json") for body in bodies]


def agree(peers: dict[str, Peer], picture: bytes) -> None:
    """Raise unless all contestants give one picture the same probability."""
    found = {}
    for name, peer in peers.items():
        head, _, body = requests_of(peer, [picture])[0].partition(b"\r\n\r\n")
        media_type = head.partition(b"Content-Type: ")[2].split(b"\r\n")[0].decode()
        answer = httpx.post(peer.url, content=body, headers={"Content-Type": media_type}, timeout=60).json()
        found[name] = (answer["predictions"][0] if name == "mlflow" else answer)["probability"]
    if max(found.values()) - min(found.values()) > 1e-9:
        raise RuntimeError(f"the contestants do not answer the same: {found}")


def checked(load: Load, name: str) -> Load:
    """A load whose every answer was one; raises where any was not, since a refusal is quicker than an answer."""
    if set(load.statuses) != {200}:
        raise RuntimeError(f"{name} answered {load.statuses}")
    return load


def throughput(peers: dict[str, Peer], pictures: list[bytes]) -> dict[str, list[float]]:
    """Answers a second of each contestant, round by round, in turn."""
    asked = {name: requests_of(peer, pictures) for name, peer in peers.items()}
    for name, peer in peers.items():
        checked(closed(peer.url, asked[name], connections=CONNECTIONS, seconds=1), name)
    found: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(ROUNDS):
        for name, peer in peers.items():
            load = closed(peer.url, asked[name], connections=CONNECTIONS, seconds=SECONDS)
            found[name].append(checked(load, name).rate)
    for name, rates in found.items():
        print(f"  {NAMES[name]:<24}{median(rates):>7.0f} a second ({min(rates):.0f} to {max(rates):.0f})")
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


def ratio(found: dict[str, list[float]], ours: str, other: str) -> float:
    """The median over rounds of ours in the other's of the same round, which what else the machine does blurs least."""
    return median(one / another for one, another in zip(found[ours], found[other], strict=True))


def draw(file: Path, idle: dict[str, list[float]], real: dict[str, list[float]], tail: dict[str, list[float]]) -> None:
    """A bar a contestant, its rounds as dots."""
    mpl.use("Agg")
    panels = (
        ("predictor that does nothing\nanswers a second", idle, 1),
        ("real predictor\nanswers a second", real, 1),
        ("real predictor, half load\n99th percentile, ms", tail, 1000),
    )
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for axis, (title, found, scale) in zip(axes, panels, strict=True):
        for place, name in enumerate(name for name in NAMES if name in found):
            values = [scale * value for value in found[name]]
            axis.barh(place, median(values), color="#2b6ca3" if name in ("haproxy", "python") else "#b8c2cc")
            axis.plot(values, [place] * len(values), ".", color="black", alpha=0.5, markersize=4)
        axis.set_yticks(range(len(found)), [NAMES[name] for name in NAMES if name in found])
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
            tail = latency({name: peers[name] for name in ("haproxy", "python", "bare")}, pictures, half)
            print("ten times as many as it can answer")
            goodput = overload(peers["haproxy"], pictures)
    print(f"load average {' → '.join(f'{load:.1f}' for load in loads)} on {psutil.cpu_count()} cores")
    draw(options.chart, idle, real, tail)
    return verdict(
        [
            ("nothing to do, times mlflow", ratio(idle, "haproxy", "mlflow"), ">=", 3.0),
            ("nothing to do, times bare", ratio(idle, "haproxy", "bare"), ">=", 0.75),
            ("real, times mlflow", ratio(real, "haproxy", "mlflow"), ">=", 1.5),
            ("real, times bare", ratio(real, "haproxy", "bare"), ">=", 0.9),
            ("p99 at half load, times bare", ratio(tail, "haproxy", "bare"), "<=", 2.0),
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
