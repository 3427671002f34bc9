"""What a path says of a picture."""

import pytest

from ray_jobs.dataset.layout import contradiction, patient_of, place


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person1000_bacteria_2931.jpeg", "person1000"),
        ("person447_virus_921_1.jpeg", "person447"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0115-0001-0002.jpeg", "IM-0115"),
        ("NORMAL2-IM-0135-0001.jpeg", "NORMAL2-IM-0135"),
        ("NORMAL2-IM-0135-0001-0002.jpeg", "NORMAL2-IM-0135"),
        ("IM-0115-0001 (1).jpeg", "IM-0115"),
    ],
)
def test_a_name_of_the_dataset_carries_its_patient(name, patient):
    assert patient_of(name) == patient


@pytest.mark.parametrize(("name", "patient"), [("scan.7.png", "scan.7"), ("noextension", "noextension"), (".x", ".x")])
def test_any_other_name_is_a_patient_of_its_own(name, patient):
    assert patient_of(name) == patient


@pytest.mark.parametrize(
    ("path", "label", "role"),
    [
        ("NORMAL/a.png", "NORMAL", "train"),
        ("train/PNEUMONIA/a.png", "PNEUMONIA", "train"),
        ("val/NORMAL/a.png", "NORMAL", "train"),
        ("test/NORMAL/a.png", "NORMAL", "test"),
        ("chest_xray/Test/pneumonia/a.png", "PNEUMONIA", "test"),
        ("archive/chest_xray/train/Normal/a.png", "NORMAL", "train"),
        ("test/hospital-a/NORMAL/a.png", "NORMAL", "test"),
        ("NORMAL/batch-1/a.png", "NORMAL", "train"),
    ],
)
def test_label_and_role_come_from_the_folders_above(path, label, role):
    found = place(path)
    assert found is not None
    assert (found.label, found.role) == (label, role)


@pytest.mark.parametrize("path", ["README.md", "train/readme/a.png", "NORMAL.png", "ABNORMAL/a.png"])
def test_a_file_below_no_label_folder_is_no_picture(path):
    assert place(path) is None


def test_a_source_that_is_itself_a_test_folder_is_all_test():
    found = place("NORMAL/a.png", source_name="test")
    assert found is not None
    assert found.role == "test"


@pytest.mark.parametrize(
    ("path", "source_name", "twin"),
    [
        ("chest_xray/chest_xray/train/NORMAL/a.png", "", "chest_xray/train/NORMAL/a.png"),
        ("chest_xray/train/NORMAL/a.png", "chest_xray", "train/NORMAL/a.png"),
        ("chest_xray/train/NORMAL/a.png", "data", None),
        ("train/NORMAL/a.png", "", None),
    ],
)
def test_a_repeated_folder_names_the_path_it_repeats(path, source_name, twin):
    found = place(path, source_name=source_name)
    assert found is not None
    assert found.twin == twin


@pytest.mark.parametrize(
    ("name", "label"),
    [("person1_virus_2.jpeg", "NORMAL"), ("IM-1-1.jpeg", "PNEUMONIA"), ("NORMAL2-IM-1-1.jpeg", "PNEUMONIA")],
)
def test_a_name_of_the_other_class_contradicts_its_folder(name, label):
    assert name in (contradiction(name, label) or "")


def test_a_name_that_horos_gives_to_every_picture_is_told_how_to_change():
    assert (contradiction("IM-0001-0001.dcm", "PNEUMONIA") or "").endswith("put its folder's name in front")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("person1_virus_2.jpeg", "PNEUMONIA"),
        ("IM-1-1.jpeg", "NORMAL"),
        ("x.png", "NORMAL"),
        ("p7-IM-0001-0001.dcm", "PNEUMONIA"),
    ],
)
def test_other_names_do_not_contradict_their_folder(name, label):
    assert contradiction(name, label) is None
