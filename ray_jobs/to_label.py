"""Which X-rays a person should look at next: `python -m ray_jobs.to_label --out FILE.csv`.

Of the answers that nobody has judged, the least certain and the most unusual come first: the ones from which a training
or a recalibration gains most. Pictures are not kept, so a row names one by its SHA-256, and with --data by its path.
"""

import argparse
import hashlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.special import logit

from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.sources import open_source
from ray_jobs.runtime.cli import positive, run_job
from ray_jobs.runtime.output import OutputFile
from ray_jobs.runtime.progress import Progress
from registry.errors import UsageError
from registry.model.bundle import Bundle
from registry.model.versions import ModelVersion, fetch
from registry.production.current import required_production
from registry.records.feedback import read_feedback
from registry.records.predictions import hashes, made_by, matrix, read
from registry.settings import Settings
from registry.state import State, open_state

MOST, DAYS = 100, 30.0
SCHEMA = pa.schema(
    [
        pa.field("prediction_id", pa.string(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("path", pa.string()),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("probability", pa.float64()),
        pa.field("distance", pa.float64()),
        pa.field("why", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Unjudged:
    """Answers (N,) that nobody has judged, the newest of each picture: id, SHA-256, time, features (N, D), score."""

    ids: np.ndarray
    sha256: np.ndarray
    times: np.ndarray
    features: np.ndarray
    scores: np.ndarray


def unjudged(state: State, version: ModelVersion, *, days: float) -> Unjudged:
    """The answers of a version in some days, without those that people have judged, by id or by picture.

    Raises
    ------
    UsageError
        If there is none.
    """
    words = read_feedback(state)
    judged = {word.prediction_id for word in words} | {word.sha256 for word in words if word.sha256}
    rows = dict[str, tuple[str, str, datetime, np.ndarray, float]]()
    for spec, table in read(state, since=datetime.now(UTC) - timedelta(days=days)):
        if spec != version.spec_fingerprint:
            continue
        mine = table.filter(made_by(table, version.version, version.digest))
        columns = (mine.column(name).to_pylist() for name in ("id", "time", "probability"))
        for name, when, score, sha256, features in zip(*columns, hashes(mine), matrix(mine), strict=True):
            if not judged & {name, sha256}:
                rows[sha256 or name] = (name, sha256, when, features, score)
    if not rows:
        raise UsageError(
            f"there is no answer of {version} in {days:g} days that nobody has judged; look further back with --since"
        )
    ids, sha256s, times, features, scores = zip(*rows.values(), strict=True)
    return Unjudged(
        ids=np.array(ids),
        sha256=np.array(sha256s),
        times=np.array(times),
        features=np.stack(features),
        scores=np.array(scores),
    )


def order(found: Unjudged, bundle: Bundle) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """In which order to label, (N,), how unusual each is, (N,), and why each stands where it does.

    Each answer has a rank by how near its score is to the threshold, in log-odds, and one by its distance from the
    training X-rays. The better of the two counts, so that both kinds take turns.
    """
    margin = np.abs(_log_odds(found.scores) - _log_odds(np.array(bundle.threshold)))
    distance = bundle.detector.distance(found.features)
    certain, unusual = np.argsort(np.argsort(margin, kind="stable")), np.argsort(np.argsort(-distance, kind="stable"))
    chosen = np.lexsort((np.maximum(certain, unusual), np.minimum(certain, unusual)))
    why = ["near the threshold" if near <= far else "unusual" for near, far in zip(certain, unusual, strict=True)]
    return chosen, distance, why


def _log_odds(probability: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probability, 1e-6, 1 - 1e-6)))


def paths_of(uri: str, wanted: set[str]) -> dict[str, str]:
    """The paths of those files of a source that have a wanted SHA-256."""
    source, found = open_source(uri), dict[str, str]()
    paths = sorted(entry.path for entry in source.entries())
    with Progress("looking for the pictures", unit="file", total=len(paths)) as progress:
        for path in paths:
            progress.update()
            try:
                sha256 = hashlib.sha256(source.read(path)).hexdigest()
            except EntryError:
                continue
            if sha256 in wanted:
                found[sha256] = path
    return found


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.to_label",
        description="List the answers that a person should judge next: the least certain and the most unusual first.",
        data=False,
        uses=("tracking", "state"),
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=OutputFile.parse, required=True, metavar="FILE", help="FILE.csv or FILE.parquet, here or in s3://"
    )
    parser.add_argument("--since", type=positive, default=int(DAYS), metavar="DAYS", help="how far back (%(default)s)")
    parser.add_argument("--most", type=positive, default=MOST, metavar="N", help="rows of the list (%(default)s)")
    parser.add_argument("--data", metavar="URI", dest="pictures", help="where the pictures are, to name their paths")


def _job(settings: Settings, options: argparse.Namespace) -> None:
    options.out.try_out()
    version = required_production(settings)
    found = unjudged(open_state(settings.state_uri), version, days=options.since)
    with tempfile.TemporaryDirectory() as scratch:
        chosen, distance, why = order(found, fetch(settings, version, Path(scratch) / "bundle"))
    chosen = chosen[: options.most]
    paths = paths_of(options.pictures, set(found.sha256[chosen].tolist())) if options.pictures else {}
    rows = [
        {
            "prediction_id": str(found.ids[index]),
            "sha256": str(found.sha256[index]) or None,
            "path": paths.get(str(found.sha256[index])),
            "time": found.times[index],
            "probability": float(found.scores[index]),
            "distance": float(distance[index]),
            "why": why[index],
        }
        for index in chosen
    ]
    options.out.write([pa.RecordBatch.from_pylist(rows, schema=SCHEMA)], SCHEMA)
    print(f"{len(rows)} of {len(found.ids)} answers of {version} that nobody has judged: {options.out}")


if __name__ == "__main__":
    main()
