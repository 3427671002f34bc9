"""Measure a fitted model on patients that no fitting saw, in every way that its card tells, and log it."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.errors import TooLittleData
from ray_jobs.feature_table.changed import changed_features, sample
from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.learning.abstention import Coverage, covered
from ray_jobs.learning.changes import ChangeEffect, change_metrics, effects
from ray_jobs.learning.evaluate import Evaluation, evaluate, evaluate_views, view_probabilities
from ray_jobs.learning.fit import Fitted
from ray_jobs.learning.out_of_distribution import DetectionRates, detection_rates
from ray_jobs.learning.table import Sides
from ray_jobs.tracking.runs import ParentRun
from registry.model.estimator import probability
from registry.model.out_of_distribution import OutOfDistributionDetector


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a model was found to be: evaluations and coverages by the name of the X-rays, effects by the change's.

    `scores` (N,) are its probabilities of the held-out X-rays, `aspects` those of the lungs of some, by their sha256.
    """

    scores: np.ndarray
    aspects: dict[str, float]
    evaluations: dict[str, Evaluation]
    abstention: dict[str, Coverage]
    changes: dict[str, ChangeEffect]
    rates: DetectionRates

    def metrics(self) -> dict[str, float]:
        """All numbers, flat, as MLflow keeps them."""
        flat = change_metrics(self.changes) | self.rates.metrics("held_out")
        for name, evaluation in self.evaluations.items():
            flat |= evaluation.metrics(name)
        for name, coverage in self.abstention.items():
            flat |= coverage.metrics(name)
        return flat

    def as_json(self) -> dict[str, Any]:
        """All numbers, as a version's card has them."""
        return {
            **{name: asdict(found) for name, found in self.evaluations.items()},
            "abstention": {name: asdict(found) for name, found in self.abstention.items()},
            "changes": {name: asdict(found) for name, found in self.changes.items()},
            "scope": {"held_out": asdict(self.rates)},
        }


def measure(
    prepared: Prepared, sides: Sides, fitted: Fitted, detector: OutOfDistributionDetector, run: ParentRun
) -> Measured:
    """Evaluate on held-out patients, plain, shifted and after single changes, and on `test/` where there is one.

    Raises TooLittleData where no held-out X-ray of one of the classes can be decoded.
    """
    from ray_jobs.learning.plots import plots  # noqa: PLC0415 - brings matplotlib

    ask = partial(probability, fitted.estimator)
    evaluations, abstention, scores = dict[str, Evaluation](), dict[str, Coverage](), dict[str, np.ndarray]()
    for name, table in (("held_out", sides.held_out), ("test", sides.test)):
        if len(np.unique(table.labels)) < 2:
            if name == "held_out":
                raise TooLittleData("no held-out X-ray of one of the classes can be decoded; see the quarantine report")
            continue
        scores[name] = found = table.each(lambda piece: ask(piece.features))
        evaluations[name] = evaluate(table.labels, found, table.patients, threshold=fitted.threshold)
        if fitted.unsure:
            abstention[name] = covered(table.labels, found, fitted.threshold, fitted.unsure)
        run.log_figures(plots(table.labels, found, evaluations[name], unsure=fitted.unsure), name)
    held_out = sides.held_out
    shifted = held_out.each(lambda piece: view_probabilities(piece.judged, ask))
    if shifted_evaluation := evaluate_views(held_out.labels, shifted, held_out.patients, threshold=fitted.threshold):
        evaluations["held_out_shifted"] = shifted_evaluation
    if fitted.unsure:
        labels = np.repeat(held_out.labels, shifted.shape[1])
        abstention["held_out_shifted"] = covered(labels, shifted.ravel(), fitted.threshold, fitted.unsure)
    changed = sample(held_out)
    made = changed_features(
        prepared.source, prepared.manifest, changed, DEFAULT_SPEC, ray_address=prepared.settings.ray_address
    )
    changed = changed.only(made.there)
    return Measured(
        scores=scores["held_out"],
        aspects=dict(zip(changed.sha256.tolist(), made.aspects.tolist(), strict=True)),
        evaluations=evaluations,
        abstention=abstention,
        changes=effects(changed.labels, view_probabilities(made.features, ask), fitted.threshold),
        rates=detection_rates(detector, held_out),
    )
