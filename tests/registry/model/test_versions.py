"""Versions and Production, on a real MLflow registry."""

import shutil
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
import skops.io

from features.spec import DEFAULT_SPEC
from registry.errors import ArtefactError, ProductionMovedError, PromotionError
from registry.model.bundle import digest_of, read_bundle
from registry.model.versions import aliased, client, fetch, register, version_of
from registry.production.current import production
from registry.production.guard import moved, restore
from registry.production.journal import Journal
from registry.production.promotion import history, promote, rollback, take_back
from registry.production.record_store import RecordStore
from registry.settings import Settings
from tests.conftest import new_run
from tests.tolerances import ANSWER


@pytest.fixture
def register_one(settings: Settings, tmp_path: Path, make_bundle):
    def register_one(*, threshold: float = 0.5):
        folder = tmp_path / f"bundle-{threshold}"
        shutil.rmtree(folder, ignore_errors=True)
        make_bundle(folder, threshold=threshold)
        return register(settings, run_id=new_run(settings, tmp_path), bundle_folder=folder)

    return register_one


def test_a_registered_version_comes_back_verified_and_answers_the_same(settings, register_one, tmp_path, fitted, xrays):
    version = register_one()
    bundle = fetch(settings, version, tmp_path / "fetched")
    assert version.version == 1
    assert bundle.threshold == 0.5
    expected = read_bundle(tmp_path / "bundle-0.5", digest=version.digest).predict_unchecked(xrays[0][:5])
    np.testing.assert_array_equal(bundle.predict_unchecked(xrays[0][:5]), expected)


def test_mlflow_s_own_loader_gives_the_same_probabilities(settings, register_one, xrays, tmp_path):
    version = register_one()
    mlflow.set_tracking_uri(settings.tracking_uri)
    served = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    answer = served.predict(pd.DataFrame({"image": xrays[0][:4]}))
    bundle = fetch(settings, version, tmp_path / "fetched")
    np.testing.assert_allclose(answer["probability"], bundle.predict_unchecked(xrays[0][:4]), atol=ANSWER)
    assert list(answer["label"]) == [bundle.label(value) for value in answer["probability"]]


def test_registering_a_run_twice_gives_the_same_version(settings, tmp_path, make_bundle, run_id):
    make_bundle(tmp_path / "bundle")
    first = register(settings, run_id=run_id, bundle_folder=tmp_path / "bundle")
    second = register(settings, run_id=run_id, bundle_folder=tmp_path / "bundle")
    assert first == second
    assert len(client(settings).search_model_versions(f"name='{first.name}'")) == 1


def test_without_a_model_production_is_none(settings):
    assert production(settings) is None


def test_promotion_sets_the_alias_the_legacy_stage_and_a_record(settings, register_one):
    version = register_one()
    change = promote(settings, version, why="first", metrics={"auc": 0.97})
    assert production(settings) == version
    assert client(settings).get_model_version(version.name, "1").current_stage == "Production"
    assert (change.from_version, change.to_version, change.why, change.metrics) == (None, 1, "first", {"auc": 0.97})
    assert history(settings) == [change]


def test_promoting_what_is_in_production_changes_nothing(settings, register_one):
    version = register_one()
    promote(settings, version, why="first")
    assert promote(settings, version, why="again") is None
    assert len(history(settings)) == 1


def test_each_rollback_goes_one_version_further_back(settings, register_one):
    for threshold in (0.4, 0.5, 0.6):
        promote(settings, register_one(threshold=threshold), why="better")
    assert rollback(settings, why="worse in the clinic").to_version == 2
    assert rollback(settings, why="worse still").to_version == 1
    with pytest.raises(PromotionError, match="replaced no version"):
        rollback(settings, why="too far")
    assert production(settings).version == 1
    assert [change.to_version for change in history(settings)] == [1, 2, 3, 2, 1]


def test_a_first_version_that_serving_refuses_leaves_nothing_in_production_as_before_it(settings, register_one):
    first, second = register_one(threshold=0.4), register_one(threshold=0.5)
    promote(settings, first, why="first")
    with pytest.raises(ProductionMovedError, match="Production is 1 by now, and no longer pneumonia version 2"):
        take_back(settings, second, why="never there")
    change = take_back(settings, first, why="serving refuses it")
    assert (change.kind, change.from_version, change.to_version, change.undoes) == ("rollback", 1, None, 1)
    assert "1 -> -" in str(change)
    assert production(settings) is None
    assert aliased(settings) is None
    assert client(settings).get_model_version(first.name, "1").current_stage == "None"
    assert moved(settings, RecordStore(settings).read()) == ""
    with pytest.raises(PromotionError, match="nothing to roll back"):
        rollback(settings, why="further")
    client(settings).set_registered_model_alias(first.name, "production", "1")
    assert production(settings) is None
    noted = restore(settings)
    assert "moved to version 1 outside of the history, which says that nothing is in Production" in noted.why
    assert aliased(settings) is None
    assert promote(settings, second, why="a sound one").from_version is None
    assert production(settings) == aliased(settings) == second
    with pytest.raises(PromotionError, match="replaced no version"):
        rollback(settings, why="too far")


def test_a_promotion_after_a_rollback_can_be_rolled_back_itself(settings, register_one):
    first, second = register_one(threshold=0.4), register_one(threshold=0.5)
    promote(settings, first, why="first")
    promote(settings, second, why="second")
    rollback(settings, why="undo")
    promote(settings, second, why="once more")
    assert rollback(settings, why="undo again").to_version == 1


def test_a_change_on_record_counts_though_the_job_died_before_the_alias_moved(settings, register_one, monkeypatch):
    versions = [register_one(threshold=threshold) for threshold in (0.4, 0.5, 0.6)]
    promote(settings, versions[0], why="first")
    promote(settings, versions[1], why="second")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "point", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promote(settings, versions[2], why="killed before the alias moved")
    assert (production(settings).version, aliased(settings).version) == (3, 2)
    assert rollback(settings, why="undo the third").to_version == 2
    assert production(settings) == aliased(settings) == versions[1]
    assert [model.name for model in client(settings).search_registered_models()] == ["pneumonia"]


def test_an_alias_moved_by_hand_changes_nothing_and_follows_the_next_change(settings, register_one):
    first, second, _ = (register_one(threshold=threshold) for threshold in (0.4, 0.5, 0.6))
    promote(settings, first, why="first")
    promote(settings, second, why="second")
    client(settings).set_registered_model_alias(second.name, "production", "3")
    assert production(settings) == second
    change = rollback(settings, why="undo the second")
    assert (change.from_version, change.to_version) == (2, 1)
    assert production(settings) == aliased(settings) == first


def test_without_a_history_the_alias_says_what_is_in_production_and_rollback_does_not_guess(settings, register_one):
    version = register_one()
    client(settings).set_registered_model_alias(version.name, "production", "1")
    assert production(settings) == version
    with pytest.raises(PromotionError, match=r"No record says how pneumonia version 1 became Production"):
        rollback(settings, why="undo")


def test_a_changed_byte_is_refused_with_both_digests(settings, register_one, tmp_path):
    version = register_one()
    stored = next(Path(tmp_path / "artifacts").rglob("card.json"))
    stored.write_text(stored.read_text().replace('"threshold": 0.5', '"threshold": 0.1'))
    with pytest.raises(ArtefactError, match=f"pneumonia version 1 is refused: .*digest.*{version.digest}"):
        fetch(settings, version, tmp_path / "fetched")


def test_a_foreign_version_is_refused_by_name(settings, tmp_path, run_id):
    mlflow_client = client(settings)
    mlflow_client.create_registered_model("pneumonia")
    mlflow_client.create_model_version("pneumonia", source=(tmp_path / "elsewhere").as_uri(), run_id=run_id)
    with pytest.raises(ArtefactError, match="pneumonia version 1 carries no digest"):
        fetch(settings, version_of(settings, 1), tmp_path / "fetched")


def test_a_bundle_with_a_type_that_is_not_trusted_is_refused_by_name(tmp_path, make_bundle):
    folder = tmp_path / "bundle"
    make_bundle(folder)
    skops.io.dump(Path("x"), folder / "estimator.skops")
    with pytest.raises(ArtefactError, match=r"estimator\.skops"):
        read_bundle(folder, digest=digest_of(folder))


def test_a_pickle_in_place_of_the_estimator_is_refused(tmp_path, make_bundle):
    folder = tmp_path / "bundle"
    make_bundle(folder)
    (folder / "estimator.skops").write_bytes(b"\x80\x05cposix\nsystem\nX\x02\x00\x00\x00id\x85R.")
    with pytest.raises(ArtefactError, match="not a skops file"):
        read_bundle(folder, digest=digest_of(folder))


def test_a_model_of_another_width_is_refused(tmp_path, make_bundle):
    folder = tmp_path / "bundle"
    make_bundle(folder)
    narrow = sklearn.linear_model.LogisticRegression().fit(np.eye(4), [0, 0, 1, 1])
    skops.io.dump(narrow, folder / "estimator.skops")
    with pytest.raises(ArtefactError, match="golden"):
        read_bundle(folder, digest=digest_of(folder))


def test_another_model_under_the_same_card_is_refused_by_its_golden_answers(tmp_path, make_bundle):
    folder = tmp_path / "bundle"
    make_bundle(folder)
    random = np.random.default_rng(0)
    other = sklearn.linear_model.LogisticRegression().fit(random.random((20, len(DEFAULT_SPEC.names))), [0, 1] * 10)
    skops.io.dump(other, folder / "estimator.skops")
    with pytest.raises(ArtefactError, match="Golden answers differ"):
        read_bundle(folder, digest=digest_of(folder))
