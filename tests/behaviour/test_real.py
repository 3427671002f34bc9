"""How a model of real X-rays treats the originals from which its small ones were made."""

import numpy as np
from sklearn.metrics import roc_auc_score


def test_an_original_and_its_small_version_get_close_probabilities(real_xrays, real_model):
    originals = sorted((real_xrays / "chest-xray-original").rglob("*.jpeg"))
    small = [real_xrays / "chest-xray-224" / "train" / path.parent.name / path.name for path in originals]
    large, reduced = (
        real_model.predict_unchecked([path.read_bytes() for path in paths]) for paths in (originals, small)
    )
    moved = np.abs(large - reduced)
    labels = [int(path.parent.name == "PNEUMONIA") for path in originals]
    assert np.mean(moved < 0.1) > 0.8
    assert np.mean((large >= real_model.threshold) == (reduced >= real_model.threshold)) > 0.9
    assert roc_auc_score(labels, large) > 0.95
    assert roc_auc_score(labels, reduced) > 0.95
