"""Files that older code wrote are read: each is made here as that code made it, not by the writers of today."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
from pyarrow.fs import LocalFileSystem

from features.extract import extract
from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs.dataset.manifest import load_manifest
from ray_jobs.feature_table.cache import load_shard, shard_path
from registry.model.bundle import read_bundle
from registry.model.verified_cache import VerifiedCache, cache_folder
from registry.records.feedback import read_feedback
from registry.records.predictions import find, matrix, read
from registry.settings import Settings
from registry.state import open_state

WHEN = datetime(2026, 3, 4, 12, tzinfo=UTC)
PLAIN = FeatureSpec(acquisition=None)


def write_old_bundle(folder: Path, estimator, detector, images: list[bytes]) -> str:
    """A bundle of format 2: `scope.npz`, and the key `scope` in the evaluation."""
    (folder / "golden").mkdir(parents=True)
    matrix = np.stack([extract(image, DEFAULT_SPEC) for image in images])
    for index, image in enumerate(images):
        (folder / "golden" / f"{index:02d}").write_bytes(image)
    skops.io.dump(estimator, folder / "estimator.skops")
    arrays = {name: getattr(detector, name).astype(np.float32) for name in ("mean", "scale", "components", "normal")}
    np.savez(folder / "scope.npz", limits=np.array([detector.doubtful, detector.refused]), **arrays)
    probabilities = estimator.predict_proba(matrix.astype(np.float64))[:, 1]
    standard = np.clip((matrix - detector.mean) / detector.scale, -20, 20)
    outside = np.square(standard).sum(axis=1) - np.square(standard @ detector.components.T).sum(axis=1)
    distances = np.sqrt(np.maximum(outside, 0) / standard.shape[1])
    card = {
        "format": 2,
        "spec": json.loads(DEFAULT_SPEC.to_json()),
        "spec_fingerprint": DEFAULT_SPEC.fingerprint,
        "threshold": 0.4,
        "evaluation": {"scope": {"held_out": {"refused": {"value": 0.004, "low": 0.0, "high": 0.01}}}},
        "golden": [
            {"probability": float(probability), "distance": float(distance)}
            for probability, distance in zip(probabilities, distances, strict=True)
        ],
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1, sort_keys=True))
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def test_a_bundle_is_read_and_is_what_serving_starts_with(fitted, detector, xrays, settings: Settings):
    digest = write_old_bundle(cache_folder(settings) / "scratch", fitted, detector, xrays[0][:2])
    place = cache_folder(settings) / f"pneumonia-3-{digest[:16]}"
    (cache_folder(settings) / "scratch").rename(place)
    bundle = read_bundle(place, digest=digest)
    assert bundle.score(xrays[0][0]).probability == pytest.approx(
        fitted.predict_proba(extract(xrays[0][0], DEFAULT_SPEC)[None].astype(np.float64))[0, 1]
    )
    assert (bundle.threshold, bundle.detector.refused) == (0.4, pytest.approx(detector.refused))
    record = {
        "name": "pneumonia",
        "version": 3,
        "run_id": "r",
        "source": "models:/m-1",
        "digest": digest,
        "spec_fingerprint": DEFAULT_SPEC.fingerprint,
        "created": WHEN.isoformat(),
    }
    (cache_folder(settings) / "verified.json").write_text(json.dumps(record))
    recalled = VerifiedCache(settings, cache_folder(settings)).recall()
    assert recalled
    assert (recalled[0].version, recalled[0].created, recalled[1].threshold) == (3, WHEN, 0.4)


def test_a_manifest_and_a_feature_cache_are_found(tmp_path: Path):
    columns = ("path", "label", "patient", "role", "sha256", "size", "version")
    types = [pa.field(name, pa.int64() if name == "size" else pa.string(), nullable=False) for name in columns]
    row = {"path": "NORMAL/a.png", "label": "NORMAL", "patient": "a", "role": "train", "size": 1, "version": "1-1"}
    sha256 = hashlib.sha256(b"a").hexdigest()
    summary = {"uri": "/xrays", "digest": "d", "pictures": {}, "patients": {}, "quarantined": {}}
    schema = pa.schema(types, metadata={b"hm-mlflow.dataset": json.dumps(summary).encode()})
    folder = tmp_path / "datasets" / hashlib.sha256(b"/xrays").hexdigest()[:16]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row | {"sha256": sha256}], schema=schema), folder / "manifest.parquet")
    manifest = load_manifest("/xrays", filesystem=LocalFileSystem(), base=str(tmp_path / "datasets"))
    assert manifest
    assert (manifest.digest, manifest.table().to_pylist()[0]["patient"]) == ("d", "a")

    width = len(PLAIN.names)
    vectors = np.arange(width, dtype=np.float32)
    schema = pa.schema(
        [("sha256", pa.string()), ("error", pa.string()), ("features", pa.list_(pa.float32(), width))],
        metadata={b"hm-mlflow.spec": PLAIN.fingerprint.encode()},
    )
    state = open_state(str(tmp_path))
    shard = Path(shard_path(state, PLAIN, sha256[:2]))
    shard.parent.mkdir(parents=True)
    table = {"sha256": [sha256], "error": [""], "features": [vectors.tolist()]}
    pq.write_table(pa.Table.from_pydict(table, schema=schema), shard)
    found, usable = load_shard(state, PLAIN, sha256[:2], [("NORMAL/a.png", sha256)])
    assert usable.tolist() == [True]
    np.testing.assert_array_equal(found.reshape(-1), vectors)


def test_records_and_feedback_are_read(tmp_path: Path):
    state = open_state(str(tmp_path))
    table = pa.table(
        {
            "id": ["abc.0"],
            "time": pa.array([WHEN], pa.timestamp("us", "UTC")),
            "version": pa.array([3], pa.int64()),
            "probability": [0.75],
            "label": ["PNEUMONIA"],
            "features": pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0], pa.float32()), 2),
        }
    ).replace_schema_metadata({b"hm-mlflow.spec": b"fingerprint"})
    records = tmp_path / "predictions" / "records" / "2026-03-04"
    records.mkdir(parents=True)
    pq.write_table(table, records / "120000.000000-w.parquet")
    ((spec, rows),) = read(state, since=WHEN)
    assert (spec, matrix(rows).tolist()) == ("fingerprint", [[1.0, 2.0]])
    found = find(state, "abc.0")
    assert found
    assert (found.version, found.probability, found.label) == (3, 0.75, "PNEUMONIA")

    key = hashlib.sha256(b"abc.0").hexdigest()
    given = tmp_path / "predictions" / "feedback" / key[:2] / f"{key[:40]}.json"
    given.parent.mkdir(parents=True)
    times = {"time": WHEN.isoformat(), "predicted_at": WHEN.isoformat()}
    told = {"prediction_id": "abc.0", "label": "NORMAL", "version": 3, "predicted": "PNEUMONIA", "probability": 0.75}
    given.write_text(json.dumps(told | times))
    (feedback,) = read_feedback(state)
    assert (feedback.prediction_id, feedback.confirms, feedback.predicted_at) == ("abc.0", False, WHEN)
