"""Measure a fitted model on patients that no fitting saw, in every way that its card tells, and log it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.errors import TooLittleData
from ray_jobs.feature_table.changed import changed_features, sample
from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.learning.abstention import Coverage, covered
from ray_jobs.learning.changes import ChangeEffect, change_metrics, effects
from ray_jobs.learning.evaluate import Evaluation, evaluate, evaluate_views
from ray_jobs.learning.fit import Fitted
from ray_jobs.learning.out_of_distribution import DetectionRates, detection_rates
from ray_jobs.learning.plots import plots
from ray_jobs.learning.table import FeatureTable, Sides
from ray_jobs.tracking.runs import ParentRun
from registry.estimator import probability
from registry.out_of_distribution import OutOfDistributionDetector


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a model was found to be: evaluations and coverages by the name of the X-rays, effects by the change's."""

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
    evaluations, abstention = dict[str, Evaluation](), dict[str, Coverage]()
    for name, table in (("held_out", sides.held_out), ("test", sides.test)):
        if len(np.unique(table.labels)) < 2:
            if name == "held_out":
                raise TooLittleData("no held-out X-ray of one of the classes can be decoded; see the quarantine report")
            continue
        scores = probability(fitted.estimator, table.features)
        evaluations[name] = evaluate(table.labels, scores, table.patients, threshold=fitted.threshold)
        if fitted.unsure:
            abstention[name] = covered(table.labels, scores, fitted.threshold, fitted.unsure)
        run.log_figures(plots(table.labels, scores, evaluations[name], unsure=fitted.unsure), name)
    held_out = sides.held_out
    shifted = view_probabilities(held_out, fitted)
    found = evaluate_views(held_out.labels, shifted, held_out.patients, threshold=fitted.threshold)
    if found:
        evaluations["held_out_shifted"] = found
    if fitted.unsure:
        labels = np.repeat(held_out.labels, shifted.shape[1])
        abstention["held_out_shifted"] = covered(labels, shifted.ravel(), fitted.threshold, fitted.unsure)
    return Measured(
        evaluations=evaluations,
        abstention=abstention,
        changes=_changes(prepared, sample(held_out), fitted),
        rates=detection_rates(detector, held_out),
    )


def view_probabilities(table: FeatureTable, fitted: Fitted) -> np.ndarray:
    """Probabilities (N, J) of a table's X-rays as another place might have taken them."""
    count, views, width = table.judged.shape
    if views == 0:
        return np.empty((count, 0))
    return probability(fitted.estimator, table.judged.reshape(count * views, width)).reshape(count, views)


def _changes(prepared: Prepared, table: FeatureTable, fitted: Fitted) -> dict[str, ChangeEffect]:
    features = changed_features(
        prepared.source, prepared.manifest, table, DEFAULT_SPEC, ray_address=prepared.settings.ray_address
    )
    count, changes, width = features.shape
    scores = probability(fitted.estimator, features.reshape(count * changes, width)).reshape(count, changes)
    return effects(table.labels, scores, fitted.threshold)
