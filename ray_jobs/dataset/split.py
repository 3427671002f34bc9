"""Which patients are trained on, which judge: by patient, so that no patient ever stands on two sides."""

import hashlib
import unicodedata

import numpy as np
import numpy.typing as npt

from ray_jobs.dataset.errors import TooLittleData

HELD_OUT_FRACTION = 0.2

# Changing the salt moves patients: a champion would then have trained on those who judge its challenger.
_SALT = b"hm-mlflow/held-out-patients/1\0"


def same_patient(patient: str) -> str:
    """What all spellings of one id have in common: neither case nor how accents are encoded makes another patient."""
    return unicodedata.normalize("NFC", patient.casefold())


def is_held_out(patient: str, fraction: float = HELD_OUT_FRACTION) -> bool:
    """Whether ``patient`` judges models and trains none, by a hash of the id alone.

    The answer depends on nothing else, so new patients never move old ones, and a larger ``fraction`` only adds.

    Raises
    ------
    ValueError
        ``fraction`` is not in [0, 1].
    """
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"held-out fraction {fraction} is not between 0 and 1; 0.2 holds out one patient in five")
    digest = hashlib.sha256(_SALT + patient.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def held_out(patients: npt.ArrayLike, fraction: float = HELD_OUT_FRACTION) -> npt.NDArray[np.bool_]:
    """:func:`is_held_out` of every one of ``patients``, shape (N,), hashed once a patient."""
    unique, inverse = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    answers = np.fromiter((is_held_out(str(patient), fraction) for patient in unique), dtype=bool, count=len(unique))
    return answers[inverse]


def sides(
    roles: npt.ArrayLike, patients: npt.ArrayLike, *, fraction: float = HELD_OUT_FRACTION
) -> npt.NDArray[np.str_]:
    """The side of every row, shape (N,): ``train``, ``held-out`` or ``test`` (only ever reported).

    ``roles`` and ``patients`` are columns of the manifest, out of which the training rows of patients who stand in
    ``test/`` have already been left.
    """
    judged = np.where(held_out(patients, fraction), "held-out", "train")
    return np.where(np.asarray(roles, dtype=object).astype(str) == "test", "test", judged)


def folds(
    labels: npt.ArrayLike, patients: npt.ArrayLike, n_splits: int = 5, *, seed: int = 0
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Row indices ``(train, valid)`` of ``n_splits`` folds: by patient, with classes as even as that allows.

    ``labels`` and ``patients`` have shape (N,). The valid parts are disjoint and cover every row; each holds both
    classes.

    Raises
    ------
    TooLittleData
        A class has fewer patients than folds, or a fold would lack a class.
    """
    # Here, because the manifest needs the split by patient but not scikit-learn, which takes a second to import.
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    labels, patients = np.asarray(labels), np.asarray(patients, dtype=object).astype(str)
    _enough_patients(labels, patients, n_splits)
    splitter = StratifiedGroupKFold(n_splits=n_splits, shuffle=True, random_state=seed)
    found = list(splitter.split(np.zeros((len(labels), 1)), labels, groups=patients))
    classes = len(np.unique(labels))
    if any(len(np.unique(labels[part])) < classes for pair in found for part in pair):
        raise TooLittleData(f"{n_splits} folds by patient leave one without both classes; take fewer, or add patients")
    return found


def _enough_patients(labels: npt.NDArray[np.generic], patients: npt.NDArray[np.str_], n_splits: int) -> None:
    counts: dict[str, int] = {str(label): len(set(patients[labels == label])) for label in np.unique(labels)}
    if len(counts) < 2 or min(counts.values()) < n_splits:
        raise TooLittleData(
            f"{n_splits} folds need {n_splits} patients of both classes, but there are {counts or 'none'}; "
            "take fewer folds, or add patients"
        )
