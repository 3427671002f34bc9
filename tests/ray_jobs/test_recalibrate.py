"""The job that fits a model to a site's own labels, over a real registry: what it changes, keeps and refuses."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.extract import extract
from features.spec import DEFAULT_SPEC
from ray_jobs import recalibrate
from ray_jobs.dataset.synthetic import chest_picture
from ray_jobs.learning.recalibrate import Recalibration, log_odds_of
from ray_jobs.learning.table import FeatureTable
from ray_jobs.tracking.lineage import REFERENCE_TAG
from ray_jobs.tracking.reference import keep_reference, load_reference
from registry.model.bundle import write_bundle
from registry.model.versions import ModelVersion, client, fetch, register, tags_of
from registry.production.current import production
from registry.production.promotion import history, promote, rollback
from registry.records.feedback import record_feedback
from registry.records.predictions import PredictionSummary
from registry.settings import Settings
from registry.state import open_state
from tests.conftest import new_run
from tests.serve.support.models import EVALUATION

Job = Callable[..., int]
WHEN = datetime(2026, 3, 4, 12, tzinfo=UTC)
SPREAD = 8**0.5  # of log-odds around -4 and 4: so wide they are calibrated, as 2 · 4 / 8 is 1
SHIFT = 4.0  # in log-odds: how much surer of pneumonia the model is about every X-ray of the site


@pytest.fixture
def champion(settings: Settings, tmp_path: Path, xrays, detector) -> ModelVersion:
    """A calibrated model of real X-rays, as a training leaves it, in Production with its reference."""
    images, labels = xrays
    features = np.stack([extract(image) for image in images])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.001))
    estimator = CalibratedClassifierCV(pipeline, method="sigmoid", ensemble=False, cv=3).fit(features, labels)
    folder = tmp_path / "bundle"
    write_bundle(
        folder,
        estimator=estimator.set_params(cv=None),
        spec=DEFAULT_SPEC,
        threshold=0.5,
        detector=detector,
        evaluation=EVALUATION | {"held_out_shifted": EVALUATION["held_out"]},
        golden_images=images[:2],
    )
    table = FeatureTable(
        features=features,
        views=np.zeros((len(labels), 0, features.shape[1]), np.float32),
        judged=np.zeros((len(labels), 0, features.shape[1]), np.float32),
        sha256=np.array([f"{index:064d}" for index in range(len(labels))]),
        labels=labels,
        patients=np.array([f"person{index}" for index in range(len(labels))]),
        roles=np.full(len(labels), "train"),
    )
    scores = estimator.predict_proba(features)[:, 1]
    reference = keep_reference(open_state(settings.state_uri), table, scores, DEFAULT_SPEC)
    tags = {REFERENCE_TAG: reference, "dataset.uri": "/clinic/xrays", "dataset.kind": "folder", "dataset.digest": "d"}
    version = register(settings, run_id=new_run(settings, tmp_path), bundle_folder=folder, tags=tags)
    promote(settings, version, why="a test")
    return version


@pytest.fixture
def job(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Job:
    """The command in this process; returns its exit code."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.tracking_uri)
    monkeypatch.setenv("STATE_URI", settings.state_uri)
    monkeypatch.setenv("RAY_ADDRESS", "")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["recalibrate", *arguments])
        try:
            recalibrate.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


def judged_by_people(settings: Settings, version: ModelVersion, count: int, *, shift: float) -> None:
    """What people said of `count` answers of each class, calibrated but for log-odds that are `shift` too high."""
    random, state = np.random.default_rng(0), open_state(settings.state_uri)
    for label, centre in (("NORMAL", -4.0), ("PNEUMONIA", 4.0)):
        for index in range(count):
            probability = float(expit(random.normal(centre, SPREAD) + shift))
            prediction = PredictionSummary(
                id=f"{label}-{index}",
                time=WHEN + timedelta(minutes=index),
                version=version.version,
                probability=probability,
                label="PNEUMONIA" if probability >= 0.5 else "NORMAL",
            )
            record_feedback(state, prediction, label)


def test_feedback_moves_sigmoid_and_threshold_and_the_new_version_serves_until_it_is_undone(
    settings: Settings, champion: ModelVersion, job: Job, tmp_path: Path, xrays, capsys
):
    judged_by_people(settings, champion, 50, shift=SHIFT)
    assert job("--feedback") == 0
    told = capsys.readouterr().out
    assert "labels      100 X-rays of 100 patients, 50 with pneumonia, from feedback" in told
    assert "gate        promoted: AUC +0.0000 against pneumonia version 1" in told
    new = production(settings)
    assert new
    assert new.version == champion.version + 1
    before, after = (fetch(settings, version, tmp_path / f"v{version.version}") for version in (champion, new))
    features = np.stack([extract(image) for image in xrays[0]])
    old, moved = log_odds_of(before.probability(features)), log_odds_of(after.probability(features))
    line = np.polyfit(old, moved, 1)
    # One line over log-odds, whatever the picture; near 0 and 1 a probability has few digits left for its log-odds.
    np.testing.assert_allclose(np.polyval(line, old), moved, atol=1e-4)
    assert -line[1] / line[0] == pytest.approx(SHIFT, abs=1.0)  # with a hundred X-rays
    assert after.threshold == pytest.approx(0.5, abs=0.1)  # as many were ill as healthy
    assert set(after.evaluation) >= {"site", "held_out", "recalibration", "data"}
    assert "held_out_shifted" not in after.evaluation  # it was measured with the old sigmoid
    tags = tags_of(settings, new)
    assert (tags["recalibrated.of"], tags["dataset.uri"]) == ("1", "/clinic/xrays")
    reference = load_reference(open_state(settings.state_uri), tags[REFERENCE_TAG])
    np.testing.assert_allclose(log_odds_of(reference.scores), moved, atol=1e-4)  # few digits, as above
    rollback(settings, why="a test")
    assert production(settings).version == champion.version  # type: ignore[union-attr]
    assert [change.to_version for change in history(settings)] == [1, 2, 1]


def test_a_folder_of_the_site_s_x_rays_moves_a_model_that_is_too_sure_and_a_second_run_has_nothing_to_gain(
    settings: Settings, champion: ModelVersion, job: Job, tmp_path: Path, cluster: None, capsys
):
    before = fetch(settings, champion, tmp_path / "before")
    too_sure = recalibrate.moved(before.estimator, Recalibration(slope=1.0, intercept=SHIFT, threshold=0.5))
    write_bundle(
        tmp_path / "sure",
        estimator=too_sure,
        spec=DEFAULT_SPEC,
        threshold=0.5,
        detector=before.detector,
        evaluation=before.evaluation,
        golden_images=[golden.image for golden in before.golden],
        unsure=(0.4, 0.7),
    )
    tags = {"dataset.uri": "/clinic/xrays", "dataset.kind": "folder", "dataset.digest": "d"}
    sure = register(settings, run_id=new_run(settings, tmp_path), bundle_folder=tmp_path / "sure", tags=tags)
    promote(settings, sure, why="a test")
    site = tmp_path / "site"
    for patient in range(5000, 5080):
        label = "PNEUMONIA" if patient % 2 else "NORMAL"
        (site / label).mkdir(parents=True, exist_ok=True)
        (site / label / f"person{patient}_1.jpeg").write_bytes(chest_picture(patient=patient, picture=0, label=label))
    assert job("--data", str(site)) == 0
    told = capsys.readouterr().out
    assert f"80 X-rays of 80 patients, 40 with pneumonia, from {site}" in told
    new = production(settings)
    assert new
    assert new.version == sure.version + 1
    after = fetch(settings, new, tmp_path / "after")
    assert after.evaluation["site"]["accuracy"]["value"] > 0.8
    assert after.unsure
    assert after.unsure[0] < after.threshold < after.unsure[1]
    assert job("--data", str(site)) == recalibrate.NOTHING_GAINED
    assert production(settings) == new


def test_too_few_words_of_people_are_counted_and_nothing_is_registered(
    settings: Settings, champion: ModelVersion, job: Job, capsys
):
    judged_by_people(settings, champion, 29, shift=SHIFT)
    assert job("--feedback") == 1
    told = capsys.readouterr().err
    assert "29 NORMAL, 29 PNEUMONIA; at least 30 of each are needed" in told
    assert len(client(settings).search_model_versions(f"name='{settings.model_name}'")) == 1


def test_where_nothing_is_gained_nothing_is_registered_and_the_exit_code_says_so(
    settings: Settings, champion: ModelVersion, job: Job, capsys
):
    judged_by_people(settings, champion, 60, shift=0.0)
    assert job("--feedback") == recalibrate.NOTHING_GAINED
    assert "verdict     nothing is surely gained" in capsys.readouterr().out
    assert len(client(settings).search_model_versions(f"name='{settings.model_name}'")) == 1


def test_a_second_run_on_the_same_words_has_nothing_left_to_gain_for_the_new_version(
    settings: Settings, champion: ModelVersion, job: Job, capsys
):
    judged_by_people(settings, champion, 50, shift=SHIFT)
    assert job("--feedback") == 0
    assert job("--feedback") == 1  # nobody has judged an answer of the new version yet
    assert "too few answers of pneumonia version 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--feedback", "--data", "synthetic:120"), 2, "two sources of labels"),
        (("--data", "synthetic:120"), 2, "are generated pictures, and pneumonia version 1 learnt from real X-rays"),
        (("--data", "/nowhere/xrays"), 1, "/nowhere/xrays"),
    ],
)
def test_a_source_that_cannot_be_meant_is_one_sentence(champion: ModelVersion, job: Job, capsys, arguments, code, said):
    assert job(*arguments) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def kept(settings: Settings) -> tuple[int, int]:
    """How many runs and versions the registry has."""
    mlflow_client = client(settings)
    experiments = [found.experiment_id for found in mlflow_client.search_experiments()]
    versions = mlflow_client.search_model_versions(f"name='{settings.model_name}'")
    return len(mlflow_client.search_runs(experiments)), len(versions)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"NORMAL": 3}, "holds no pictures in a folder PNEUMONIA"),
        ({"": 3}, "holds no pictures in a folder NORMAL nor PNEUMONIA"),
        ({"benign": 3, "malignant": 3}, "other folders there: 'benign', 'malignant'"),
        ({"NORMAL": 2, "PNEUMONIA": 1}, "at least 30 X-rays of 15 patients are needed of each"),
    ],
)
def test_data_that_cannot_recalibrate_are_one_sentence_and_leave_nothing(
    settings: Settings, champion: ModelVersion, job: Job, tmp_path: Path, capsys, held, said
):
    before = kept(settings)
    for folder, count in held.items():
        (tmp_path / "labelled" / folder).mkdir(parents=True)
        for patient in range(count):
            image = chest_picture(patient=len(folder) * 10 + patient, picture=0, label="NORMAL")
            (tmp_path / "labelled" / folder / f"{folder}{patient}.jpeg").write_bytes(image)
    assert job("--data", str(tmp_path / "labelled")) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "stopped:" in line]
    assert said in line
    assert kept(settings) == before
