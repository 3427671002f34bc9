"""Which data a champion and its challenger know, and what of it lets one replace the other, on a real registry."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem

from features.spec import DEFAULT_SPEC, FeatureSpec
from ray_jobs.dataset.errors import DatasetError
from ray_jobs.dataset.manifest import Manifest
from ray_jobs.dataset.sources import open_source
from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.learning.gate import Champion
from ray_jobs.learning.table import FeatureTable, Sides
from ray_jobs.tracking.champion import Challenger, champion_of
from ray_jobs.tracking.judge import judge
from ray_jobs.tracking.lineage import lineage_tags
from ray_jobs.tracking.reference import keep_reference
from ray_jobs.train import summary
from registry.model.bundle import read_bundle
from registry.model.verified_cache import VerifiedCache, cache_folder
from registry.model.versions import ModelVersion, client, set_tags, tags_of
from registry.production.approval import candidates, promote_by_hand
from registry.production.current import production
from registry.production.promotion import history
from registry.state import open_state
from tests.serve.support.models import GeneratedXrays, Registry

COUNT = 80


@dataclass
class Place:
    """A registry with three versions: one in Production, a sound challenger, and one that knows nothing."""

    registry: Registry
    champion: ModelVersion
    sound: ModelVersion
    poor: ModelVersion
    features: np.ndarray
    labels: np.ndarray

    def data(self, uri: str, *, first: int = 0, trained: int | None = None) -> tuple[Prepared, Sides]:
        """A dataset at an address, whose held-out X-rays have digests from a number on; `trained` as those of `train`.

        Pictures of datasets are never read here: what a model makes of them is in the features.
        """
        settings = self.registry.settings
        manifest = Manifest(
            filesystem=LocalFileSystem(),
            path="",
            uri=uri,
            digest=f"{uri} from {first}",
            rows=2 * COUNT,
            pictures={},
            patients={"held-out": {"NORMAL": 40, "PNEUMONIA": 40}},
            quarantined={},
        )
        prepared = Prepared(
            settings=settings,
            source=open_source("synthetic:40"),
            manifest=manifest,
            state=open_state(settings.state_uri),
        )
        held_out = self.table(first)
        train = self.table(10_000 + first if trained is None else trained)
        return prepared, Sides(train=train, held_out=held_out, test=held_out.only(np.zeros(COUNT, bool)))

    def table(self, first: int) -> FeatureTable:
        return FeatureTable(
            features=self.features,
            views=np.zeros((COUNT, 0, self.features.shape[1]), np.float32),
            judged=np.zeros((COUNT, 0, self.features.shape[1]), np.float32),
            sha256=np.array([f"{number:064d}" for number in range(first, first + COUNT)]),
            labels=self.labels,
            patients=np.array([f"person{number}" for number in range(first, first + COUNT)]),
            roles=np.full(COUNT, "train"),
        )

    def trained_on(self, uri: str, *, labels: np.ndarray | None = None, spec: FeatureSpec = DEFAULT_SPEC) -> None:
        """Let the champion be of a dataset; `labels` are those of its reference."""
        prepared, sides = self.data(uri)
        held_out = sides.held_out if labels is None else replace(sides.held_out, labels=labels)
        scores = np.where(held_out.labels == 1, 0.9, 0.1)
        reference = keep_reference(prepared.state, held_out, scores, spec)
        set_tags(self.registry.settings, self.champion, lineage_tags(prepared, reference=reference))

    def challenge(self, prepared: Prepared, sides: Sides, scratch: Path, *, why: str | None = None) -> Champion:
        """What the gate is told of the champion for the sound challenger."""
        bundle = read_bundle(self.registry.files_of(self.sound), digest=self.sound.digest)
        candidate = Challenger(
            prepared=prepared,
            sides=sides,
            version=self.sound,
            bundle=bundle,
            probabilities=bundle.probability(sides.held_out.features),
            replace_other_data=why,
        )
        return champion_of(candidate, self.champion, scratch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Place:
    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(empty_database, folder / "mlflow.db")
    xrays = GeneratedXrays.generated(patients=24)
    registry = Registry.empty(folder, xrays)
    champion, sound = registry.add(1.0), registry.add(1.0)
    random = np.random.default_rng(3)
    poor = replace(registry, training_set=replace(xrays, labels=1 - xrays.labels)).add(1.0)
    rows = np.arange(COUNT) % 24
    features = (xrays.features[rows] + random.normal(0, 0.001, (COUNT, xrays.features.shape[1]))).astype(np.float32)
    return Place(registry, champion, sound, poor, features, xrays.labels[rows])


@pytest.fixture
def place(whole: Place, tmp_path: Path) -> Iterator[Place]:
    """The registry with the champion in Production, its data unknown, and a state of this test's alone."""
    whole.registry.promote(whole.champion)
    settings = whole.registry.settings.model_copy(update={"state_uri": str(tmp_path / "state")})
    yield replace(whole, registry=replace(whole.registry, settings=settings))
    mlflow_client = client(settings)
    for name in tags_of(settings, whole.champion):
        if name.startswith("dataset.") or name == "reference":
            mlflow_client.delete_model_version_tag("pneumonia", str(whole.champion.version), name)


@pytest.fixture
def lost(place: Place) -> Iterator[None]:
    """The champion's files are gone from the store."""
    files = place.registry.files_of(place.champion)
    files.rename(files.with_name("away"))
    yield
    files.with_name("away").rename(files)


def test_a_model_of_generated_pictures_never_replaces_one_of_real_ones(place: Place) -> None:
    place.trained_on("/clinic/xrays")
    prepared, sides = place.data("synthetic:600", first=500)
    result = judge(prepared, sides, place.sound, replace_other_data="I insist")
    assert not result.decision.promote
    assert "trained on generated pictures and never replaces a model of real ones" in str(result.decision)
    assert result.production.version == place.champion.version
    tags = tags_of(prepared.settings, place.sound)
    assert tags["gate"].startswith("kept back: it was trained on generated pictures")
    checks = {check["name"]: check for check in json.loads(tags["gate.json"])["checks"]}
    assert checks["data"]["passed"] is False
    assert checks["held-out AUC"]["passed"]


def test_a_version_that_passes_waits_for_a_person_where_approval_is_required(place: Place) -> None:
    prepared, sides = place.data("/clinic/xrays")
    settings = prepared.settings.model_copy(update={"approval": "required", "promoted_by": "Ana Souza"})
    result = judge(replace(prepared, settings=settings), sides, place.sound)
    assert result.waits
    assert production(settings).version == place.champion.version
    tags = tags_of(settings, place.sound)
    assert tags["approval"] == "waiting"
    assert tags["gate"].startswith("waits for approval: AUC +0.0000 against pneumonia version 1")
    assert f"python -m ray_jobs.promote {place.sound.version}" in summary(settings, result).splitlines()[-1]
    (waiting,) = candidates(settings)
    assert (waiting.version, waiting.passed.against) == (place.sound, place.champion.version)
    change = promote_by_hand(settings, place.sound, why=None)
    assert (change.who, change.why) == ("Ana Souza", f"approved: {result.decision}")
    assert change.metrics == result.evaluation.metrics("held_out")
    assert candidates(settings) == []


def test_a_version_that_the_gate_keeps_back_does_not_wait(place: Place) -> None:
    prepared, sides = place.data("/clinic/xrays")
    settings = prepared.settings.model_copy(update={"approval": "required"})
    result = judge(replace(prepared, settings=settings), sides, place.poor)
    assert not result.waits
    assert tags_of(settings, place.poor)["gate"].startswith("kept back: ")
    assert "approval" not in tags_of(settings, place.poor)


def test_what_test_says_is_told_before_what_held_out_patients_say(place: Place) -> None:
    prepared, sides = place.data("/clinic/xrays")
    without = judge(prepared, sides, place.sound)
    assert without.test is None
    told = [line.split()[0] for line in summary(prepared.settings, without).splitlines() if line[0] != " "]
    assert told[0] == "held"
    swapped = replace(sides.held_out.only(np.arange(COUNT) < 40), labels=1 - sides.held_out.labels[:40])
    result = judge(prepared, replace(sides, test=swapped), place.sound)
    assert result.test
    # Other X-rays with the labels turned round: about the mirrored AUC, but half as many.
    assert (result.test.images, result.test.auc.value) == (40, pytest.approx(1 - result.evaluation.auc.value, abs=0.1))
    lines = summary(prepared.settings, result).splitlines()
    assert lines[0].startswith("test/       40 X-rays of 40 patients that nothing was trained on")
    assert lines[1].endswith(f"AUC {result.test.auc}, accuracy {result.test.accuracy},")


def test_a_model_of_another_dataset_replaces_only_with_a_reason_that_goes_on_record(place: Place, tmp_path) -> None:
    place.trained_on("/clinic/xrays")
    prepared, sides = place.data("/other/xrays", first=500)
    refused = place.challenge(prepared, sides, tmp_path)
    assert "trained on other data (/clinic/xrays; 0% of the X-rays" in refused.objections[0]
    assert "--replace-other-data WHY" in refused.objections[0]
    result = judge(prepared, sides, place.sound, replace_other_data="we moved to the other clinic")
    assert result.decision.promote
    assert production(prepared.settings).version == place.sound.version
    assert "we moved to the other clinic" in history(prepared.settings)[-1].why


def test_a_champion_that_cannot_be_read_is_not_replaced_by_a_poor_candidate(place: Place, lost: None) -> None:
    prepared, sides = place.data("/clinic/xrays")
    result = judge(prepared, sides, place.poor)
    assert not result.decision.promote
    assert "the champion cannot be asked" in str(result.decision)
    assert production(prepared.settings).version == place.champion.version


def test_a_champion_that_cannot_be_read_is_compared_by_the_answers_that_it_gave(place, lost, tmp_path) -> None:
    place.trained_on("/clinic/xrays")
    champion = place.challenge(*place.data("/clinic/xrays"), tmp_path)
    assert [comparison.xrays for comparison in champion.comparisons] == ["80 X-rays that it was judged by"]
    assert set(champion.comparisons[0].champion) == {0.1, 0.9}


def test_a_champion_that_only_serving_still_has_is_asked_there(place: Place, tmp_path: Path) -> None:
    settings = place.registry.settings
    VerifiedCache(settings, cache_folder(settings)).obtain(place.champion)
    files = place.registry.files_of(place.champion)
    files.rename(files.with_name("away"))
    try:
        champion = place.challenge(*place.data("/clinic/xrays"), tmp_path)
    finally:
        files.with_name("away").rename(files)
    assert [comparison.xrays for comparison in champion.comparisons] == ["the same 80 held-out X-rays"]
    assert not any("cannot be asked" in note for note in champion.notes)


@pytest.mark.parametrize(("first", "share"), [(0, 100), (40, 50)], ids=["renamed", "half of it is left"])
def test_a_dataset_that_moved_or_changed_is_the_same_while_half_of_its_pictures_are_there(
    place: Place, tmp_path: Path, first: int, share: int
) -> None:
    place.trained_on("/clinic/xrays")
    champion = place.challenge(*place.data("s3://bucket/xrays", first=first), tmp_path)
    assert champion.objections == ()
    # The very same X-rays are compared once.
    assert len(champion.comparisons) == (1 if share == 100 else 2)
    assert all(comparison.binding for comparison in champion.comparisons)


def test_a_model_of_real_pictures_is_not_asked_about_the_generated_ones_of_the_champion(place, tmp_path) -> None:
    place.trained_on("synthetic:600")
    champion = place.challenge(*place.data("/clinic/xrays", first=500), tmp_path)
    assert champion.objections == ()
    assert [comparison.xrays for comparison in champion.comparisons] == ["the same 80 held-out X-rays"]
    assert "pneumonia version 1 was trained on generated pictures (synthetic:600), this one on real ones" in (
        champion.notes
    )


def test_x_rays_that_the_candidate_was_trained_on_do_not_judge_it(place: Place, tmp_path: Path) -> None:
    place.trained_on("/clinic/xrays")
    champion = place.challenge(*place.data("/clinic/xrays", first=500, trained=30), tmp_path)
    assert [comparison.xrays for comparison in champion.comparisons][1:] == [
        "30 of the 80 X-rays that it was judged by"
    ]
    champion = place.challenge(*place.data("/clinic/xrays", first=500, trained=0), tmp_path)
    assert len(champion.comparisons) == 1
    assert any("it was trained on them" in note for note in champion.notes)


def test_a_champion_of_other_features_is_compared_where_the_pictures_are_here(place: Place, tmp_path: Path) -> None:
    place.trained_on("/clinic/xrays", spec=FeatureSpec(families=DEFAULT_SPEC.families[-1:]))
    champion = place.challenge(*place.data("/clinic/xrays", first=20), tmp_path)
    assert [comparison.xrays for comparison in champion.comparisons][1:] == [
        "60 of the 80 X-rays that it was judged by"
    ]


def test_a_champion_that_cannot_be_asked_about_all_x_rays_is_told_with_the_remedy(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, sides = place.data("/clinic/xrays")
    fewer = replace(sides, held_out=sides.held_out.only(np.arange(COUNT) > 1))
    monkeypatch.setattr(Prepared, "sides", lambda *_: fewer)
    monkeypatch.setattr("ray_jobs.tracking.champion.DEFAULT_SPEC", FeatureSpec(families=DEFAULT_SPEC.families[-1:]))
    with pytest.raises(DatasetError, match=r"2 held-out X-rays could not be read again.*run this job again"):
        place.challenge(prepared, sides, tmp_path)


def test_labels_that_were_mended_count(place: Place, tmp_path: Path) -> None:
    place.trained_on("/clinic/xrays", labels=1 - place.labels)
    champion = place.challenge(*place.data("/clinic/xrays", first=20), tmp_path)
    mended = champion.comparisons[1]
    np.testing.assert_array_equal(mended.labels[20:], place.labels[:60])
    np.testing.assert_array_equal(mended.labels[:20], 1 - place.labels[:20])


def test_a_reference_that_was_changed_is_told_by_its_digest_and_not_used(place: Place, tmp_path: Path) -> None:
    place.trained_on("/clinic/xrays")
    (file,) = Path(place.registry.settings.state_uri, "references").iterdir()
    file.write_bytes(file.read_bytes() + b"x")
    champion = place.challenge(*place.data("/clinic/xrays"), tmp_path)
    assert len(champion.comparisons) == 1
    assert any("was changed" in note and file.stem in note for note in champion.notes)


def test_a_version_without_lineage_is_known_by_its_run_and_else_counts_as_real(place: Place, tmp_path: Path) -> None:
    real, generated = place.data("/clinic/xrays"), place.data("synthetic:600")
    assert place.challenge(*real, tmp_path).objections == ()
    assert "no record names the data of pneumonia version 1; it is taken for the same" in (
        place.challenge(*real, tmp_path).notes
    )
    assert "no record names its data, which counts as real" in place.challenge(*generated, tmp_path).objections[0]
    mlflow_client = client(place.registry.settings)
    mlflow_client.set_tag(place.champion.run_id, "dataset.uri", "/other/xrays")
    try:
        assert "trained on other data (/other/xrays)" in place.challenge(*real, tmp_path).objections[0]
    finally:
        mlflow_client.delete_tag(place.champion.run_id, "dataset.uri")
