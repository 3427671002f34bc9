"""The features of a manifest's rows, read from the cache shard by shard, and its sides, of which few are in memory."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray

from features.spec import FeatureSpec
from ray_jobs.dataset.errors import DatasetError
from ray_jobs.dataset.manifest import Manifest, images_of
from ray_jobs.dataset.split import is_held_out
from ray_jobs.feature_table.cache import CacheError, load_shard
from ray_jobs.learning.sample import choose, key_of, order_of_shards
from ray_jobs.learning.table import Ask, FeatureTable, Sides, StoredFeatures
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.patience import in_turn
from ray_jobs.runtime.progress import Progress
from ray_jobs.runtime.tasks import task
from registry.state import State

PIECE = 2048  # rows that are in memory at least, so that a dataset of thousands is scored at once
FEW = 10_000  # rows are answered about here, in seconds; more of them on the workers
_TRAIN, _HELD_OUT, _TEST, _LOST = range(4)

Shard = tuple[str, pa.Table]
"""A prefix of sha256, and rows of the manifest that begin with it."""


def stored_sides(
    manifest: Manifest,
    state: State,
    spec: FeatureSpec,
    *,
    without: Set[str],
    most: int,
    seed: int,
    ray_address: str | None = None,
) -> Sides:
    """The sides of a manifest; `without` are the sha256 of rows that have no features.

    To train on there are at most `most` rows (see `choose`); of the others some ten bytes each are in memory.
    """
    side, labels, patients, turns = _surveyed(manifest, without, seed=seed)
    train = np.flatnonzero(side == _TRAIN)
    sampled = train[choose(labels[train], patients[train], turns[train], most=most)]

    def stored(places: np.ndarray) -> StoredFeatures:
        return stored_features(manifest, state, spec, places, ray_address=ray_address)

    return Sides(
        train=stored(sampled),
        held_out=stored(np.flatnonzero(side == _HELD_OUT)),
        test=stored(np.flatnonzero(side == _TEST)),
        left_out=_LeftOut(manifest, len(train) - len(sampled)) if len(train) > len(sampled) else None,
    )


@dataclass(frozen=True)
class _LeftOut:
    """The rows of the training side that are not in the sample."""

    manifest: Manifest
    count: int

    def __len__(self) -> int:
        return self.count

    def among(self, sha256: np.ndarray) -> np.ndarray:
        """Bool (M,): which of some X-rays are on the training side, in the sample or not."""
        rows = named_rows(self.manifest, set(sha256.tolist()), "sha256", "patient", "role").to_pylist()
        found = {row["sha256"] for row in rows if row["role"] != "test" and not is_held_out(row["patient"])}
        return np.array([name in found for name in sha256.tolist()], bool)


def stored_rows(
    manifest: Manifest,
    state: State,
    spec: FeatureSpec,
    *,
    without: Set[str] = frozenset(),
    ray_address: str | None = None,
) -> StoredFeatures:
    """All rows of a manifest but `without`, given by sha256, which have no features; raises CacheError if none has."""
    side = _surveyed(manifest, without, seed=0)[0]
    if (side == _LOST).all():
        raise no_features(manifest)
    return stored_features(manifest, state, spec, np.flatnonzero(side != _LOST), ray_address=ray_address)


def no_features(manifest: Manifest) -> CacheError:
    """What to say where nothing has features."""
    return CacheError(f"None of the {manifest.rows} images of {manifest.uri} has features; see the quarantine report.")


def stored_features(
    manifest: Manifest, state: State, spec: FeatureSpec, places: np.ndarray, *, ray_address: str | None = None
) -> StoredFeatures:
    """The rows of a manifest at some places, ascending (N,), all of which have features in the cache."""
    # Each text takes what it needs: NumPy's own kind would take four times as much, a list of Python's five times.
    texts = {name: np.empty(len(places), np.dtypes.StringDType()) for name in ("sha256", "patient", "role")}
    labels, start = np.empty(len(places), np.int64), 0
    for rows in _at(manifest, places, [*texts, "label"]):
        place = slice(start, start + len(rows))
        labels[place] = _labels(rows)
        for name, column in texts.items():
            column[place] = rows.column(name).to_pylist()
        start += len(rows)
    return StoredFeatures(
        sha256=texts["sha256"],
        labels=labels,
        patients=texts["patient"],
        roles=texts["role"],
        places=places,
        pieces=Reader(manifest, state, spec, ray_address),
    )


@dataclass(frozen=True)
class Reader:
    """Reads features of rows of a manifest piece by piece: here, or on the workers of the Ray at an address."""

    manifest: Manifest
    state: State
    spec: FeatureSpec
    ray_address: str | None

    def __call__(self, places: np.ndarray) -> Iterator[FeatureTable]:
        """The rows at some places, ascending, in their order; a piece is some whole shards, at least PIECE rows.

        Raises
        ------
        DatasetError
            If a row has no features.
        """
        return (read_piece(self.state, self.spec, shards) for shards in self._pieces(places))

    def answers(self, places: np.ndarray, ask: Ask) -> Iterator[np.ndarray]:
        """What `ask` answers about each piece, in their order; where there are more than FEW rows, on the workers.

        Raises
        ------
        DatasetError
            If a row has no features.
        """
        if len(places) <= FEW:
            yield from map(ask, self(places))
            return
        connect(self.ray_address)
        common = ray.put((self.state, self.spec, ask))
        with Progress("scoring", unit="image", total=len(places)) as progress:
            for answer in in_turn(lambda shards: _answer.remote(common, shards), self._pieces(places), "scoring"):
                yield answer
                progress.update(len(answer))

    def _pieces(self, places: np.ndarray) -> Iterator[list[Shard]]:
        shards, count = list[Shard](), 0
        for prefix, rows in self._shards(places):
            shards.append((prefix, rows))
            count += len(rows)
            if count >= PIECE:
                yield shards
                shards, count = [], 0
        if shards or not len(places):
            yield shards

    def _shards(self, places: np.ndarray) -> Iterator[Shard]:
        start = 0
        for prefix, shard in self.manifest.shards():
            first, end = np.searchsorted(places, [start, start + len(shard)])
            if end > first:
                yield prefix, shard.take(pa.array(places[first:end] - start))
            start += len(shard)


@task(span="score a piece", max_retries=5)
def _answer(common: tuple[State, FeatureSpec, Ask], shards: list[Shard]) -> np.ndarray:
    state, spec, ask = common
    return ask(read_piece(state, spec, shards))


def read_piece(state: State, spec: FeatureSpec, shards: list[Shard]) -> FeatureTable:
    """Some rows of some shards with their features, in memory; raises DatasetError where a row has none."""
    matrices, fitted = list[np.ndarray](), 1 + spec.rows.fitted
    for prefix, rows in shards:
        images = images_of(rows)
        matrix, usable = load_shard(state, spec, prefix, images)
        if not usable.all():
            raise DatasetError(
                f"{(~usable).sum()} images have lost their features to another job that wrote to the same cache "
                "meanwhile; run this job again, and only they will be extracted"
            )
        matrices.append(matrix)
    nothing = np.zeros((0, spec.rows.count, len(spec.names)), np.float32)
    matrix = np.concatenate([*matrices, nothing]) if len(matrices) != 1 else matrices[0]
    names, patients, roles = (
        np.asarray([text for _, rows in shards for text in rows.column(name).to_pylist()], str)
        for name in ("sha256", "patient", "role")
    )
    return FeatureTable(
        features=matrix[:, 0],
        views=matrix[:, 1:fitted],
        judged=matrix[:, fitted:],
        sha256=names,
        labels=np.concatenate([np.zeros(0, np.int64), *(_labels(rows) for _, rows in shards)]),
        patients=patients,
        roles=roles,
    )


def named_rows(manifest: Manifest, sha256: Set[str], *columns: str) -> pa.Table:
    """The rows of some X-rays, of those that a manifest has, with some columns; only they are in memory."""
    wanted = pa.array(sorted(sha256), pa.string())
    found = [
        batch.filter(pc.is_in(batch.column("sha256"), value_set=wanted)).select(list(columns))
        for batch in manifest.batches()
    ]
    return pa.Table.from_batches([batch for batch in found if len(batch)] or found[:1])


def _surveyed(
    manifest: Manifest, without: Set[str], *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of every row, (N,): its side, its label, a number of its patient, and when its shard is taken to a sample."""
    digits = manifest.digits
    order = order_of_shards(16**digits, seed=seed).astype(np.int32)
    side, labels = np.empty(manifest.rows, np.int8), np.empty(manifest.rows, np.int8)
    patients, turns = np.empty(manifest.rows, np.uint64), np.empty(manifest.rows, np.int32)
    for start, batch in _numbered(manifest):
        place = slice(start, start + len(batch))
        names, roles, ids = (batch.column(name).to_pylist() for name in ("sha256", "role", "patient"))
        side[place] = [
            _LOST if name in without else _TEST if role == "test" else _HELD_OUT if is_held_out(patient) else _TRAIN
            for name, role, patient in zip(names, roles, ids, strict=True)
        ]
        labels[place] = _labels(batch)
        patients[place] = [key_of(patient) for patient in ids]
        turns[place] = order[[int(name[:digits], 16) for name in names]]
    return side, labels, patients, turns


def _numbered(manifest: Manifest) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    for batch in manifest.batches():
        yield start, batch
        start += len(batch)


def _at(manifest: Manifest, places: np.ndarray, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Columns of the rows at some places, ascending."""
    for start, batch in _numbered(manifest):
        first, end = np.searchsorted(places, [start, start + len(batch)])
        if end > first:
            yield batch.select(columns).take(pa.array(places[first:end] - start))


def _labels(rows: pa.RecordBatch | pa.Table) -> np.ndarray:
    return np.asarray(pc.equal(rows.column("label"), "PNEUMONIA")).astype(np.int64)
