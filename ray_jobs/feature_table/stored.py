"""The features of a manifest's rows, read from the cache shard by shard, and its sides, of which few are in memory."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.spec import FeatureSpec
from ray_jobs.dataset.errors import DatasetError
from ray_jobs.dataset.manifest import Manifest
from ray_jobs.dataset.split import is_held_out
from ray_jobs.feature_table.cache import CacheError, load_shard
from ray_jobs.learning.sample import choose, key_of, order_of_shards
from ray_jobs.learning.table import FeatureTable, Sides, StoredFeatures
from registry.state import State

PIECE = 2048  # rows that are in memory at least, so that a dataset of thousands is scored at once
_TRAIN, _HELD_OUT, _TEST, _LOST = range(4)


def stored_sides(
    manifest: Manifest, state: State, spec: FeatureSpec, *, without: Set[str], most: int, seed: int
) -> Sides:
    """The sides of a manifest; `without` are the sha256 of rows that have no features.

    To train on there are at most `most` rows (see `choose`); of the others some ten bytes each are in memory.
    """
    side, labels, patients, turns = _surveyed(manifest, without, seed=seed)
    train = np.flatnonzero(side == _TRAIN)
    sampled = train[choose(labels[train], patients[train], turns[train], most=most)]

    def stored(places: np.ndarray) -> StoredFeatures:
        return stored_features(manifest, state, spec, places)

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
    manifest: Manifest, state: State, spec: FeatureSpec, *, without: Set[str] = frozenset()
) -> StoredFeatures:
    """All rows of a manifest but `without`, given by sha256, which have no features; raises CacheError if none has."""
    side = _surveyed(manifest, without, seed=0)[0]
    if (side == _LOST).all():
        raise no_features(manifest)
    return stored_features(manifest, state, spec, np.flatnonzero(side != _LOST))


def no_features(manifest: Manifest) -> CacheError:
    """What to say where nothing has features."""
    return CacheError(f"None of the {manifest.rows} images of {manifest.uri} has features; see the quarantine report.")


def stored_features(manifest: Manifest, state: State, spec: FeatureSpec, places: np.ndarray) -> StoredFeatures:
    """The rows of a manifest at some places, ascending (N,), all of which have features in the cache."""
    names, labels, patients, roles = list[str](), list[np.ndarray](), list[str](), list[str]()
    for rows in _at(manifest, places):
        roles += rows.column("role").to_pylist()
        names += rows.column("sha256").to_pylist()
        labels.append(_labels(rows))
        patients += rows.column("patient").to_pylist()
    return StoredFeatures(
        sha256=np.asarray(names, str),
        labels=np.concatenate([np.zeros(0, np.int64), *labels]),
        patients=np.asarray(patients, str),
        roles=np.asarray(roles, str),
        places=places,
        pieces=Reader(manifest, state, spec),
    )


@dataclass(frozen=True)
class Reader:
    """Reads features of rows of a manifest piece by piece."""

    manifest: Manifest
    state: State
    spec: FeatureSpec

    def __call__(self, places: np.ndarray) -> Iterator[FeatureTable]:
        """The rows at some places, ascending, in their order; a piece is some whole shards, at least PIECE rows.

        Raises
        ------
        DatasetError
            If a row has no features.
        """
        matrices, tables, count = list[np.ndarray](), list[pa.Table](), 0
        for prefix, rows in self._shards(places):
            images = list(zip(rows.column("path").to_pylist(), rows.column("sha256").to_pylist(), strict=True))
            matrix, usable = load_shard(self.state, self.spec, prefix, images)
            if not usable.all():
                raise DatasetError(
                    f"{(~usable).sum()} images have lost their features to another job that wrote to the same cache "
                    "meanwhile; run this job again, and only they will be extracted"
                )
            matrices.append(matrix)
            tables.append(rows)
            count += len(rows)
            if count >= PIECE:
                yield self._piece(matrices, tables)
                matrices, tables, count = [], [], 0
        if tables or not len(places):
            yield self._piece(matrices, tables)

    def _shards(self, places: np.ndarray) -> Iterator[tuple[str, pa.Table]]:
        start = 0
        for prefix, shard in self.manifest.shards():
            first, end = np.searchsorted(places, [start, start + len(shard)])
            if end > first:
                yield prefix, shard.take(pa.array(places[first:end] - start))
            start += len(shard)

    def _piece(self, matrices: list[np.ndarray], tables: list[pa.Table]) -> FeatureTable:
        nothing = np.zeros((0, self.spec.rows.count, len(self.spec.names)), np.float32)
        matrix = np.concatenate([*matrices, nothing]) if len(matrices) != 1 else matrices[0]
        fitted = 1 + self.spec.rows.fitted
        names, patients, roles = (
            np.asarray([text for rows in tables for text in rows.column(name).to_pylist()], str)
            for name in ("sha256", "patient", "role")
        )
        return FeatureTable(
            features=matrix[:, 0],
            views=matrix[:, 1:fitted],
            judged=matrix[:, fitted:],
            sha256=names,
            labels=np.concatenate([np.zeros(0, np.int64), *map(_labels, tables)]),
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


def _at(manifest: Manifest, places: np.ndarray) -> Iterator[pa.RecordBatch]:
    """The rows at some places, ascending."""
    for start, batch in _numbered(manifest):
        first, end = np.searchsorted(places, [start, start + len(batch)])
        if end > first:
            yield batch.take(pa.array(places[first:end] - start))


def _labels(rows: pa.RecordBatch | pa.Table) -> np.ndarray:
    return np.asarray(pc.equal(rows.column("label"), "PNEUMONIA")).astype(np.int64)
