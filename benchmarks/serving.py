"""Serving against other servers over the same model, started beside it in one run.

They are a bare FastAPI app, `mlflow models serve`, NVIDIA's Triton (by PyTriton, with the same Python in it), LitServe
and BentoML. Every contestant has one worker process, logs as it does by default, and is asked in turn by a generator
that needs a tenth of a core; ours also runs with two, as it does by default. On two cores all parts compete, the
generator too, so a ratio compares processor time a request, proxy included, more than it compares latencies of an empty
machine.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.asking import agree, requests_of, together
from benchmarks.load import Load, closed, paced
from benchmarks.peers import OURS, Peer, started
from benchmarks.production import Production
from benchmarks.results import Measured, Series

ROUNDS, SECONDS, CONNECTIONS = 7, 2.0, 16
PACED_ROUNDS, PACED_S = 5, 5.0
FILES, FILES_ROUNDS = 32, 5
OVERLOAD, OVERLOAD_CONNECTIONS, OVERLOAD_ROUNDS, REST_S = 10, 512, 3, 1.0


def idle(made: Production, pythons: Mapping[str, Path], scratch: Path, rounds: int | None = None) -> Measured:
    """Answers a second with a predictor that does nothing (`benchmarks.idle`)."""
    with started(made.settings, scratch, idle=True, pythons=pythons) as (peers, lost):
        found = throughput(peers, made.pictures, lost, rounds or ROUNDS)
    return Measured(series={"idle": found}, missing=lost)


def real(made: Production, pythons: Mapping[str, Path], scratch: Path, rounds: int | None = None) -> Measured:
    """The same with the model, the tail at half load, answers under too much load, and many pictures in a request."""
    with started(made.settings, scratch, idle=False, pythons=pythons) as (peers, lost):
        agree(peers, made.pictures[0])
        found = throughput(peers, made.pictures, lost, rounds or ROUNDS)
        ours, pictures = peers["shipped"], made.pictures
        halved = {name: peers[name] for name in ("shipped", "bare")}
        series = {
            "real": found,
            "tail": latency(halved, pictures, median(found["bare"]) / 2, rounds or PACED_ROUNDS),
            "files": many_files(ours, pictures, rounds or FILES_ROUNDS),
            "overload": overload(ours, pictures, rounds or OVERLOAD_ROUNDS),
        }
    return Measured(series=series, missing=lost)


def checked(load: Load, name: str) -> Load:
    """A load whose every answer was one; raises where any was not, since a refusal is quicker than an answer."""
    if set(load.statuses) != {200}:
        raise RuntimeError(f"{name} answered {load.statuses}")
    return load


def throughput(peers: dict[str, Peer], pictures: list[bytes], lost: dict[str, str], rounds: int) -> Series:
    """Answers a second of each contestant, round by round, in turn; who does not answer is added to the lost ones.

    What an answer takes of a core is printed beside: other programs of a machine change it less.
    """
    asked = {name: requests_of(peer, pictures) for name, peer in peers.items()}
    found: Series = {}
    worked: Series = {name: [] for name in peers}
    for name, peer in peers.items():
        try:
            checked(closed(peer.url, asked[name], connections=CONNECTIONS, seconds=1), name)
            found[name] = []
        except (RuntimeError, OSError) as error:
            if name in OURS:
                raise
            lost[name] = str(error)
    for _ in range(rounds):
        for name, rates in found.items():
            before = peers[name].processor_s()
            load = closed(peers[name].url, asked[name], connections=CONNECTIONS, seconds=SECONDS)
            rates.append(checked(load, name).rate)
            worked[name].append(1000 * (peers[name].processor_s() - before) / load.statuses[200])
    for name, rates in found.items():
        spread = f"({min(rates):.0f} to {max(rates):.0f})"
        print(f"  {name}: {median(rates):.0f} a second {spread}, {median(worked[name]):.2f} ms of a core each")
    return found


def latency(peers: dict[str, Peer], pictures: list[bytes], rate: float, rounds: int) -> Series:
    """The 99th percentile, in ms, of each contestant at the same rate of requests, round by round, in turn."""
    asked = {name: requests_of(peer, pictures) for name, peer in peers.items()}
    found: Series = {name: [] for name in peers}
    for _ in range(rounds):
        for name, peer in peers.items():
            load = paced(peer.url, asked[name], rate=rate, seconds=PACED_S)
            found[name].append(1000 * checked(load, name).quantile(0.99))
    return found


def overload(peer: Peer, pictures: list[bytes], rounds: int) -> Series:
    """Answers a second of ten times as many requests as a server can answer, and of as many as it can, in turn."""
    asked = requests_of(peer, pictures)
    found: Series = {peer.name: [], "best": []}
    for _ in range(rounds):
        time.sleep(REST_S)  # what was let in last time is answered, and nothing is turned away any more
        best = checked(closed(peer.url, asked, connections=CONNECTIONS, seconds=SECONDS), peer.name).rate
        load = paced(peer.url, asked, rate=OVERLOAD * best, seconds=PACED_S, connections=OVERLOAD_CONNECTIONS)
        if not {200, 503}.issuperset(load.statuses):
            raise RuntimeError(f"{peer.name} answered {load.statuses}")
        found[peer.name].append(load.rate)
        found["best"].append(best)
    return found


def many_files(peer: Peer, pictures: list[bytes], rounds: int) -> Series:
    """Pictures a second in requests of many, one request at a time, and in requests of one, in turn."""
    asked, many = requests_of(peer, pictures), [pictures[number % len(pictures)] for number in range(FILES)]
    request = together(peer, many)
    found: Series = {peer.name: [], "single": []}
    for _ in range(rounds):
        load = closed(peer.url, [request], connections=1, seconds=SECONDS)
        found[peer.name].append(FILES * checked(load, peer.name).rate)
        load = closed(peer.url, asked, connections=CONNECTIONS, seconds=SECONDS)
        found["single"].append(checked(load, peer.name).rate)
    return found
