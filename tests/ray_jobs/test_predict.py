"""Batch scoring, row by row and on Ray."""

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.sources import open_source
from ray_jobs.predict import SCHEMA, predict
from registry.bundle import Bundle
from tests.behaviour.not_xrays import generated


@pytest.fixture
def bundle(fitted, detector) -> Bundle:
    return Bundle(estimator=fitted, spec=DEFAULT_SPEC, threshold=0.5, detector=detector, evaluation={}, golden=())


def test_each_image_has_a_row_in_the_order_of_paths_whatever_its_name_or_content(cluster, bundle, xrays, tmp_path):
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    names = ["a.jpeg", os.fsdecode(b"b\xff.jpeg"), "c ü.png", "d.png", "e.png", "g.png"]
    contents = [xrays[0][0], xrays[0][-1], xrays[0][1], b"", b"\x89PNG\r\n\x1a\nrest", *generated("hand", 1)]
    for name, content in zip(names, contents, strict=True):
        Path(folder, name).write_bytes(content)
    (folder / "f.png").symlink_to(folder / "nothing")
    batches = list(predict(open_source(str(folder)), bundle, 7, ray_address=None))
    rows = pa.Table.from_batches(batches, SCHEMA).to_pylist()
    assert [row["path"] for row in rows] == [
        *("a.jpeg", "b\\udcff.jpeg", "c ü.png", "d.png", "e.png", "f.png", "g.png")
    ]
    assert {row["model_version"] for row in rows} == {7}
    for row, content in zip(rows[:3], contents, strict=False):
        assert row["probability"] == pytest.approx(float(bundle.predict_unchecked([content])[0]), abs=1e-9)
        assert (row["label"], row["error"]) == (bundle.label(row["probability"]), None)
    assert [(row["probability"], row["label"]) for row in rows[3:]] == [(None, None)] * 4
    assert all(row["error"] for row in rows[3:])
    assert "not like the chest X-rays" in rows[-1]["error"]


def test_an_unusual_image_is_scored_with_a_warning(cluster, bundle, xrays, tmp_path):
    strict = replace(bundle, detector=replace(bundle.detector, doubtful=0.0))
    (tmp_path / "a.png").write_bytes(xrays[0][0])
    for model, start in ((bundle, None), (strict, "The picture is unusual")):
        ((row,),) = (batch.to_pylist() for batch in predict(open_source(str(tmp_path)), model, 7, ray_address=None))
        assert (row["warning"] or "").startswith(start or "")
        assert bool(row["warning"]) == bool(start)
        assert row["label"] == model.label(row["probability"])


def test_many_batches_come_in_order_and_none_is_lost(cluster, bundle, monkeypatch):
    monkeypatch.setattr("ray_jobs.predict.BATCH", 3)
    source = open_source("synthetic:40")
    batches = list(predict(source, bundle, 1, ray_address=None))
    paths = [path for batch in batches for path in batch.column("path").to_pylist()]
    assert paths == sorted(entry.path for entry in source.entries())
    assert [len(batch) for batch in batches] == [3] * 13 + [1]
