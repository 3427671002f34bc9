"""What the gate has to know of the version in Production: whose data it knows, and what it says of the same X-rays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow.exceptions import MlflowException

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.errors import DatasetError
from ray_jobs.dataset.sources import kind_of
from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.learning.gate import Champion, Comparison
from ray_jobs.learning.table import Rows, Sides
from ray_jobs.runtime.progress import write_line
from ray_jobs.tracking.lineage import Lineage, lineage_of, recorded_auc
from ray_jobs.tracking.reference import JudgedReference, NoReferenceError, load_reference
from registry.errors import ArtefactError
from registry.model.bundle import Bundle
from registry.model.verified_cache import VerifiedCache, cache_folder
from registry.model.versions import ModelVersion, fetch

SAME_DATA = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Challenger:
    """A version that is judged, the data that it was trained on, and its probabilities (N,) of the held-out X-rays.

    `replace_other_data` is why it may replace a model of another dataset, None if it may not.
    """

    prepared: Prepared
    sides: Sides
    version: ModelVersion
    bundle: Bundle
    probabilities: np.ndarray
    replace_other_data: str | None

    @property
    def generated(self) -> bool:
        """Whether it was trained on generated pictures."""
        return kind_of(self.prepared.manifest.uri) == "generated"


@dataclass(frozen=True, kw_only=True)
class _Relation:
    """Whether two models are of the same data, what of it forbids a replacement, and what a person should know."""

    same: bool
    objections: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def champion_of(candidate: Challenger, version: ModelVersion, scratch: Path) -> Champion:
    """Compare a candidate with a version on the X-rays that each was judged by, as far as both can be asked.

    A model of real pictures is not asked about generated ones, and one that may replace another dataset's model is only
    told how it does on that dataset.
    """
    settings = candidate.prepared.settings
    origin = lineage_of(settings, version)
    reference, notes = _reference(candidate, version, origin)
    data = _whose_data(candidate, version, origin, reference)
    notes += data.notes
    comparisons = list[Comparison]()
    try:
        bundle = _bundle(candidate, version, scratch)
    except ArtefactError as error:
        notes.append(str(error))
    else:
        comparisons.append(_on_its_own(candidate, bundle))
    if reference and candidate.generated == origin.generated and not _is_covered(candidate, reference, comparisons):
        asked = _on_the_reference(candidate, reference, version, binding=data.same)
        if isinstance(asked, Comparison):
            comparisons.append(asked)
        else:
            notes.append(asked)
    return Champion(
        name=str(version),
        comparisons=comparisons,
        recorded_auc=recorded_auc(settings, version) if data.same else None,
        notes=tuple(notes),
        objections=data.objections,
    )


def _reference(
    candidate: Challenger, version: ModelVersion, origin: Lineage
) -> tuple[JudgedReference | None, list[str]]:
    """The X-rays that a version was judged by, or the note that they are not known."""
    if origin.reference is None:
        return None, [f"{version} is older than references, so it is only compared on the candidate's held-out X-rays"]
    try:
        return load_reference(candidate.prepared.state, origin.reference), []
    except NoReferenceError as error:
        return None, [f"what {version} was judged by cannot be read: {error}"]


def _whose_data(
    candidate: Challenger, version: ModelVersion, origin: Lineage, reference: JudgedReference | None
) -> _Relation:
    """How the data of a candidate and of a version go together."""
    if candidate.generated and not origin.generated:
        known = origin.uri or "no record names its data, which counts as real"
        objection = (
            f"it was trained on generated pictures and never replaces a model of real ones, as {version} is ({known}); "
            f"{_by_hand(candidate)}"
        )
        return _Relation(same=False, objections=(objection,))
    if origin.generated and not candidate.generated:
        return _Relation(
            same=False, notes=(f"{version} was trained on generated pictures ({origin.uri}), this one on real ones",)
        )
    if origin.kind is None:
        return _Relation(same=True, notes=(f"no record names the data of {version}; it is taken for the same",))
    share = _share(candidate, reference)
    manifest = candidate.prepared.manifest
    moved = origin.uri != manifest.uri if share is None else share < SAME_DATA
    if moved and not origin.generated and origin.digest != manifest.digest:
        return _of_other_data(candidate, f"{version} was trained on other data ({origin.uri}", share)
    return _Relation(same=True)


def _of_other_data(candidate: Challenger, other: str, share: float | None) -> _Relation:
    other += ")" if share is None else f"; {share:.0%} of the X-rays that it was judged by are in this dataset)"
    if candidate.replace_other_data is None:
        objection = f"{other}; train with --replace-other-data WHY to replace it, or {_by_hand(candidate)}"
        return _Relation(same=False, objections=(objection,))
    return _Relation(same=False, notes=(f"{other}, which was to be replaced: {candidate.replace_other_data}",))


def _by_hand(candidate: Challenger) -> str:
    return f"python -m ray_jobs.promote {candidate.version.version} --why TEXT promotes it by hand"


def _share(candidate: Challenger, reference: JudgedReference | None) -> float | None:
    """The share of a reference's X-rays that the candidate's dataset has, whatever they are called there."""
    if reference is None:
        return None
    sides = candidate.sides
    mine = np.isin(reference.sha256, np.concatenate([side.sha256 for side in (sides.held_out, sides.test)]))
    return float((mine | sides.to_train(reference.sha256)).mean())


def _bundle(candidate: Challenger, version: ModelVersion, scratch: Path) -> Bundle:
    """A version's model from the registry, or the copy from which serving on this machine answers.

    Raises
    ------
    ArtefactError
        If neither can be read.
    """
    settings = candidate.prepared.settings
    try:
        return fetch(settings, version, scratch / "champion")
    except (ArtefactError, MlflowException, OSError) as error:
        recalled = VerifiedCache(settings, cache_folder(settings)).recall()
        if recalled and (recalled[0].version, recalled[0].digest) == (version.version, version.digest):
            write_line(f"{version} cannot be fetched ({error}); the copy that serving keeps is asked")
            return recalled[1]
        raise ArtefactError(f"the champion cannot be asked: {error}") from error


def _on_its_own(candidate: Challenger, champion: Bundle) -> Comparison:
    held_out = candidate.sides.held_out
    return Comparison(
        xrays=f"the same {len(held_out)} held-out X-rays",
        labels=held_out.labels,
        patients=held_out.patients,
        candidate=candidate.probabilities,
        champion=_answers(candidate.prepared, champion, held_out),
    )


def _answers(prepared: Prepared, bundle: Bundle, held_out: Rows) -> np.ndarray:
    """What a model says of rows (N,), by the features of its own spec, which are extracted if it is not today's."""
    if bundle.spec.fingerprint == DEFAULT_SPEC.fingerprint:
        return held_out.each(lambda piece: bundle.probability(piece.features))
    write_line(
        f"the champion was trained on features of spec {bundle.spec.fingerprint[:12]}; extracting them to compare"
    )
    table = prepared.sides(bundle.spec).held_out
    position = {sha256: index for index, sha256 in enumerate(table.sha256)}
    if missing := sum(sha256 not in position for sha256 in held_out.sha256):
        raise DatasetError(
            f"{missing} held-out X-rays could not be read again, to ask the champion about them; run this job again, "
            "and only they will be extracted"
        )
    answers = table.each(lambda piece: bundle.probability(piece.features))
    return answers[[position[sha256] for sha256 in held_out.sha256]]


def _is_covered(candidate: Challenger, reference: JudgedReference, comparisons: list[Comparison]) -> bool:
    """Whether both were compared already on the very X-rays of a reference: those of an unchanged dataset."""
    return bool(comparisons) and set(reference.sha256) == set(candidate.sides.held_out.sha256)


def _on_the_reference(
    candidate: Challenger, reference: JudgedReference, version: ModelVersion, *, binding: bool
) -> Comparison | str:
    """Compare on what the champion was judged by, with the answers that it gave then; or say why that cannot be.

    X-rays that the candidate was trained on are left out: a patient under another name is split another way. Where an
    X-ray is held out of the candidate's dataset too, its label there counts, which may have been corrected, and its
    features if the candidate has another feature spec.
    """
    held_out = candidate.sides.held_out
    here = {sha256: index for index, sha256 in enumerate(held_out.sha256)}
    place = np.array([here.get(sha256, -1) for sha256 in reference.sha256])
    same_spec = reference.spec == candidate.bundle.spec.to_json()
    usable = ~candidate.sides.to_train(reference.sha256) & (same_spec | (place >= 0))
    labels = np.where(place >= 0, held_out.labels[place], reference.labels)
    if len(np.unique(labels[usable])) < 2:
        why = "it was trained on them" if same_spec else "it has other features, and their pictures are not here"
        return f"the candidate cannot be asked about the X-rays that {version} was judged by: {why}"
    if same_spec:
        probabilities = candidate.bundle.probability(reference.features[usable])
    else:
        probabilities = candidate.probabilities[place[usable]]
    counted = f"{usable.sum()} of the {len(usable)}" if not usable.all() else str(len(usable))
    return Comparison(
        xrays=f"{counted} X-rays that it was judged by",
        labels=labels[usable],
        patients=reference.groups[usable],
        candidate=probabilities,
        champion=reference.scores[usable],
        binding=binding,
    )
