"""Fit calibration and threshold to a site's own labels: `python -m ray_jobs.recalibrate --data URI | --feedback`.

What the model has learnt stays. The new version is judged, promoted and undone like any other.
"""

import argparse
import copy
import hashlib
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from ray_jobs.learning.evaluate import Evaluation, description, evaluate
from ray_jobs.learning.gate import Champion, Comparison, Footprint, decide
from ray_jobs.learning.recalibrate import (
    THRESHOLD_RULE,
    Gain,
    Recalibration,
    gain,
    log_odds_of,
    recalibrate,
    resample,
)
from ray_jobs.runtime.cli import run_job
from ray_jobs.runtime.cluster import sole_owner
from ray_jobs.runtime.progress import write_line
from ray_jobs.tracking.judge import footprint_of, tag_decision, verdict_of
from ray_jobs.tracking.lineage import REFERENCE_TAG, lineage_of
from ray_jobs.tracking.reference import NoReferenceError, keep_scores, load_reference
from ray_jobs.tracking.runs import ParentRun, parent_run
from ray_jobs.tracking.site import FEEDBACK, Site, labels_of_data, labels_of_feedback
from ray_jobs.tracking.traffic import bring_into_traffic
from registry.errors import ArtefactError, UsageError
from registry.model.bundle import write_bundle
from registry.model.versions import ModelVersion, fetch, register, tags_of, version_of_run
from registry.production.approval import Passed, wait_for_approval
from registry.production.current import production, required_production
from registry.production.promotion import promote
from registry.settings import Settings
from registry.state import open_state

NOTHING_GAINED = 4


@dataclass(frozen=True, kw_only=True)
class RecalibrationResult:
    """What was found: the new numbers, how good they are on patients that they had not seen, and what they win."""

    recalibration: Recalibration
    before: Evaluation
    after: Evaluation
    gain: Gain


def fit_site(site: Site) -> RecalibrationResult:
    """Recalibrate, and measure it on patients that each recalibration had not seen."""
    log_odds, threshold = log_odds_of(site.probabilities), site.bundle.threshold
    found = recalibrate(site.labels, log_odds)
    unseen = resample(site.labels, log_odds, site.patients)
    return RecalibrationResult(
        recalibration=found,
        before=evaluate(site.labels, site.probabilities, site.patients, threshold=threshold),
        after=evaluate(site.labels, unseen.probabilities, site.patients, threshold=found.threshold, said=unseen.share),
        gain=gain(site.labels, site.probabilities, site.patients, unseen, threshold=threshold),
    )


def moved(estimator: BaseEstimator, recalibration: Recalibration) -> BaseEstimator:
    """A copy of a `CalibratedClassifierCV` whose sigmoid is followed by a recalibration: one sigmoid again.

    Raises ArtefactError for any other classifier: it has no sigmoid of its own that could be changed.
    """
    changed = copy.deepcopy(estimator)
    classifiers = getattr(changed, "calibrated_classifiers_", ())
    sigmoids = [sigmoid for classifier in classifiers for sigmoid in classifier.calibrators if hasattr(sigmoid, "a_")]
    if len(sigmoids) != 1:
        raise ArtefactError(
            f"a {type(estimator).__name__} with {len(sigmoids)} sigmoids cannot be recalibrated, it takes a classifier "
            "with one; train a version with ray_jobs.train"
        )
    (sigmoid,) = sigmoids  # probability = 1 / (1 + exp(a_ * score + b_))
    sigmoid.a_ *= recalibration.slope
    sigmoid.b_ = sigmoid.b_ * recalibration.slope - recalibration.intercept
    return changed


def summary(site: Site, result: RecalibrationResult) -> str:
    """The result in words, for a terminal."""
    before, after, won = result.before, result.after, result.gain
    counts = f"{before.images} X-rays of {before.patients} patients, {before.pneumonia} with pneumonia"
    lines = [
        f"version     {site.version}",
        f"labels      {counts}, from {site.name}",
        *_numbers("before", before),
        *_numbers("after", after),
        "            each X-ray judged by recalibrations that had not seen its patient",
        f"gain        balanced accuracy {won.accuracy}, Brier score {won.brier}",
    ]
    if site.name == FEEDBACK:
        lines.append("            people choose which answers they judge, so all this holds for such answers")
    return "\n".join(lines)


def _numbers(name: str, numbers: Evaluation) -> list[str]:
    return [
        f"{name:12}accuracy {numbers.accuracy}, sensitivity {numbers.sensitivity},",
        f"            specificity {numbers.specificity}, calibration error {numbers.calibration_error},",
        f"            at threshold {numbers.threshold:.3f}",
    ]


def _card(site: Site, result: RecalibrationResult) -> dict[str, Any]:
    """The evaluation of the new version: what was measured with the old calibration is left out."""
    still_true = ("scope", "cross_validation", "model", "data")
    kept = {name: value for name, value in site.bundle.evaluation.items() if name in still_true}
    return kept | {
        "threshold_rule": THRESHOLD_RULE,
        "site": asdict(result.after),
        "recalibration": {
            "of_version": site.version.version,
            "labels": site.name,
            "digest": site.digest,
            "gain": asdict(result.gain),
        },
    }


def _new_version(settings: Settings, site: Site, result: RecalibrationResult, run: ParentRun) -> ModelVersion:
    """Register the same estimator with the new sigmoid and threshold, and with the lineage of the old version."""
    version, bundle, found = site.version, site.bundle, result.recalibration
    run.log(
        params={"of_version": version.version, "labels": site.name, "images": len(site.labels)},
        metrics=result.after.metrics("site")
        | result.before.metrics("site_before")
        | {"gain_accuracy": result.gain.accuracy.value, "gain_brier": result.gain.brier.value},
    )
    evaluation = _card(site, result)
    tags = {name: value for name, value in tags_of(settings, version).items() if name.startswith("dataset.")}
    reference, at_home = moved_reference(settings, version, found)
    if reference:
        tags[REFERENCE_TAG] = reference
    if at_home:
        run.log(metrics=at_home.metrics("held_out"))
        evaluation["held_out"] = asdict(at_home)
    evaluations = {"site": result.after} | ({"held_out": at_home} if at_home else {})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        write_bundle(
            folder,
            estimator=moved(bundle.estimator, found),
            spec=bundle.spec,
            threshold=found.threshold,
            detector=bundle.detector,
            evaluation=evaluation,
            golden_images=[golden.image for golden in bundle.golden],
            unsure=found.band(bundle.unsure, bundle.threshold) if bundle.unsure else None,
        )
        return register(
            settings,
            run_id=run.run_id,
            bundle_folder=folder,
            description=description(evaluations, threshold=found.threshold, rule=THRESHOLD_RULE),
            tags=tags | {"recalibrated.of": str(version.version), "recalibrated.labels": site.name},
        )


def moved_reference(
    settings: Settings, version: ModelVersion, recalibration: Recalibration
) -> tuple[str | None, Evaluation | None]:
    """What the version was judged by, with the new probabilities, and the evaluation on it; None where it was not kept.

    Drift compares these probabilities with those of answers, and challengers are compared on them.
    """
    digest = lineage_of(settings, version).reference
    if digest is None:
        return None, None
    state = open_state(settings.state_uri)
    try:
        reference = load_reference(state, digest)
    except NoReferenceError as error:
        write_line(f"the held-out patients of {version} are not evaluated again: {error}")
        return None, None
    scores = recalibration.probability(log_odds_of(reference.scores))
    found = evaluate(reference.labels, scores, reference.groups, threshold=recalibration.threshold)
    return keep_scores(state, digest, scores), found


def judge_on_site(
    settings: Settings, version: ModelVersion, footprint: Footprint, site: Site, result: RecalibrationResult
) -> str:
    """Let the gate decide by the site's X-rays; promote, or let the version wait for a person; says which and why.

    Raises ProductionMovedError if Production is no longer the version that was recalibrated.
    """
    same = Comparison(
        xrays=f"the same {len(site.labels)} X-rays",
        labels=site.labels,
        patients=site.patients,
        candidate=result.recalibration.probability(log_odds_of(site.probabilities)),
        champion=site.probabilities,
    )
    decision = decide(
        {"site": result.after},
        footprint=footprint,
        champion=Champion(name=str(site.version), comparisons=(same,), notes=(f"gain {result.gain.accuracy}",)),
    )
    why, metrics, against = str(decision), result.after.metrics("site"), site.version.version
    waits = decision.promote and settings.approval == "required"
    if waits:
        wait_for_approval(settings, version, Passed(why=why, against=against, metrics=metrics))
    elif decision.promote:
        promote(settings, version, why=why, metrics=metrics, judged_against=against)
    tag_decision(settings, version, decision, waits=waits)
    return verdict_of(decision, waits=waits)


def run(settings: Settings, *, feedback: bool) -> bool:
    """Recalibrate what is in Production, and say so; False if nothing is gained, so that nothing was registered."""
    version = required_production(settings)
    site = (labels_of_feedback if feedback else labels_of_data)(settings, version)
    key = f"recalibrate-{hashlib.sha256(f'{version.digest} {site.name} {site.digest}'.encode()).hexdigest()[:16]}"
    result = fit_site(site)
    print(summary(site, result))
    if not result.gain.gained:
        print("verdict     nothing is surely gained, so nothing is registered; more labels would tell more")
        return False
    tags = {"spec_fingerprint": version.spec_fingerprint, "model.version": str(version.version)}
    with (
        sole_owner(key, settings),
        parent_run(settings, key=key, kind="recalibrate", tags=tags) as run,
        tempfile.TemporaryDirectory() as scratch,
    ):
        new = version_of_run(settings, run.run_id) or _new_version(settings, site, result, run)
        print(f"registered  {new}, run {new.run_id}")
        folder = Path(scratch) / "bundle"
        bundle = fetch(settings, new, folder)
        print(f"gate        {judge_on_site(settings, new, footprint_of(bundle, folder), site, result)}")
        current = production(settings)
        if current and current.version == new.version:
            print(f"traffic     {bring_into_traffic(settings, new, bundle)}")
            print("next        undo with python -m ray_jobs.rollback")
    return True


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.recalibrate",
        description=f"Fit calibration and threshold to a site's own labels; exit code {NOTHING_GAINED} where that "
        "gains nothing.",
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--feedback", action="store_true", help="use what people said of answers instead of labelled X-rays"
    )


def _job(settings: Settings, options: argparse.Namespace) -> None:
    if options.feedback and options.data:
        raise UsageError("--feedback and --data are two sources of labels; name one of them")
    if not options.feedback and "data_uri" not in settings.model_fields_set:
        raise UsageError("name labelled X-rays of the site with --data URI, or use what people said, with --feedback")
    if not run(settings, feedback=options.feedback):
        sys.exit(NOTHING_GAINED)


if __name__ == "__main__":
    main()
