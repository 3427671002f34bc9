"""The labelling list: what nobody has judged, the least certain and the most unusual first, each picture once."""

import csv
import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from features.extract import extract
from features.spec import DEFAULT_SPEC
from ray_jobs.to_label import order, paths_of, unjudged
from registry.errors import UsageError
from registry.model.versions import ModelVersion, register
from registry.production.promotion import promote
from registry.records.feedback import record_feedback
from registry.records.prediction_ids import PredictionIds
from registry.records.predictions import Record, find, path_of, write
from registry.settings import ROOT
from registry.state import open_state

VERSION = ModelVersion(
    name="pneumonia",
    version=1,
    run_id="",
    source="",
    digest="",
    spec_fingerprint=DEFAULT_SPEC.fingerprint,
    created=datetime.now(UTC),
)


def keep(state, features: np.ndarray, scores: list[float], hashes: list[str]) -> list[Record]:
    ids, now = PredictionIds(), datetime.now(UTC)
    made = [
        Record(
            id=ids.new(),
            time=now,
            version=1,
            probability=score,
            label="PNEUMONIA" if score >= 0.5 else "NORMAL",
            spec=DEFAULT_SPEC.fingerprint,
            features=row,
            sha256=sha256,
        )
        for row, score, sha256 in zip(features, scores, hashes, strict=True)
    ]
    write(state, path_of(state, made[0].time, made[0].id), made)
    return made


def test_the_least_certain_and_the_most_unusual_take_turns_at_the_top(bundle, xrays, tmp_path):
    state = open_state(str(tmp_path / "state"))
    usual = np.stack([extract(image, DEFAULT_SPEC) for image in xrays[0][:4]])
    strange = np.random.default_rng(0).uniform(-3, 3, (1, usual.shape[1])).astype(np.float32)
    made = keep(state, np.concatenate([usual, strange]), [0.02, 0.97, 0.51, 0.9, 0.999], list("abcde"))

    found = unjudged(state, VERSION, days=1)
    chosen, distance, why = order(found, bundle)

    assert {str(found.ids[index]) for index in chosen[:2]} == {made[2].id, made[4].id}
    assert {why[index] for index in chosen[:2]} == {"near the threshold", "unusual"}
    assert int(np.argmax(distance)) == list(found.ids).index(made[4].id)


def test_a_picture_that_was_judged_or_asked_about_twice_is_not_listed_again(xrays, tmp_path):
    state = open_state(str(tmp_path / "state"))
    features = np.stack([extract(image, DEFAULT_SPEC) for image in xrays[0][:4]])
    made = keep(state, features, [0.1, 0.2, 0.3, 0.4], ["same", "same", "same", "other"])
    assert list(unjudged(state, VERSION, days=1).ids) == [made[2].id, made[3].id]

    record_feedback(state, find(state, made[0].id), "NORMAL")
    assert list(unjudged(state, VERSION, days=1).ids) == [made[3].id]
    record_feedback(state, find(state, made[3].id), "NORMAL")
    with pytest.raises(UsageError, match="nobody has judged; look further back with --since"):
        unjudged(state, VERSION, days=1)


def test_pictures_are_found_by_their_content(folder):
    some = sorted(path for path in folder.rglob("*") if path.is_file())[:2]
    wanted = {hashlib.sha256(path.read_bytes()).hexdigest(): str(path.relative_to(folder)) for path in some}
    assert paths_of(str(folder), {*wanted, "nowhere"}) == wanted


def test_the_command_writes_the_list(settings, run_id, make_bundle, xrays, tmp_path):
    make_bundle(tmp_path / "bundle")
    version = register(settings, run_id=run_id, bundle_folder=tmp_path / "bundle")
    promote(settings, version, why="the first")
    features = np.stack([extract(image, DEFAULT_SPEC) for image in xrays[0][:3]])
    keep(open_state(settings.state_uri), features, [0.02, 0.5, 0.99], list("abc"))
    command = [sys.executable, "-m", "ray_jobs.to_label", "--out", str(tmp_path / "list.csv"), "--most", "2"]
    variables = {"MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri, "STATE_URI": settings.state_uri}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 answers of pneumonia version 1 that nobody has judged" in done.stdout
    rows = list(csv.DictReader((tmp_path / "list.csv").open()))
    assert rows[0]["sha256"] == "b" or rows[1]["sha256"] == "b"
    assert len(rows) == 2
