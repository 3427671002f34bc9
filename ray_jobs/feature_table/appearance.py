"""What each X-ray looks like, and what a model's detector says of it: on Ray, shard by shard, kept in the state."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from features.look import look
from features.reading.colour import colourfulness
from features.reading.decode import READING_VERSION, decode
from features.reading.errors import NotAChestXray
from features.spec import FeatureSpec
from ray_jobs.dataset.entry import Source
from ray_jobs.dataset.errors import DatasetError
from ray_jobs.dataset.manifest import Manifest, images_of
from ray_jobs.feature_table.cache import check_as_listed, load_shard
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.patience import in_turn
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task
from registry.model.out_of_distribution import JUDGING_VERSION, OutOfDistributionDetector
from registry.state import State

_SCHEMA = pa.schema(
    [
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("width", pa.int64(), nullable=False),
        pa.field("height", pa.int64(), nullable=False),
        pa.field("grey", pa.float64(), nullable=False),
        pa.field("refused", pa.string(), nullable=False),
        pa.field("doubtful", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Arrays (N,): width and height in pixels, mean grey from 0 to 1, the reason of a refusal or "", and a warning."""

    width: np.ndarray
    height: np.ndarray
    grey: np.ndarray
    refused: np.ndarray
    doubtful: np.ndarray

    def only(self, rows: np.ndarray) -> "Appearance":
        """Those that a mask (N,) chooses."""
        return Appearance(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Looking:
    """What workers need to look: pictures, the cached features of `spec`, and the detector of the model `digest`."""

    source: Source
    state: State
    spec: FeatureSpec
    detector: OutOfDistributionDetector
    digest: str

    def path(self, prefix: str) -> str:
        """The file that keeps what was seen of a shard; another model, decoder or judge has another."""
        seen_by = f"{self.digest[:16]}-{READING_VERSION}-{JUDGING_VERSION}"
        return self.state.path("appearance", seen_by, f"{prefix}.parquet")

    def seen(self, prefix: str) -> pa.Table:
        """What is kept of a shard."""
        path = self.path(prefix)
        return pq.read_table(io.BytesIO(self.state.read(path))) if self.state.exists(path) else _SCHEMA.empty_table()


def appearance_of(looking: Looking, manifest: Manifest, sha256: np.ndarray, *, ray_address: str | None) -> Appearance:
    """The appearance of X-rays whose features are cached, in the order of `sha256` (N,); what is kept is read."""
    waiting = list(_missing(looking, manifest, set(sha256)))
    with Progress("looking", unit="image", total=sum(len(images) for _, images in waiting)) as progress:
        for count in _on_workers(looking, waiting, ray_address):
            progress.update(count)
    seen = pa.concat_tables([looking.seen(prefix) for prefix in sorted({name[: manifest.digits] for name in sha256})])
    place = {name: index for index, name in enumerate(seen.column("sha256").to_pylist())}
    if not place.keys() >= set(sha256):
        raise DatasetError("another job wrote to the same files meanwhile; run this job again, and only they are read")
    rows = seen.take([place[name] for name in sha256])
    return Appearance(**{name: np.asarray(rows.column(name).to_pylist()) for name in _SCHEMA.names if name != "sha256"})


def _missing(looking: Looking, manifest: Manifest, wanted: set[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for prefix, rows in manifest.shards():
        known = set(looking.seen(prefix).column("sha256").to_pylist())
        lacking = [(path, name) for path, name in images_of(rows) if name in wanted and name not in known]
        if lacking:
            yield prefix, lacking


def _on_workers(
    looking: Looking, waiting: list[tuple[str, list[tuple[str, str]]]], ray_address: str | None
) -> Iterator[int]:
    if not waiting:
        return
    connect(ray_address)
    common = ray.put(looking)
    yield from in_turn(lambda shard: _look.remote(common, *shard), waiting, "looking")


@task(span="look at a shard", max_retries=3)
def _look(looking: Looking, prefix: str, images: list[tuple[str, str]]) -> int:
    cv2.setNumThreads(1)  # the worker has one core; OpenCV would start a thread for every core of the machine
    features, _ = load_shard(looking.state, looking.spec, prefix, images)
    rows = [_row(looking, *image, mine[0]) for image, mine in zip(images, features, strict=True)]
    table = pa.concat_tables([looking.seen(prefix), pa.Table.from_pylist(rows, schema=_SCHEMA)])
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    looking.state.write(looking.path(prefix), content.getvalue())
    return len(images)


def _row(looking: Looking, path: str, sha256: str, features: np.ndarray) -> dict[str, object]:
    data = looking.source.read(path)
    check_as_listed(data, sha256, name=path)
    pixels = decode(data)
    refused, doubts = "", tuple[object, ...]()
    try:
        doubts = looking.detector.judge(pixels, look(pixels, looking.spec), features, colourfulness(data), looking.spec)
    except NotAChestXray as error:
        refused = str(error.reason)
    return {
        "sha256": sha256,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "grey": float(pixels.mean() / np.iinfo(pixels.dtype).max),
        "refused": refused,
        "doubtful": bool(doubts),
    }
