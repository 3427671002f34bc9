"""Batch scoring, row by row and on Ray."""

import os
from dataclasses import fields, replace
from pathlib import Path

import highdicom
import pyarrow as pa
import pydicom
import pytest
from pydicom.uid import generate_uid

from features.reading.decode import decode
from ray_jobs.dataset.sources import open_source
from ray_jobs.predict import Tally
from ray_jobs.scoring import SCHEMA, ScoringJob, score
from registry.errors import UsageError
from registry.model.bundle import Bundle
from registry.state import State, open_state
from tests.behaviour.not_xrays import generated
from tests.features.images import dicom
from tests.tolerances import ANSWER


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    return open_state(str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def scored(state: State):
    """Score a source as the job does; its batches."""

    def run(source, bundle, version=7):
        return list(score(ScoringJob.of(source, bundle, version, "digest", state), ray_address=None))

    return run


def test_each_image_has_a_row_in_the_order_of_paths_whatever_its_name_or_content(
    cluster, bundle, xrays, scored, tmp_path
):
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    names = ["a.jpeg", os.fsdecode(b"b\xff.jpeg"), "c ü.png", "d.png", "e.png", "g.png"]
    contents = [xrays[0][0], xrays[0][-1], xrays[0][1], b"", b"\x89PNG\r\n\x1a\nrest", *generated("hand", 1)]
    for name, content in zip(names, contents, strict=True):
        Path(folder, name).write_bytes(content)
    (folder / "f.png").symlink_to(folder / "nothing")
    batches = scored(open_source(str(folder)), bundle)
    rows = pa.Table.from_batches(batches, SCHEMA).to_pylist()
    assert [row["path"] for row in rows] == [
        *("a.jpeg", "b\\udcff.jpeg", "c ü.png", "d.png", "e.png", "f.png", "g.png")
    ]
    assert {row["model_version"] for row in rows} == {7}
    for row, content in zip(rows[:3], contents, strict=False):
        assert row["probability"] == pytest.approx(float(bundle.predict_unchecked([content])[0]), abs=ANSWER)
        assert (row["label"], row["error"]) == (bundle.label(row["probability"]), None)
    assert [(row["probability"], row["label"]) for row in rows[3:]] == [(None, None)] * 4
    assert all(row["error"] for row in rows[3:])
    assert "two lungs side by side are not found" in rows[-1]["error"]


def test_an_answer_near_the_threshold_has_a_warning_or_where_the_job_abstains_no_answer(
    cluster, bundle, xrays, state, tmp_path
):
    (tmp_path / "a.png").write_bytes(xrays[0][0])
    near, rows = replace(bundle, unsure=(0.0, 1.0)), []
    for abstains in (False, True):
        job = ScoringJob.of(open_source(str(tmp_path)), near, 1, "same", state, abstains=abstains)
        ((row,),) = (batch.to_pylist() for batch in score(job, ray_address=None))
        rows.append(row)
    warned, refused = rows
    assert "near the threshold" in warned["warning"]
    assert warned["label"]
    assert (refused["label"], refused["probability"]) == (None, None)
    assert "ABSTAIN" in refused["error"]


def test_each_answer_about_a_dicom_has_a_structured_report_under_the_path_of_its_picture(
    cluster, bundle, xrays, state, tmp_path
):
    pixels = decode(xrays[0][-1])
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "PatientName": "Zq7Secret"}
    files = {
        "ward/a.dcm": dicom(pixels, **uids),
        "b.png": xrays[0][0],
        "c.dcm": dicom(pixels),  # it names no study that a report could belong to
        "d.dcm": dicom(pixels, **uids)[:5000],
    }
    for name, content in files.items():
        place = tmp_path / "pictures" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    reports = open_state(str(tmp_path / "reports"), variable="--reports")
    source = open_source(str(tmp_path / "pictures"))
    job = ScoringJob.of(source, bundle, 7, "a" * 64, state, model="pneumonia", reports=reports)
    (rows,) = (batch.to_pylist() for batch in score(job, ray_address=None))
    answered = {row["path"]: row for row in rows if row["label"]}
    assert sorted(answered) == ["b.png", "c.dcm", "ward/a.dcm"]
    (written,) = (path for path in (tmp_path / "reports").rglob("*") if path.is_file())
    assert written == tmp_path / "reports" / "ward" / "a.dcm.sr.dcm"
    parsed = highdicom.sr.srread(written)
    (group,) = parsed.content.get_image_measurement_groups()
    told = {item.name.meaning: item.value for item in group.get_measurements()}
    assert told["Probability of pneumonia"] == pytest.approx(answered["ward/a.dcm"]["probability"], abs=ANSWER)
    read = pydicom.dcmread(tmp_path / "pictures" / "ward" / "a.dcm")
    assert [image.referenced_sop_instance_uid for image in group.source_images] == [read.SOPInstanceUID]
    assert parsed.StudyInstanceUID == uids["StudyInstanceUID"]
    assert b"Zq7Secret" not in written.read_bytes()


def test_an_unusual_image_is_scored_with_a_warning(cluster, bundle, xrays, state, tmp_path):
    strict = replace(bundle, detector=replace(bundle.detector, doubtful=0.0))
    (tmp_path / "a.png").write_bytes(xrays[0][0])
    for version, model, start in ((1, bundle, None), (2, strict, "The picture is unusual")):
        job = ScoringJob.of(open_source(str(tmp_path)), model, version, str(version), state)
        ((row,),) = (batch.to_pylist() for batch in score(job, ray_address=None))
        assert (row["warning"] or "").startswith(start or "")
        assert bool(row["warning"]) == bool(start)
        assert row["label"] == model.label(row["probability"])


def test_many_batches_come_in_order_and_none_is_lost(cluster, bundle, scored, monkeypatch):
    monkeypatch.setattr("ray_jobs.scoring.BATCH", 3)
    source = open_source("synthetic:40")
    batches = scored(source, bundle)
    paths = [path for batch in batches for path in batch.column("path").to_pylist()]
    assert paths == sorted(entry.path for entry in source.entries())
    assert [len(batch) for batch in batches] == [3] * 13 + [1]


class Untouchable(Bundle):
    """A model that must not be asked."""

    def score(self, image: bytes):
        raise AssertionError("scored again")


def test_a_run_after_an_interrupted_one_scores_only_what_is_missing(cluster, bundle, state, monkeypatch, tmp_path):
    monkeypatch.setattr("ray_jobs.scoring.BATCH", 2)
    source = open_source("synthetic:40")
    whole = ScoringJob.of(source, bundle, 7, "digest", state)
    before = list(score(whole, ray_address=None))
    untouchable = Untouchable(**{field.name: getattr(bundle, field.name) for field in fields(bundle)})
    again = ScoringJob.of(source, untouchable, 7, "digest", state)
    assert list(score(again, ray_address=None)) == before
    state.filesystem.delete_file(whole.path(19))
    with pytest.raises(AssertionError, match="scored again"):
        list(score(again, ray_address=None))
    assert ScoringJob.of(source, bundle, 7, "another model", state).key != whole.key
    assert ScoringJob.of(open_source("synthetic:42"), bundle, 7, "digest", state).key != whole.key
    whole.forget()
    assert not state.exists(whole.path(0))


def test_a_picture_that_could_not_be_read_is_tried_again_by_the_next_run(cluster, bundle, xrays, state, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "later.png")
    job = ScoringJob.of(open_source(str(folder)), bundle, 7, "digest", state)
    assert pa.Table.from_batches(score(job, ray_address=None)).column("error").to_pylist() != [None]
    (tmp_path / "later.png").write_bytes(xrays[0][0])
    assert pa.Table.from_batches(score(job, ray_address=None)).column("error").to_pylist() == [None]


def test_the_answers_are_counted_and_the_first_error_is_kept(cluster, bundle, xrays, state, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"text")
    (folder / "b.png").write_bytes(xrays[0][0])
    tally = Tally()
    job = ScoringJob.of(open_source(str(folder)), bundle, 7, "digest", state)
    assert sum(len(batch) for batch in tally.of(score(job, ray_address=None))) == 2
    assert str(tally) == "1 pictures have an answer, 1 an error instead"
    assert "not JPEG, PNG or DICOM" in tally.first_error


def test_a_source_without_pictures_is_told_and_is_an_error_of_usage(bundle, state, tmp_path):
    with pytest.raises(UsageError, match=f"{tmp_path} holds no pictures") as raised:
        ScoringJob.of(open_source(str(tmp_path)), bundle, 7, "digest", state)
    assert raised.value.exit_code == 2
