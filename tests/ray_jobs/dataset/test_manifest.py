"""The manifest: what is used, what is quarantined and why, and what a second build still has to read."""

import hashlib
import os
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem, LocalFileSystem

from ray_jobs.dataset.build import build_manifest
from ray_jobs.dataset.errors import DatasetError, EntryError, SourceError, TooLittleData
from ray_jobs.dataset.layout import LABELS
from ray_jobs.dataset.manifest import load_manifest
from ray_jobs.dataset.quarantine import Undecodable, add_undecodable, read_quarantine
from ray_jobs.dataset.sources import open_source
from ray_jobs.dataset.split import is_held_out
from ray_jobs.feature_table.prepare import describe

from .conftest import cohort, png


@pytest.fixture
def state(tmp_path: Path) -> dict:
    return {"filesystem": LocalFileSystem(), "base": str(tmp_path / "state" / "dataset")}


def reasons(manifest) -> dict[str, str]:
    table = read_quarantine(manifest)
    return dict(zip(table["path"].to_pylist(), table["reason"].to_pylist(), strict=True))


def test_a_row_holds_path_label_patient_role_hash_and_size(write, state):
    data = png(10**6)
    root = write(cohort() | {"train/PNEUMONIA/person1000_bacteria_2931.png": data})
    manifest = build_manifest(open_source(str(root)), **state)
    row = next(row for row in manifest.table().to_pylist() if row["patient"] == "person1000")
    version = row.pop("version")
    assert version.endswith(f"-{len(data)}")
    assert row == {
        "path": "train/PNEUMONIA/person1000_bacteria_2931.png",
        "label": "PNEUMONIA",
        "patient": "person1000",
        "role": "train",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }


def test_rows_are_sorted_by_content_and_shards_are_their_first_two_digits(write, state):
    manifest = build_manifest(open_source(str(write(cohort()))), **state)
    hashes = manifest.table("sha256")["sha256"].to_pylist()
    assert hashes == sorted(hashes)
    shards = dict(manifest.shards())
    assert list(shards) == sorted({value[:2] for value in hashes})
    assert [value for shard in shards.values() for value in shard["sha256"].to_pylist()] == hashes
    assert all(value[:2] == prefix for prefix, shard in shards.items() for value in shard["sha256"].to_pylist())


def test_shards_that_cross_batches_stay_whole(write, state, monkeypatch):
    manifest = build_manifest(open_source(str(write(cohort(120)))), **state)
    whole = {prefix: rows.to_pylist() for prefix, rows in manifest.shards()}
    batches = type(manifest).batches
    monkeypatch.setattr(type(manifest), "batches", lambda self, rows=7: batches(self, 7))
    assert {prefix: rows.to_pylist() for prefix, rows in manifest.shards()} == whole


def test_bad_files_are_quarantined_by_reason_and_the_rest_is_used(write, state):
    same, torn = png(777), png(778)
    root = write(
        cohort()
        | {
            "NORMAL/empty.png": b"",
            "NORMAL/notes.txt": b"hello, this is text",
            "NORMAL/huge.png": b"\x89PNG\r\n\x1a\n",
            "NORMAL/person7_bacteria_9.png": png(1001),
            "PNEUMONIA/IM-0007-0009.png": png(1002),
            "NORMAL/twice-a.png": same,
            "NORMAL/twice-b.png": same,
            "NORMAL/torn.png": torn,
            "PNEUMONIA/torn.png": torn,
            "README.md": b"not below a label folder",
            "PNEUMONIA 2/copy.png": png(1003),
        }
    )
    os.truncate(root / "NORMAL/huge.png", 40 * 2**20)
    (root / "NORMAL/gone.png").symlink_to(root / "nowhere.png")
    (root / "NORMAL/device.png").symlink_to("/dev/zero")
    os.mkfifo(root / "NORMAL/pipe.png")
    manifest = build_manifest(open_source(str(root)), **state)
    assert reasons(manifest) == {
        "NORMAL/device.png": "unreadable",
        "NORMAL/empty.png": "unreadable",
        "NORMAL/gone.png": "unreadable",
        "NORMAL/huge.png": "too-large",
        "NORMAL/notes.txt": "not-an-image",
        "NORMAL/person7_bacteria_9.png": "label-contradicts-name",
        "NORMAL/pipe.png": "unreadable",
        "NORMAL/torn.png": "conflicting-labels",
        "NORMAL/twice-b.png": "duplicate",
        "PNEUMONIA/IM-0007-0009.png": "label-contradicts-name",
        "PNEUMONIA/torn.png": "conflicting-labels",
        "PNEUMONIA 2/copy.png": "no-label-folder",
        "README.md": "no-label-folder",
    }
    assert manifest.quarantined == Counter(reasons(manifest).values())
    assert manifest.rows == 80 + 1
    details = dict(zip(*(read_quarantine(manifest)[name].to_pylist() for name in ("path", "detail")), strict=True))
    assert details["NORMAL/twice-b.png"] == "the same bytes as NORMAL/twice-a.png"
    assert details["NORMAL/torn.png"].endswith("PNEUMONIA/torn.png")
    assert details["NORMAL/empty.png"] == "the file is empty"
    for special in ("NORMAL/device.png", "NORMAL/pipe.png"):
        assert details[special] == f"{special} is no regular file"


def test_a_second_lot_of_x_rays_in_a_folder_of_the_same_name_is_not_taken_for_a_copy(write, state):
    names, others = cohort(above="train/train/"), cohort(first=101)
    lot = {path: data + bytes(1) for path, data in zip(names, others.values(), strict=True)}
    manifest = build_manifest(open_source(str(write(cohort(above="train/") | lot))), **state)
    assert (manifest.rows, manifest.quarantined) == (160, {})


def test_of_a_copy_and_what_it_copies_the_one_that_was_not_cut_short_is_used(write, state):
    path, *_ = cohort()
    files = cohort(above="train/") | cohort(above="train/train/") | {f"train/{path}": b""}
    manifest = build_manifest(open_source(str(write(files))), **state)
    assert (manifest.rows, manifest.quarantined) == (80, {"duplicate": 79, "unreadable": 1})


def test_files_below_no_label_folder_are_counted_and_listed_with_the_folder_that_is_none(write, state):
    root = write(cohort() | {f"PNEUMONIA 2/person{n}_virus_{n}.png": png(n) for n in range(500, 530)} | {"a.txt": b"a"})
    manifest = build_manifest(open_source(str(root)), **state)
    assert manifest.quarantined == {"no-label-folder": 31}
    assert manifest.rows == 80
    assert "left out: 31 no-label-folder, listed in" in describe(manifest)
    details = dict(zip(*(read_quarantine(manifest)[name].to_pylist() for name in ("path", "detail")), strict=True))
    assert details["PNEUMONIA 2/person500_virus_500.png"] == (
        "stands in 'PNEUMONIA 2', not below a folder named NORMAL or PNEUMONIA"
    )
    assert details["a.txt"].startswith("stands at the top")
    assert build_manifest(open_source(str(root)), **state).hashed == 0


def test_a_link_that_leads_back_up_adds_nothing_and_blames_nothing(write, state):
    root = write(cohort(above="train/"))
    (root / "train/loop").symlink_to("..", target_is_directory=True)
    (root / "a").symlink_to("train", target_is_directory=True)
    manifest = build_manifest(open_source(str(root)), **state)
    assert manifest.quarantined == {}
    assert {path.split("/")[0] for path in manifest.table("path")["path"].to_pylist()} == {"train"}
    assert manifest.rows == 80


def test_of_a_file_and_a_link_to_it_the_file_is_used_whatever_their_names(write, state):
    root = write(cohort() | {"NORMAL/z.png": png(900), "NORMAL/torn.png": png(901)})
    (root / "NORMAL/a.png").symlink_to("z.png")
    (root / "PNEUMONIA/torn.png").symlink_to("../NORMAL/torn.png")
    assert reasons(build_manifest(open_source(str(root)), **state)) == {
        "NORMAL/a.png": "duplicate",
        "NORMAL/torn.png": "conflicting-labels",
        "PNEUMONIA/torn.png": "conflicting-labels",
    }


def test_a_name_that_tells_the_class_settles_a_conflict_of_labels(write, state):
    data = png(900)
    root = write(cohort() | {"NORMAL/person900_virus_1.png": data, "PNEUMONIA/person900_virus_1.png": data})
    manifest = build_manifest(open_source(str(root)), **state)
    assert reasons(manifest) == {"NORMAL/person900_virus_1.png": "label-contradicts-name"}


def test_jpeg_png_and_dicom_are_told_by_their_bytes_whatever_the_name(write, state):
    root = write(
        cohort()
        | {"NORMAL/a.bin": b"\xff\xd8\xff\xe0rest", "NORMAL/b": bytes(128) + b"DICM", "NORMAL/c.jpeg": b"GIF89a....."}
    )
    assert reasons(build_manifest(open_source(str(root)), **state)) == {"NORMAL/c.jpeg": "not-an-image"}


def test_patients_of_the_test_folder_are_never_trained_on(write, state):
    extra = png(5000)
    root = write(
        cohort(above="train/")
        | {
            "test/PNEUMONIA/person3_bacteria_1.png": png(4000),
            "test/NORMAL/IM-0900-0001.png": extra,
            "train/NORMAL/IM-0901-0001.png": extra,
            "val/NORMAL/IM-0902-0001.png": png(5001),
        }
    )
    manifest = build_manifest(open_source(str(root)), **state)
    assert reasons(manifest) == {
        "train/PNEUMONIA/person3_virus_3.png": "patient-in-test",
        "train/NORMAL/IM-0901-0001.png": "duplicate",
    }
    roles = dict(zip(*(manifest.table(name)[name].to_pylist() for name in ("path", "role")), strict=True))
    assert roles["val/NORMAL/IM-0902-0001.png"] == "train"
    assert roles["test/NORMAL/IM-0900-0001.png"] == "test"
    assert manifest.pictures["test"] == {"NORMAL": 1, "PNEUMONIA": 1}


def test_counts_tell_the_held_out_from_those_who_are_trained_on(write, state):
    manifest = build_manifest(open_source(str(write(cohort()))), **state)
    judges = sum(is_held_out(f"person{number}") for number in range(1, 41))
    assert manifest.pictures["held-out"]["PNEUMONIA"] == manifest.patients["held-out"]["PNEUMONIA"] == judges
    assert manifest.pictures["train"]["PNEUMONIA"] == 40 - judges


def test_a_second_build_reads_only_what_is_new_and_gives_the_same_bytes(write, state):
    same = png(777)
    root = write(cohort() | {"NORMAL/x.txt": b"text", "NORMAL/y-a.png": same, "NORMAL/y-b.png": same})
    first = build_manifest(open_source(str(root)), **state)
    stood = Path(first.path).read_bytes(), Path(first.quarantine_path).read_bytes()
    second = build_manifest(open_source(str(root)), **state)
    assert (first.hashed, second.hashed) == (83, 0)
    assert (Path(second.path).read_bytes(), Path(second.quarantine_path).read_bytes()) == stood
    (root / "NORMAL/IM-0001-0001.png").write_bytes(png(12345))
    write({"NORMAL/IM-0950-0001.png": png(12346)})
    third = build_manifest(open_source(str(root)), **state)
    assert (third.hashed, third.rows) == (2, second.rows + 1)
    assert third.digest != second.digest
    (root / "NORMAL/y-a.png").unlink()
    fourth = build_manifest(open_source(str(root)), **state)
    assert fourth.hashed == 0
    assert "NORMAL/y-b.png" in fourth.table("path")["path"].to_pylist()


def test_the_digest_tells_the_data_and_not_where_it_stands(write, state):
    one = build_manifest(open_source(str(write(cohort(), "one"))), **state)
    other = build_manifest(open_source(str(write(cohort(above="wrap/train/"), "other"))), **state)
    more = build_manifest(open_source(str(write(cohort(41), "more"))), **state)
    assert one.digest == other.digest != more.digest
    assert one.path != other.path


def test_a_manifest_can_be_opened_again(write, state):
    source = open_source(str(write(cohort())))
    assert load_manifest(source, **state) is None
    built = build_manifest(source, **state)
    assert load_manifest(source, **state) == load_manifest(source.uri, **state) == built


def test_rows_of_a_manifest_that_another_job_built_from_other_data_do_not_pass_for_its_own(write, state):
    root = write(cohort())
    manifest = build_manifest(open_source(str(root)), **state)
    build_manifest(open_source(str(root)), **state)
    assert manifest.table().num_rows == manifest.rows  # of the same data
    write({"train/NORMAL/IM-9999-0001.png": png(10**6)})
    build_manifest(open_source(str(root)), **state)
    for reading in (lambda: list(manifest.batches()), lambda: list(manifest.shards()), manifest.table):
        with pytest.raises(DatasetError, match="another job has taken stock of it meanwhile; run this job again"):
            reading()


def test_a_torn_or_foreign_manifest_is_built_again(write, state):
    source = open_source(str(write(cohort())))
    built = build_manifest(source, **state)
    Path(built.path).write_bytes(Path(built.path).read_bytes()[:100])
    assert load_manifest(source, **state) is None
    assert build_manifest(source, **state).hashed == 80
    pq.write_table(pq.read_table(built.path), built.path)
    assert load_manifest(source, **state) is None


def test_a_build_that_dies_while_writing_leaves_the_last_manifest(write, state, monkeypatch):
    source = open_source(str(write(cohort())))
    built = build_manifest(source, **state)
    stood = Path(built.path).read_bytes()
    write({"NORMAL/IM-0950-0001.png": png(12346)})

    def dies(*_):
        raise OSError("no space left")

    monkeypatch.setattr("registry.state.shutil.copyfileobj", dies)
    with pytest.raises(OSError, match="no space left"):
        build_manifest(source, **state)
    assert Path(built.path).read_bytes() == stood
    assert {file.name for file in Path(built.path).parent.iterdir()} == {"manifest.parquet", "quarantine.parquet"}


def test_too_little_data_is_said_by_class_with_counts_and_remedy(write, state):
    root = write(cohort() | {"NORMAL/empty.png": b""})
    for file in list((root / "PNEUMONIA").iterdir())[3:]:
        file.unlink()
    with pytest.raises(TooLittleData) as caught:
        build_manifest(open_source(str(root)), **state)
    message = str(caught.value)
    assert "PNEUMONIA has" in message
    assert "to train on (at least 10 of 5 are needed)" in message
    assert "NORMAL has" not in message
    assert "one name" not in message
    assert "add pictures of other patients, or fix what was left out: 1 unreadable, listed in" in message
    assert load_manifest(str(root), **state) is not None, "the report can be read"


def test_a_folder_for_each_patient_with_files_of_one_name_is_told_what_patients_are_told_by(write, state):
    root = write({f"{label}/p{n}/image.png": png(100 * i + n) for i, label in enumerate(LABELS) for n in range(40)})
    with pytest.raises(TooLittleData, match=r"40 NORMAL of 1 patients.*files of one name in several folders count as"):
        build_manifest(open_source(str(root)), **state)


@pytest.mark.parametrize(
    ("kept", "missing"), [("NORMAL/", "PNEUMONIA"), ("PNEUMONIA/", "NORMAL"), ("other/", "NORMAL nor PNEUMONIA")]
)
def test_a_place_without_both_label_folders_is_refused_with_an_example(write, state, kept, missing):
    root = write({f"{kept}a.png": png(1)})
    with pytest.raises(
        SourceError,
        match=rf"no pictures in a folder {missing}( \(other folders there: 'other'\))?; .*NORMAL/IM-0115-0001\.jpeg",
    ):
        build_manifest(open_source(str(root)), **state)


def test_an_archive_that_was_not_unpacked_is_named_and_so_is_a_file_of_another_kind(write, state):
    root = write({"Chest X-rays.ZIP": b"PK\x03\x04"})
    with pytest.raises(SourceError, match=r"\('Chest X-rays\.ZIP' is there, which has to be unpacked\)"):
        build_manifest(open_source(str(root)), **state)
    root = write(cohort() | {"NORMAL/film.tif": b"II*\x00" + bytes(200)})
    manifest = build_manifest(open_source(str(root)), **state)
    details = dict(zip(*(read_quarantine(manifest)[name].to_pylist() for name in ("path", "detail")), strict=True))
    assert details["NORMAL/film.tif"] == "the file is a TIFF, not JPEG, PNG or DICOM; convert it to one"


def test_a_source_that_fails_as_a_whole_stops_the_build_and_blames_no_picture(write, state):
    source = open_source(str(write(cohort())))

    class Fails:
        uri, name = source.uri, source.name
        entries = staticmethod(source.entries)

        def read(self, path):
            raise SourceError("the endpoint is away") if "person9_" in path else EntryError("this one only")

    with pytest.raises(SourceError, match="the endpoint is away"):
        build_manifest(Fails(), **state)
    assert load_manifest(source, **state) is None


def test_a_file_name_that_is_no_utf8_is_reported_and_not_lost(write, state):
    root = write(cohort())
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/NORMAL/\xff.png")).write_bytes(png(1))
    except OSError as error:
        pytest.skip(reason=f"this filesystem takes no such name: {error}")
    assert reasons(build_manifest(open_source(str(root)), **state)) == {"NORMAL/\\udcff.png": "unreadable"}


def test_a_folder_whose_name_is_no_utf8_is_refused_by_name(write, state):
    root = write(cohort())
    try:
        renamed = root.rename(root.with_name("r\udcf3ntgen"))
    except OSError as error:
        pytest.skip(reason=f"this filesystem takes no such name: {error}")
    with pytest.raises(SourceError, match=r"r\\udcf3ntgen' has bytes in its name that are not UTF-8; rename it"):
        build_manifest(open_source(str(renamed)), **state)


def test_what_extraction_cannot_decode_joins_the_report_once(write, state):
    root = write(cohort() | {"NORMAL/empty.png": b""})
    manifest = build_manifest(open_source(str(root)), **state)
    row = manifest.table().to_pylist()[0]
    for _ in range(2):
        add_undecodable(manifest, [Undecodable(row["path"], row["sha256"], "cut short")])
    assert reasons(manifest) == {"NORMAL/empty.png": "unreadable", row["path"]: "undecodable"}
    assert build_manifest(open_source(str(root)), **state).digest == manifest.digest


def test_progress_counts_up_to_what_has_to_be_read(write, state):
    seen: list[tuple[int, int]] = []
    build_manifest(open_source(str(write(cohort()))), **state, on_progress=lambda *at: seen.append(at))
    assert seen == [(number, 80) for number in range(1, 81)]


def test_a_state_folder_may_be_given_by_uri(write, tmp_path):
    filesystem, base = FileSystem.from_uri((tmp_path / "elsewhere").as_uri())
    manifest = build_manifest(open_source(str(write(cohort()))), filesystem=filesystem, base=base)
    assert Path(manifest.path).is_relative_to(tmp_path / "elsewhere")


def test_the_smallest_synthetic_set_is_enough(state):
    manifest = build_manifest(open_source("synthetic:40"), **state)
    assert manifest.rows == 40
    assert min(manifest.patients["held-out"].values()) >= 2


def test_the_real_training_split_is_taken_whole_but_for_its_duplicates(real_xrays, state):
    manifest = build_manifest(open_source(str(real_xrays / "chest-xray-224/train")), **state)
    assert set(manifest.quarantined) == {"duplicate"}
    assert manifest.rows + manifest.quarantined["duplicate"] == 1341 + 3875
    assert build_manifest(open_source(str(real_xrays / "chest-xray-224/train")), **state).hashed == 0


@pytest.mark.parametrize(
    "spellings",
    [
        pytest.param(("scan7", "SCAN7"), id="case"),
        pytest.param(("jos\u00e97", "jose\u03017"), id="two ways to encode an accent"),
        pytest.param(("person7000_virus_1", "PERSON7000_Virus_2"), id="the dataset's own names"),
    ],
)
def test_one_patient_spelled_in_two_ways_stands_on_one_side_and_nobody_else_moves(write, state, spellings):
    files = cohort() | {
        f"PNEUMONIA/{'' if index else 'a/'}{name}.png": png(10**6 + index) for index, name in enumerate(spellings)
    }
    alone = build_manifest(open_source(str(write(cohort()))), **state)
    manifest = build_manifest(open_source(str(write(files, "more"))), **state)
    patients = dict(zip(*(manifest.table().column(name).to_pylist() for name in ("sha256", "patient")), strict=True))
    assert len({patients[hashlib.sha256(png(10**6 + index)).hexdigest()] for index in (0, 1)}) == 1
    for sha256, patient in zip(
        *(alone.table().column(name).to_pylist() for name in ("sha256", "patient")), strict=True
    ):
        assert patients[sha256] == patient
    assert sum(sum(side.values()) for side in manifest.patients.values()) == len(set(patients.values()))


def test_a_patient_of_test_is_left_out_of_training_however_the_id_is_spelled(write, state):
    files = cohort() | {"test/PNEUMONIA/scan7.png": png(10**6), "train/PNEUMONIA/SCAN7.png": png(10**6 + 1)}
    manifest = build_manifest(open_source(str(write(files))), **state)
    assert reasons(manifest) == {"train/PNEUMONIA/SCAN7.png": "patient-in-test"}
