"""The generated pictures: named like the dataset's own, always the same, and of two classes that can be told apart."""

import itertools
import pickle
from collections import Counter

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.extract import extract
from ray_jobs.dataset.errors import EntryError
from ray_jobs.dataset.layout import contradiction, patient_of, place
from ray_jobs.dataset.sources import open_source
from ray_jobs.dataset.split import folds
from ray_jobs.dataset.synthetic import SIZE, chest_picture


def paths(count: int) -> list[str]:
    return [entry.path for entry in open_source(f"synthetic:{count}").entries()]


def test_there_are_as_many_pictures_as_asked_for_and_each_once():
    assert [len(set(paths(count))) for count in (40, 47, 600)] == [40, 47, 600]


def test_more_pictures_do_not_change_the_first_ones():
    assert paths(600)[:40] == paths(40)
    assert open_source("synthetic:40").read(paths(40)[3]) == open_source("synthetic:600").read(paths(40)[3])


def test_names_follow_the_dataset_and_carry_one_to_four_pictures_a_patient():
    found = paths(400)
    labels = Counter(path.partition("/")[0] for path in found)
    assert labels == {"NORMAL": 200, "PNEUMONIA": 200}
    for path in found:
        stands = place(path)
        assert stands is not None
        assert contradiction(path.rpartition("/")[2], stands.label) is None
    assert set(Counter(patient_of(path.rpartition("/")[2]) for path in found).values()) == {1, 2, 3, 4}


def test_both_file_types_occur_in_both_classes():
    kinds = Counter((path.partition("/")[0], path.rpartition(".")[2]) for path in paths(400))
    assert kinds[("NORMAL", "png")] == kinds[("PNEUMONIA", "png")] == 20


def test_every_entry_can_be_read_and_is_the_picture_its_name_says():
    source = pickle.loads(pickle.dumps(open_source("synthetic:40")))
    for path in paths(40):
        data = source.read(path)
        assert data.startswith(b"\x89PNG" if path.endswith("png") else b"\xff\xd8\xff")
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape == (SIZE, SIZE)


def test_a_high_index_is_found_from_its_name_alone():
    source = open_source("synthetic:1000000")
    last = next(itertools.islice(source.entries(), 999, None)).path
    assert source.read(last) == open_source("synthetic:1000").read(last)


@pytest.mark.parametrize(
    "path", ["NORMAL/IM-0001-0001.jpeg", "NORMAL/x.png", "PNEUMONIA/person29_virus_9999.jpeg", "a"]
)
def test_a_path_that_is_not_of_the_source_is_refused(path):
    with pytest.raises(EntryError, match="is not a picture of synthetic:40"):
        open_source("synthetic:40").read(path)


def test_pictures_differ_between_shots_and_patients_and_repeat_exactly():
    one, again, other_shot, other_patient = (
        chest_picture(patient=patient, picture=picture, label="NORMAL")
        for patient, picture in [(1, 1), (1, 1), (1, 2), (2, 1)]
    )
    assert one == again
    assert len({one, other_shot, other_patient}) == 3


def test_lungs_are_darker_than_what_surrounds_them_and_pneumonia_brightens_them():
    def lungs(label):
        return [
            np.mean(grey[90:150, 60:90].astype(float)) / np.mean(grey[90:150, 122:134])
            for grey in (
                cv2.imdecode(np.frombuffer(chest_picture(patient=n, picture=1, label=label), np.uint8), 0)
                for n in range(60)
            )
        ]

    normal, ill = lungs("NORMAL"), lungs("PNEUMONIA")
    assert np.median(normal) < 0.85
    assert np.mean(ill) > np.mean(normal)
    assert min(ill) < np.median(normal), "some pneumonia is hard to see"


def test_a_real_model_separates_the_classes_well_but_not_perfectly():
    source = open_source("synthetic:240")
    found = paths(240)
    features = np.stack([extract(source.read(path)) for path in found])
    ill = np.array([path.startswith("PNEUMONIA") for path in found])
    scores = np.zeros(len(found))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    for train, valid in folds(ill, [patient_of(path.rpartition("/")[2]) for path in found], 5):
        scores[valid] = model.fit(features[train], ill[train]).decision_function(features[valid])
    assert 0.88 < roc_auc_score(ill, scores) < 0.999
