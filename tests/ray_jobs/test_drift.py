"""The drift job over a real registry and real records: drift or none, too little to say, nothing to compare with."""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.look import look
from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs import drift
from ray_jobs.dataset.synthetic import chest_picture
from ray_jobs.learning.table import FeatureTable
from ray_jobs.tracking.lineage import REFERENCE_TAG
from ray_jobs.tracking.reference import keep_reference
from registry.model.bundle import read_bundle
from registry.model.versions import ModelVersion, client, set_tags
from registry.production.current import production
from registry.records.feedback import record_feedback
from registry.records.predictions import Record, find, path_of, write
from registry.state import open_state
from tests.detectors import detector_of
from tests.serve.support.models import GeneratedXrays, Registry

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def training_set() -> GeneratedXrays:
    return GeneratedXrays.generated(patients=24)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, training_set: GeneratedXrays) -> Registry:
    """A registry of two versions; the run of the second keeps a reference."""
    registry = Registry.empty(tmp_path_factory.mktemp("registry"), training_set)
    registry.add(1.0)
    registry.add(1.0)
    return registry


@pytest.fixture(scope="module")
def reference(whole: Registry) -> np.ndarray:
    """Features of 120 pictures that the second version was judged by."""
    pictures = whole.training_set.features
    random = np.random.default_rng(1)
    features = pictures[random.integers(0, len(pictures), 120)] + random.normal(0, 0.01, (120, pictures.shape[1]))
    version = whole.versions[1]
    keep_with_the_run(whole, version, features)
    return features


def scores_of(registry: Registry, version: ModelVersion, features: np.ndarray) -> np.ndarray:
    return read_bundle(registry.files_of(version), digest=version.digest).probability(features)


def keep_with_the_run(registry: Registry, version: ModelVersion, features: np.ndarray) -> None:
    """What trainings kept before versions had a reference in the state."""
    rows = features.astype(np.float32)
    table = pa.table(
        {
            "probability": pa.array(scores_of(registry, version, rows), pa.float64()),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1]),
        }
    )
    file = registry.folder / "held_out.parquet"
    pq.write_table(table, file)
    client(registry.settings).log_artifact(version.run_id, str(file), "reference")


@pytest.fixture
def registry(whole: Registry, tmp_path: Path) -> Registry:
    """The registry with the second version in Production, and nothing remembered yet."""
    whole.promote(whole.versions[1])
    return replace(whole, settings=whole.settings.model_copy(update={"state_uri": str(tmp_path / "state")}))


@pytest.fixture
def job(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command in this process, on the registry's settings."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.settings.tracking_uri)
    monkeypatch.setenv("STATE_URI", registry.settings.state_uri)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["drift", *arguments])
        drift.main()

    return run


def remember(
    registry: Registry,
    features: np.ndarray,
    *,
    days_ago: float = 1.0,
    spec: str | None = None,
    aspect: float = np.nan,
    digest: str = "",
) -> None:
    version = production(registry.settings)
    assert version
    bundle = read_bundle(registry.files_of(version), digest=version.digest)
    state = open_state(registry.settings.state_uri)
    time = NOW - timedelta(days=days_ago)
    records = [
        Record(
            id=f"{days_ago}-{spec}{digest}.{index}",
            time=time,
            version=version.version,
            probability=float(score),
            label=bundle.label(score),
            spec=spec or version.spec_fingerprint,
            features=row,
            aspect=aspect * (1 + index % 10 / 100),
            digest=digest,
        )
        for index, (row, score) in enumerate(zip(features, bundle.probability(features), strict=True))
    ]
    write(state, path_of(state, time, f"w{spec}{digest}"), records)


def runs(registry: Registry) -> list:
    experiment = client(registry.settings).get_experiment_by_name(registry.settings.model_name)
    return client(registry.settings).search_runs([experiment.experiment_id], "tags.kind = 'drift'")


def test_pictures_like_those_it_was_judged_by_are_no_drift_and_words_are_reported(
    registry: Registry, reference: np.ndarray, job: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    remember(registry, reference[::2])
    remember(registry, reference[:60] + 100, days_ago=20)  # long ago
    remember(registry, reference[:60] + 100, spec="another")
    remember(registry, reference[:60] + 100, digest="of another model with a version of that number")
    state = open_state(registry.settings.state_uri)
    said = find(state, "1.0-None.0")
    assert said
    record_feedback(state, said, said.label)
    job("--since", "7")
    output = capsys.readouterr().out
    assert "60 pictures in 7 days" in output
    assert "judged 1 and confirmed 1.000" in output
    assert "no drift" in output
    run = runs(registry)[0]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["drift"] == 0
    assert run.data.params["version"] == "2"


def test_pictures_unlike_those_it_was_judged_by_are_drift_and_exit_with_3(
    registry: Registry, reference: np.ndarray, job: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    remember(registry, reference[::2] * 1.5 + 0.2)
    with pytest.raises(SystemExit) as stopped:
        job()
    assert stopped.value.code == 3
    assert "verdict     drift" in capsys.readouterr().out
    run = runs(registry)[0]
    assert run.data.metrics["drift"] == 1
    assert run.data.metrics["features_shifted"] > 0.5


def judged_with_lungs(registry: Registry, reference: np.ndarray, aspects: np.ndarray) -> None:
    """Keep what the version in Production was judged by, with the aspects of the lungs."""
    version = production(registry.settings)
    assert version
    table = FeatureTable(
        features=reference,
        views=np.zeros((120, 0, reference.shape[1]), np.float32),
        judged=np.zeros((120, 0, reference.shape[1]), np.float32),
        sha256=np.arange(120).astype(str),
        labels=np.arange(120) % 2,
        patients=np.arange(120).astype(str),
        roles=np.full(120, "train"),
    )
    state, wide = open_state(registry.settings.state_uri), dict(zip(table.sha256, aspects, strict=True))
    kept = keep_reference(state, table, scores_of(registry, version, reference), DEFAULT_SPEC, wide)
    set_tags(registry.settings, version, {REFERENCE_TAG: kept})


@pytest.mark.parametrize(("factor", "drifts"), [(1.0, False), (1.2, True)])
def test_answers_to_stretched_x_rays_are_drift_by_the_lungs_though_their_features_are_the_same(
    registry: Registry,
    reference: np.ndarray,
    job: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    factor: float,
    drifts: bool,
) -> None:
    champion = registry.add(1.0)
    registry.promote(champion)
    judged_with_lungs(registry, reference, 1.1 * (1 + np.arange(120) % 10 / 100))
    remember(registry, reference[::2], aspect=1.1 * factor)
    with pytest.raises(SystemExit, match="3") if drifts else contextlib.nullcontext():
        job()
    told = capsys.readouterr().out
    assert f"lungs       {factor:.2f} times as wide to their height" in told
    assert f"verdict     {'drift' if drifts else 'no drift'}" in told
    # widths go in steps of 1 %
    assert runs(registry)[0].data.metrics["lungs_stretched"] == pytest.approx(factor, abs=0.01)


def test_a_folder_of_stretched_x_rays_is_drift_by_the_lungs(
    cluster: None, registry: Registry, reference: np.ndarray, job: Callable[..., None], tmp_path: Path, capsys
) -> None:
    registry.promote(registry.add(1.0))
    folder, aspects = tmp_path / "stretched", list[float]()
    folder.mkdir()
    for patient in range(2000, 2060):
        data = chest_picture(patient=patient, picture=0, label="PNEUMONIA" if patient % 2 else "NORMAL")
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        aspects.append(look(pixels).aspect)
        cv2.imwrite(str(folder / f"{patient}.png"), cv2.resize(pixels, None, fx=1.2, fy=1.0))
    judged_with_lungs(registry, reference, np.tile(aspects, 2))
    with pytest.raises(SystemExit, match="3"):
        job("--data", str(folder))
    factor = float(capsys.readouterr().out.split("lungs ")[1].split()[0])
    assert factor == pytest.approx(1.2, abs=0.05)  # the locator's boxes are good to some hundredths of a side


def test_a_folder_without_labels_is_compared_and_the_report_has_pictures(
    cluster: None,
    registry: Registry,
    reference: np.ndarray,
    job: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for patient in range(2000, 2060):
        data = chest_picture(patient=patient, picture=0, label="PNEUMONIA" if patient % 2 else "NORMAL")
        blurred = cv2.GaussianBlur(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), (0, 0), 4)
        cv2.imwrite(str(folder / f"{patient}.png"), blurred)
    (folder / "notes.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as stopped:
        job("--data", str(folder))
    assert stopped.value.code == 3
    output = capsys.readouterr().out
    assert f"60 pictures of {folder}, one of each patient, 1 more cannot be read" in output
    assert "verdict     drift" in output
    run = runs(registry)[0]
    kept = {item.path for item in client(registry.settings).list_artifacts(run.info.run_id)}
    assert kept == {"drift.txt", "scores.png", "features.png", "descriptors.png"}


def test_a_folder_of_nothing_of_three_x_rays_and_one_that_is_not_there_are_one_sentence_and_no_run(
    registry: Registry, job: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(runs(registry))
    (tmp_path / "empty").mkdir()
    (tmp_path / "three").mkdir()
    for patient in range(3):
        image = chest_picture(patient=patient, picture=0, label="NORMAL")
        (tmp_path / "three" / f"{patient}.jpeg").write_bytes(image)
    for name, code, said in (
        ("empty", 2, "holds no pictures"),
        ("three", 1, "pictures of 3 patients; at least 50 are needed"),
        ("missing", 1, "missing"),
    ):
        with pytest.raises(SystemExit, match=str(code)):
            job("--data", str(tmp_path / name))
        told = capsys.readouterr().err
        assert said in told
        assert len(told.strip().splitlines()) == 1
    assert len(runs(registry)) == before


def test_files_that_are_no_pictures_do_not_make_up_the_number(
    cluster: None, registry: Registry, job: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(runs(registry))
    for patient in range(50):
        image = chest_picture(patient=patient, picture=0, label="NORMAL") if patient < 3 else b"no picture"
        (tmp_path / f"{patient}.jpeg").write_bytes(image)
    with pytest.raises(SystemExit, match="1"):
        job("--data", str(tmp_path))
    assert "pictures of 3 patients, 47 more cannot be read; at least 50 are needed" in capsys.readouterr().err
    assert len(runs(registry)) == before


def test_pictures_of_one_patient_count_once(
    registry: Registry, job: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = chest_picture(patient=1, picture=0, label="PNEUMONIA")
    for number in range(60):
        (tmp_path / f"person{number // 2}_virus_{number}.jpeg").write_bytes(image)
    with pytest.raises(SystemExit, match="1"):
        job("--data", str(tmp_path))
    assert "pictures of 30 patients; at least 50 are needed" in capsys.readouterr().err


def test_a_champion_of_another_feature_spec_is_compared_with_what_its_own_spec_recorded(
    registry: Registry, reference: np.ndarray, job: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = FeatureSpec(families=DEFAULT_SPEC.families[-1:])
    mine = np.array([DEFAULT_SPEC.names.index(name) for name in spec.names])
    training = registry.training_set
    features = training.features[:, mine]
    other = replace(training, features=features, detector=detector_of(features, training.labels), spec=spec)
    champion = replace(registry, training_set=other).add(1.0)
    registry.promote(champion)
    table = FeatureTable(
        features=reference[:, mine],
        views=np.zeros((120, 0, len(mine)), np.float32),
        judged=np.zeros((120, 0, len(mine)), np.float32),
        sha256=np.arange(120).astype(str),
        labels=np.arange(120) % 2,
        patients=np.arange(120).astype(str),
        roles=np.full(120, "train"),
    )
    scores = scores_of(registry, champion, reference[:, mine])
    kept = keep_reference(open_state(registry.settings.state_uri), table, scores, spec)
    set_tags(registry.settings, champion, {REFERENCE_TAG: kept})
    remember(registry, reference[::2, mine] * 1.5 + 0.2)
    with pytest.raises(SystemExit) as stopped:
        job()
    assert stopped.value.code == 3
    output = capsys.readouterr().out
    assert any(name in output for name in spec.names)


def test_too_few_pictures_say_nothing(
    registry: Registry, reference: np.ndarray, job: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    remember(registry, reference[:10] + 100)
    job()
    assert "fewer than 50 pictures say too little" in capsys.readouterr().out


def test_a_version_without_a_reference_and_a_registry_without_production_are_named(
    registry: Registry,
    job: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.promote(registry.versions[0])
    remember(registry, np.repeat(registry.training_set.features, 3, axis=0))
    with pytest.raises(SystemExit, match="1"):
        job()
    assert "train a new version" in capsys.readouterr().err
    monkeypatch.setenv("MODEL_NAME", "untrained")
    with pytest.raises(SystemExit, match="1"):
        job()
    assert "No version of untrained is in Production" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        job("--since", "-1")
