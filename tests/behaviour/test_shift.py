"""What does not change what an X-ray shows hardly changes the answer: real X-rays of patients that no fit has seen."""

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ray_jobs.dataset.layout import patient_of
from ray_jobs.learning.changes import CHANGES
from tests.behaviour.conftest import labels_of, pixels_of, png_of

LOOKED_AT = 100  # of each class
# Of the labels, at most. A model that learnt from all X-rays flips 0.03, as `test_trained.py` has it. This small one
# flips as many but by a marker, 0.045, and two more of the 200 are allowed it. What is cut off flips none.
FLIPPED, BY_A_MARKER, BY_A_BORDER = 0.04, 0.055, 0.0
LEAST_AUC = 0.98


@pytest.fixture(scope="module")
def unseen(real_xrays, real_chosen) -> tuple[list[np.ndarray], np.ndarray]:
    """Pixels and labels of X-rays of patients whom the model has not seen."""
    known = {patient_of(name.rpartition("/")[2]) for name in real_chosen}
    paths = []
    for label in ("NORMAL", "PNEUMONIA"):
        files = sorted((real_xrays / "chest-xray-224" / "train" / label).iterdir())
        others = [path for path in files if patient_of(path.name) not in known]
        paths += others[:: len(others) // LOOKED_AT][:LOOKED_AT]
    return [pixels_of(path.read_bytes()) for path in paths], labels_of([str(path) for path in paths])


@pytest.fixture(scope="module")
def plain(real_model, unseen) -> np.ndarray:
    return real_model.predict_unchecked([png_of(pixels) for pixels in unseen[0]])


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_shows_nothing_else_flips_few_labels(real_model, unseen, plain, name):
    pixels, labels = unseen
    changed = real_model.predict_unchecked([png_of(CHANGES[name](each)) for each in pixels])
    most = BY_A_BORDER if name.startswith("border") else BY_A_MARKER if name == "marker" else FLIPPED
    assert np.mean((changed >= real_model.threshold) != (plain >= real_model.threshold)) <= most
    assert roc_auc_score(labels, changed) >= LEAST_AUC


def test_what_surrounds_the_lungs_does_not_matter(real_model, unseen, plain):
    """A black rim of 16 of 220 pixels once turned a healthy X-ray from 0.03 to 0.92."""
    rims = [cv2.copyMakeBorder(each, 16, 16, 16, 16, cv2.BORDER_CONSTANT, value=0) for each in unseen[0]]
    moved = np.abs(real_model.predict_unchecked([png_of(each) for each in rims]) - plain)
    assert np.median(moved) <= 0.02
    assert np.mean(moved > 0.5) <= 0.02
