"""Judge a registered version against the champion on held-out patients, and promote it if the gate lets it pass."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.spec import DEFAULT_SPEC
from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.learning.evaluate import Evaluation, evaluate, evaluate_views
from ray_jobs.learning.gate import GateDecision, decide
from ray_jobs.learning.table import FeatureTable
from ray_jobs.runtime.cluster import in_turn
from ray_jobs.runtime.progress import write_line
from registry.bundle import Bundle
from registry.errors import ArtefactError, ProductionMovedError
from registry.promotion import history, promote
from registry.versions import ModelVersion, fetch, production, set_tags


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training came to: `production` is what serves after the gate has spoken."""

    version: ModelVersion
    evaluation: Evaluation
    shifted: Evaluation | None
    decision: GateDecision
    production: ModelVersion | None


def judge(prepared: Prepared, held_out: FeatureTable, version: ModelVersion) -> TrainingResult:
    """Compare a version, as the registry gives it back, with the champion; promote it if it may replace it.

    If somebody else changes Production meanwhile, the comparison is made again with what is there then.
    """
    settings = prepared.settings
    with tempfile.TemporaryDirectory() as scratch:
        candidate = fetch(settings, version, Path(scratch) / "candidate")
        probabilities = candidate.probability(held_out.features)
        evaluation = evaluate(held_out.labels, probabilities, held_out.patients, threshold=candidate.threshold)
        shifted = shifted_evaluation(held_out, candidate.probability, candidate.threshold)
        compared = held_out.judged.shape[1] or 1
        while True:
            champion = production(settings)
            if champion and champion.version == version.version:
                decision = GateDecision(promote=True, reasons=(_why_it_serves(prepared, version),))
            else:
                decision = decide(
                    evaluation,
                    shifted=shifted,
                    labels=np.repeat(held_out.labels, compared),
                    patients=np.repeat(held_out.patients, compared),
                    probabilities=candidate.probability(_compared(held_out)),
                    champion=_champion(prepared, champion, held_out, Path(scratch) / "champion"),
                )
            if not decision.promote or _promoted(prepared, version, champion, decision, evaluation):
                break
    set_tags(settings, version, {"gate": f"{'promoted' if decision.promote else 'kept back'}: {decision}"})
    return TrainingResult(
        version=version, evaluation=evaluation, shifted=shifted, decision=decision, production=production(settings)
    )


def shifted_evaluation(
    table: FeatureTable, probability: Callable[[np.ndarray], np.ndarray], threshold: float
) -> Evaluation | None:
    """How good a model is on a table's X-rays as another place might have taken them; None where there are none."""
    count, views, width = table.judged.shape
    probabilities = probability(table.judged.reshape(count * views, width)) if views else np.empty(0)
    return evaluate_views(table.labels, probabilities.reshape(count, views), table.patients, threshold=threshold)


def _why_it_serves(prepared: Prepared, version: ModelVersion) -> str:
    """The reason on record for a promotion that an interrupted run of this job made."""
    recorded = [change.why for change in history(prepared.settings) if change.to_version == version.version]
    return "; ".join(["it was promoted before the job was interrupted", *recorded[-1:]])


def _promoted(
    prepared: Prepared,
    version: ModelVersion,
    champion: ModelVersion | None,
    decision: GateDecision,
    evaluation: Evaluation,
) -> bool:
    """Promote, or finish a promotion that was cut short; False if Production is no longer what was judged against."""
    try:
        in_turn(
            prepared.settings.ray_address,
            promote,
            prepared.settings,
            version,
            why=str(decision),
            metrics=evaluation.metrics("held_out"),
            judged_against=champion.version if champion else None,
        )
    except ProductionMovedError as moved:
        write_line(str(moved))
        return False
    return True


def _champion(
    prepared: Prepared, champion: ModelVersion | None, held_out: FeatureTable, folder: Path
) -> tuple[str, np.ndarray | None]:
    """The champion's name and what it says of the held-out rows; None, and why, where nothing can be asked."""
    if champion is None:
        return "no version was in Production", None
    try:
        bundle = fetch(prepared.settings, champion, folder)
    except ArtefactError as error:
        # Serving could not read it either, so a sound candidate is better than what is there.
        return f"the champion cannot be asked: {error}", None
    return str(champion), bundle.probability(_features(prepared, bundle, held_out))


def _compared(table: FeatureTable) -> np.ndarray:
    """What two models are compared on: X-rays as another place might have taken them, or plain ones without such views.

    A model that has learnt what is peculiar to one place is unbeatable there, and only there.
    """
    return table.judged.reshape(-1, table.judged.shape[2]) if table.judged.shape[1] else table.features


def _features(prepared: Prepared, bundle: Bundle, held_out: FeatureTable) -> np.ndarray:
    """What is compared of a table in the features of a model's own spec, extracted if it is not today's."""
    if bundle.spec.fingerprint == DEFAULT_SPEC.fingerprint:
        return _compared(held_out)
    write_line(
        f"the champion was trained on features of spec {bundle.spec.fingerprint[:12]}; extracting them to compare"
    )
    # Views to compare on are made of pixels, so a model of before there were any can be asked about them too.
    table = prepared.sides(replace(bundle.spec, acquisition=DEFAULT_SPEC.acquisition)).held_out
    position = {sha256: index for index, sha256 in enumerate(table.sha256)}
    return _compared(table.only(np.array([position[sha256] for sha256 in held_out.sha256])))
