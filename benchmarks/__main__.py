"""Every figure that is asked of the project's speed, each beside a peer or an earlier commit, in one run.

``make bench``, or ``python -m benchmarks [--data FOLDER] [--resume]``, takes about 20 minutes on two cores, besides
the first installation of the peers. Results are kept after each part, in .local/benchmarks/results.json; what a part
lacks is said in the table, and the others go on. ``python -m benchmarks.readme`` writes both READMEs from them. Exits
with 1 where something that is asked is not kept or was not measured. On a machine that does other work, the figures are
those of such a machine; how much of it was used is kept beside them.
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import before, history, serving
from benchmarks.batch import batch
from benchmarks.claims import figures
from benchmarks.environments import ENVIRONMENTS, installed
from benchmarks.production import Production
from benchmarks.readme import MEASURED
from benchmarks.report import facts, last_line
from benchmarks.results import Measured, Results
from benchmarks.table import text
from registry.settings import ROOT

_LOOK_S = 3.0
_EVERY = 2  # of the pictures, how few are described in a round


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the parts measure with; without `rounds`, each has as many as it needs."""

    made: Production
    sides: before.Sides
    pythons: dict[str, Path]
    rounds: int | None


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is measured at once, the series that come of it, and about how long it takes on two cores."""

    series: tuple[str, ...]
    minutes: float
    measure: Callable[[Given, Path], Measured]


PARTS = {
    "features": Part(
        series=("features", "difference"),
        minutes=0.5,
        measure=lambda given, scratch: before.features(
            given.sides, given.made.pictures[::_EVERY], scratch, given.rounds
        ),
    ),
    "start": Part(series=("start",), minutes=1, measure=lambda given, _: before.start(given.sides, given.rounds)),
    "batch": Part(
        series=("batch",),
        minutes=1,
        measure=lambda given, scratch: batch(
            given.made.bundle, given.made.digest, given.made.pictures, scratch, given.rounds
        ),
    ),
    "idle": Part(
        series=("idle",),
        minutes=4,
        measure=lambda given, scratch: serving.idle(given.made, given.pythons, scratch, given.rounds),
    ),
    "real": Part(
        series=("real", "tail", "files", "overload"),
        minutes=6,
        measure=lambda given, scratch: serving.real(given.made, given.pythons, scratch, given.rounds),
    ),
    "page": Part(
        series=("page",), minutes=6, measure=lambda given, scratch: before.page(given.sides, scratch, given.rounds)
    ),
}


def measured(given: Given, results: Results, parts: list[str], file: Path, scratch: Path) -> None:
    """Run parts, and keep what each finds, or why it found nothing, as soon as it has ended."""
    results.save(file)
    for place, name in enumerate(parts):
        # Again: Ray puts a handler of its own there, which ends nothing else.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        part, folder = PARTS[name], scratch / name
        folder.mkdir()
        print(f"[{place + 1}/{len(parts)}] {name}, about {part.minutes:g} min", flush=True)
        busy = psutil.cpu_percent(interval=_LOOK_S) / 100
        begun = time.perf_counter()
        try:
            found = part.measure(given, folder)
        except Exception as error:  # whatever a part lacks, the others can do without
            why = f"{type(error).__name__}: {last_line(str(error)) or 'no more is known'}"
            print(f"  {why}")
            found = Measured(series={}, missing=dict.fromkeys(part.series, why))
        results.add(name, found, busy=busy, seconds=time.perf_counter() - begun)
        results.save(file)


def about(base: str, data: Path | None) -> dict[str, Any]:
    """On what a run is made, without the names of places."""
    try:
        commit = history.git("describe", "--always", "--dirty", "--exclude=*")
    except history.NoHistoryError:
        commit = "unknown"
    date = datetime.now(UTC).date().isoformat()
    return {"date": date, "commit": commit, "before": base, "data": "given" if data else "generated", **facts()}


def begun(file: Path, now: dict[str, Any]) -> Results:
    """An earlier run to go on with; exits where there is none, or where it was one of something else."""
    if not file.is_file():
        raise SystemExit(f"there is no {file}; begin without --resume")
    results = Results.load(file)
    other = [name for name in now if name != "date" and results.about.get(name) != now[name]]
    if other:
        raise SystemExit(f"the earlier run has another {', '.join(other)}; begin without --resume")
    return results


def prepared(options: argparse.Namespace, results: Results, scratch: Path) -> Given:
    """The peers' Pythons, the earlier commit and the model; what is not to be had is said in the results."""
    print(f"installing {', '.join(ENVIRONMENTS)} where they are not yet, which is not counted", flush=True)
    pythons, lost = installed()
    sides = {"now": ROOT}
    try:
        sides["before"] = history.unpacked(options.before, scratch / "before")
    except history.NoHistoryError as error:
        lost["before"] = f"that commit cannot be had: {error}"
    for name, why in lost.items():
        print(f"  {name} is left out: {why}")
    results.missing |= lost
    made = Production.made(scratch, options.data)
    return Given(made=made, sides=sides, pythons=pythons, rounds=options.rounds)


def main() -> int:
    """Print the progress, and the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="X-rays of this folder, not generated ones")
    parser.add_argument("--before", metavar="COMMIT", default=before.BASE, help=f"beside it (default: {before.BASE})")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS], help="only these (default: all)")
    parser.add_argument("--rounds", type=int, help="so many in each part, for a try (default: what each part needs)")
    parser.add_argument("--resume", action="store_true", help="go on with the parts that an earlier run did not end")
    options = parser.parse_args()
    now = about(options.before, options.data)
    results = begun(MEASURED, now) if options.resume else Results(about=now)
    parts = [name for name in options.parts if not set(PARTS[name].series) <= set(results.series)]
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    print(f"about {sum(PARTS[name].minutes for name in parts):g} minutes on two cores")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            measured(prepared(options, results, Path(scratch)), results, parts, MEASURED, Path(scratch))
    except KeyboardInterrupt:
        print("\ninterrupted; what was measured is kept, and the same command with --resume goes on")
        return 130
    print(f"\n{text(results)}\n\n{MEASURED}")
    return int(any(figure.claim.relation and not figure.kept for figure in figures(results)))


if __name__ == "__main__":
    raise SystemExit(main())
