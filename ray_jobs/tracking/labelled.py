"""Labelled X-rays that a version has not learnt from: their features, and what it says of them."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.spec import FeatureSpec
from ray_jobs.dataset.errors import TooLittleData
from ray_jobs.dataset.layout import LABELS, Label
from ray_jobs.dataset.manifest import Manifest, load_manifest
from ray_jobs.dataset.split import sides
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.feature_table.stored import named_rows
from ray_jobs.learning.table import Rows
from ray_jobs.tracking.lineage import Lineage, lineage_of
from ray_jobs.tracking.reference import NoReferenceError, load_reference
from registry.model.bundle import POSITIVE, Bundle
from registry.model.versions import ModelVersion, fetch
from registry.settings import Settings
from registry.state import State


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledXrays:
    """X-rays of a dataset in the features of a version's spec, with their file names, (N,), and its probabilities (N,).

    `left_out` counts those of the dataset that the version was trained on. `known_patients`, bool (N,), tells whose
    patient has the id of one that it was trained on, and may be the same person.
    """

    version: ModelVersion
    bundle: Bundle
    prepared: Prepared
    spec: FeatureSpec
    table: Rows
    names: np.ndarray
    probabilities: np.ndarray
    known_patients: np.ndarray
    left_out: int


def labelled_xrays(settings: Settings, version: ModelVersion, *, least: tuple[int, int], purpose: str) -> LabelledXrays:
    """The X-rays that DATA_URI names, for a version.

    `least` is how many X-rays, of how many patients, of each class are needed for a `purpose` such as "an evaluation".

    Raises
    ------
    ray_jobs.dataset.errors.DatasetError
        If the data cannot be opened, lack a class, or are fewer.
    """
    prepared = prepare(settings, minimum=None)
    _enough(_counts(prepared.manifest), prepared, least, purpose)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = fetch(settings, version, Path(scratch) / "bundle")
    spec = without_views(bundle.spec)
    whole = prepared.all_rows(spec)
    learnt, patients = _learnt(settings, prepared, version, whole)
    table = whole.only(~learnt)
    rows = {label: table.labels == int(label == POSITIVE) for label in LABELS}
    counts = {label: (int(mine.sum()), len(set(table.patients[mine]))) for label, mine in rows.items()}
    _enough(counts, prepared, least, purpose, left_out=int(learnt.sum()))
    paths = named_rows(prepared.manifest, set(table.sha256.tolist()), "sha256", "path")
    name = dict(zip(paths.column("sha256").to_pylist(), paths.column("path").to_pylist(), strict=True))
    return LabelledXrays(
        version=version,
        bundle=bundle,
        prepared=prepared,
        spec=spec,
        table=table,
        names=np.array([name[sha256].rpartition("/")[2] for sha256 in table.sha256]),
        probabilities=table.each(lambda piece: bundle.probability(piece.features)),
        known_patients=np.isin(table.patients, list(patients)),
        left_out=int(learnt.sum()),
    )


def without_views(spec: FeatureSpec) -> FeatureSpec:
    """The same numbers of X-rays as they are, without views, which only a training needs."""
    return replace(spec, acquisition=None)


def _counts(manifest: Manifest) -> dict[Label, tuple[int, int]]:
    """(X-rays, patients) of each label, as far as files can be told before they are decoded."""
    return {label: manifest.count_of(label) for label in LABELS}


def _enough(
    counts: Mapping[Label, tuple[int, int]],
    prepared: Prepared,
    least: tuple[int, int],
    purpose: str,
    *,
    left_out: int = 0,
) -> None:
    images, patients = least
    if all(has >= images and of >= patients for has, of in counts.values()):
        return
    found = ", ".join(f"{has} X-rays of {of} patients with {label}" for label, (has, of) in counts.items())
    trained = f", without {left_out} that the version was trained on" if left_out else ""
    raise TooLittleData(
        f"too little data in {prepared.manifest.uri} for {purpose}: {found}{trained}; at least {images} X-rays of "
        f"{patients} patients are needed of each. Add X-rays, or name other data with --data"
    )


def _learnt(settings: Settings, prepared: Prepared, version: ModelVersion, table: Rows) -> tuple[np.ndarray, set[str]]:
    """Which rows (N,) a version was trained on, and the ids of the patients it was trained on, as far as is known.

    The manifest that it was trained with says so, or the last one of its data where that was not kept. Where neither is
    there, a dataset with X-rays that the version was judged by is taken for the one that it was trained on.
    """
    origin = lineage_of(settings, version)
    if known := _trained_rows(origin, prepared.state):
        sha256, patients = known
        learnt = np.isin(table.sha256, sha256)
        if origin.uri == prepared.manifest.uri:  # the same ids are the same people, whose later X-rays are no new ones
            learnt |= np.isin(table.patients, patients)
        return learnt, set(patients.tolist())
    if origin.digest == prepared.manifest.digest or _judged_by_these(prepared.state, origin, table):
        return sides(table.roles, table.patients) == "train", set()
    return np.zeros(len(table), bool), set()


def _trained_rows(origin: Lineage, state: State) -> tuple[np.ndarray, np.ndarray] | None:
    """The sha256 and the patients, (M,) each, of the X-rays that a version was trained on; None without a manifest."""
    if not origin.uri:
        return None
    base = state.path("datasets")
    manifest = load_manifest(origin.uri, filesystem=state.filesystem, base=base, digest=origin.digest)
    if manifest is None:
        return None
    rows = manifest.table("sha256", "patient", "role")
    sha256, patients, roles = (np.asarray(rows.column(name).to_pylist()) for name in rows.column_names)
    trained = sides(roles, patients) == "train"
    return sha256[trained], patients[trained]


def _judged_by_these(state: State, origin: Lineage, table: Rows) -> bool:
    try:
        return origin.reference is not None and bool(
            np.isin(load_reference(state, origin.reference).sha256, table.sha256).any()
        )
    except NoReferenceError:
        return False


def trained_on(settings: Settings, version: ModelVersion, state: State) -> set[str]:
    """The sha256 of the X-rays that a version was trained on, as far as the manifest of its data is still there."""
    known = _trained_rows(lineage_of(settings, version), state)
    return set(known[0].tolist()) if known else set()
