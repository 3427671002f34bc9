"""The sides of a manifest, read shard by shard: the same rows as all at once, and only what is asked for."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.driver import TINY
from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.errors import DatasetError, SourceError
from ray_jobs.dataset.manifest import images_of
from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.cache import extract_shard, shard_path, stored_prefixes
from ray_jobs.feature_table.extraction import extract_features
from ray_jobs.feature_table.hashing import Hashing
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.feature_table.stored import named_rows, stored_rows, stored_sides
from ray_jobs.learning.evaluate import view_probabilities
from ray_jobs.learning.table import FeatureTable, Sides
from registry.settings import Settings
from registry.state import open_state

COUNT = 120
# With views to fit on and to judge by.
QUICK = replace(TINY, acquisition=DEFAULT_SPEC.acquisition)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    """A dataset whose features are in the cache."""
    made = prepare(Settings(data_uri=f"synthetic:{COUNT}", state_uri=str(tmp_path_factory.mktemp("state"))))
    for prefix, rows in made.manifest.shards():
        images = images_of(rows)
        assert extract_shard(made.source, made.state, QUICK, prefix, images) == []
    return made


def sides_of(prepared: Prepared, *, most: int, seed: int = 0) -> Sides:
    return stored_sides(prepared.manifest, prepared.state, QUICK, without=frozenset(), most=most, seed=seed)


def same(one: FeatureTable, other: FeatureTable) -> None:
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)


def test_what_is_read_piece_by_piece_is_what_is_read_at_once(prepared, monkeypatch):
    whole = stored_rows(prepared.manifest, prepared.state, QUICK).read()
    assert len(whole) == COUNT
    expected = Sides.of(whole)
    monkeypatch.setattr("ray_jobs.feature_table.stored.PIECE", 16)
    found = sides_of(prepared, most=COUNT)
    assert found.left_out is None
    for name in ("train", "held_out", "test"):
        same(getattr(found, name).read(), getattr(expected, name))
    pieces: list[int] = []

    def views(piece: FeatureTable) -> np.ndarray:
        pieces.append(len(piece))
        return view_probabilities(piece.judged, lambda features: features[:, 0])

    np.testing.assert_array_equal(found.held_out.each(views), expected.held_out.judged[:, :, 0])
    assert len(pieces) > 1
    assert max(pieces) < 16 + 10
    odd = np.arange(len(found.held_out)) % 2 == 1
    same(found.held_out.only(odd).read(), expected.held_out.only(odd))


def test_many_rows_are_answered_about_on_the_workers_with_the_same_numbers(prepared, cluster, monkeypatch):
    monkeypatch.setattr("ray_jobs.feature_table.stored.PIECE", 16)
    held_out, asked_here = sides_of(prepared, most=COUNT).held_out, list[int]()
    model = np.linspace(-1, 1, len(QUICK.names))

    def ask(piece: FeatureTable) -> np.ndarray:
        asked_here.append(len(piece))
        return view_probabilities(piece.judged, lambda features: features @ model)

    here = held_out.each(ask)
    assert sum(asked_here) == len(held_out)
    asked_here.clear()
    monkeypatch.setattr("ray_jobs.feature_table.stored.FEW", len(held_out) - 1)
    np.testing.assert_array_equal(held_out.each(ask), here)
    assert not asked_here


def test_a_sample_of_the_training_side_leaves_the_others_as_they_are(prepared):
    whole, sampled = (sides_of(prepared, most=most) for most in (COUNT, 60))
    assert len(sampled.train) == 60
    assert len(sampled.left_out) == len(whole.train) - 60
    np.testing.assert_array_equal(sampled.held_out.sha256, whole.held_out.sha256)
    inside = np.isin(whole.train.sha256, sampled.train.sha256)
    same(sampled.train.read(), whole.train.only(inside).read())
    assert not set(sampled.train.patients) & set(sampled.held_out.patients)


def test_the_gate_is_told_of_all_x_rays_of_the_training_side(prepared):
    whole, sampled = (sides_of(prepared, most=most) for most in (COUNT, 60))
    asked = np.concatenate([whole.train.sha256, whole.held_out.sha256, ["0" * 64]])
    np.testing.assert_array_equal(sampled.to_train(asked), np.arange(len(asked)) < len(whole.train))
    np.testing.assert_array_equal(sampled.to_train(asked), whole.to_train(asked))


def test_rows_are_found_by_name(prepared):
    rows = prepared.manifest.table("sha256", "path").to_pylist()
    found = named_rows(prepared.manifest, {rows[0]["sha256"], rows[-1]["sha256"], "absent"}, "sha256", "path")
    assert found.to_pylist() == [rows[0], rows[-1]]
    assert named_rows(prepared.manifest, {"absent"}, "path").to_pylist() == []


def test_features_that_another_job_replaced_are_missed_by_name(prepared, cluster, monkeypatch):
    prefix, rows = next(prepared.manifest.shards())
    path = Path(shard_path(prepared.state, QUICK, prefix))
    content = path.read_bytes()
    path.unlink()
    extract_shard(prepared.source, prepared.state, QUICK, prefix, [])
    with pytest.raises(DatasetError, match=f"{len(rows)} images have lost their features .* run this job again"):
        stored_rows(prepared.manifest, prepared.state, QUICK).read()
    monkeypatch.setattr("ray_jobs.feature_table.stored.FEW", 1)
    with pytest.raises(DatasetError, match="have lost their features"):
        stored_rows(prepared.manifest, prepared.state, QUICK).each(lambda piece: piece.labels)
    path.write_bytes(content)


def test_a_dataset_of_any_size_is_cut_into_shards_of_seconds(prepared):
    for rows, digits in ((5_000, 2), (262_144, 2), (262_145, 3), (4_194_304, 3), (10_000_000, 4)):
        assert replace(prepared.manifest, rows=rows).digits == digits


def test_a_dataset_that_grows_into_smaller_shards_takes_over_what_was_extracted(prepared, cluster, tmp_path):
    state = open_state(str(tmp_path))
    coarse = Path(state.path("features")).parent / "features"
    shutil.copytree(prepared.state.path("features"), coarse)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray_jobs.dataset.manifest.SHARD", COUNT / 16**2 / 2)  # half as many as there are
        assert prepared.manifest.digits == 3
        for expected in ((0, COUNT), (0, COUNT)):
            done = extract_features(prepared.source, prepared.manifest, state, QUICK)
            assert (done.extracted, done.cached, done.failed) == (*expected, 0)
        fine = stored_rows(prepared.manifest, state, QUICK).read()
    same(fine, stored_rows(prepared.manifest, prepared.state, QUICK).read())
    names = stored_prefixes(state, QUICK)
    assert {len(name) for name in names} == {2, 3}
    for name in names:  # and back: what the smaller shards have is not extracted for a larger one either
        if len(name) == 2:
            Path(shard_path(state, QUICK, name)).unlink()
    done = extract_features(prepared.source, prepared.manifest, state, QUICK)
    assert (done.extracted, done.cached) == (0, COUNT)
    for path in Path(prepared.state.path("features")).rglob("*.parquet"):
        assert path.read_bytes() == Path(shard_path(state, QUICK, path.stem)).read_bytes()


def test_many_files_are_hashed_on_the_workers_with_the_same_manifest(prepared, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("ray_jobs.feature_table.hashing.FEW", 50)
    monkeypatch.setattr("ray_jobs.dataset.build._CHUNK", 40)
    here = []
    monkeypatch.setattr("ray_jobs.feature_table.hashing.examine_here", lambda *_: here.append(1))
    other = prepare(Settings(data_uri=f"synthetic:{COUNT}", state_uri=str(tmp_path)))
    assert not here
    assert other.manifest.hashed == COUNT
    assert Path(other.manifest.path).read_bytes() == Path(prepared.manifest.path).read_bytes()


def test_a_source_that_fails_on_a_worker_is_told_as_it_is_here(cluster, monkeypatch, folder):
    monkeypatch.setattr("ray_jobs.feature_table.hashing.FEW", 1)
    source = open_source(str(folder))
    shutil.rmtree(folder)
    with pytest.raises(SourceError, match="does not exist"):
        list(Hashing(None)(source, iter([[("NORMAL/a.png", 5)]]), 2))
