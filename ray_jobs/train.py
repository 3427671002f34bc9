"""Train: extract features, sweep, evaluate on held-out patients, register the best, and promote it if it may be.

After an interruption, run it again: it continues the same run, and nothing is extracted, tried or registered twice.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import ray

from features.spec import DEFAULT_SPEC
from ray_jobs.dataset.sources import kind_of, open_source
from ray_jobs.feature_table.prepare import Prepared, prepare
from ray_jobs.learning.evaluate import description
from ray_jobs.learning.fit import THRESHOLD_RULE, Fitted, fit
from ray_jobs.learning.learning_curve import LearningCurve, fit_part, learning_curve, parts_with_both_classes
from ray_jobs.learning.out_of_distribution import fit_detector
from ray_jobs.learning.search_space import candidates
from ray_jobs.learning.summary import measured_lines
from ray_jobs.learning.table import Sides
from ray_jobs.learning.training_set import FOLDS, TrainingSet
from ray_jobs.learning.trial import FoldScores, Trial
from ray_jobs.runtime.cli import reason, run_job
from ray_jobs.runtime.cluster import connect, sole_owner
from ray_jobs.runtime.patience import gather
from ray_jobs.runtime.progress import write_line
from ray_jobs.runtime.tasks import task
from ray_jobs.sweep import add_search_arguments, run_sweep, training_key
from ray_jobs.tracking.judge import TrainingResult, judge
from ray_jobs.tracking.lineage import lineage_tags
from ray_jobs.tracking.measure import measure
from ray_jobs.tracking.reference import keep_reference
from ray_jobs.tracking.runs import ParentRun, parent_run
from ray_jobs.tracking.traffic import bring_into_traffic
from registry.model.bundle import write_bundle
from registry.model.out_of_distribution import OutOfDistributionDetector
from registry.model.versions import ModelVersion, register, version_of_run
from registry.process.traces import span
from registry.settings import Settings

GOLDEN_IMAGES = 4
_TOO_RARE = "one class is too rare in it to say whether more would help"


def train(
    settings: Settings,
    *,
    trials: int,
    seed: int,
    replace_other_data: str | None = None,
    then: Callable[[TrainingResult], None] = lambda _: None,
) -> TrainingResult:
    """The whole way from DATA_URI to Production; the result says whether the new version serves, and why.

    `replace_other_data` is why it may replace a model of another dataset, None if it may not. The result is given to
    `then` before the run counts as complete: interrupted there, the next training goes on there.
    """
    prepared = prepare(settings)
    key = training_key(prepared, kind="train", trials=trials, seed=seed)
    with sole_owner(key, settings), parent_run(settings, key=key, kind="train", tags=prepared.tags()) as run:
        sides = prepared.sides(seed=seed)
        version = version_of_run(settings, run.run_id) or _new_version(prepared, sides, run, trials=trials, seed=seed)
        with span("judge"):
            result = judge(prepared, sides, version, replace_other_data=replace_other_data)
        then(result)
        return result


def _new_version(prepared: Prepared, sides: Sides, run: ParentRun, *, trials: int, seed: int) -> ModelVersion:
    """Sweep, fit the best, evaluate it, and register it with its files."""
    run.log_data(prepared.manifest)
    prepared.manifest.keep()
    run.log(params={"trials": trials, "seed": seed, "features": len(DEFAULT_SPEC.names)})
    address = prepared.settings.ray_address
    data = TrainingSet.of(sides.train.read(), seed=seed)
    best = run_sweep(data, candidates(trials, seed=seed), state=prepared.state, run=run, ray_address=address)[0]
    write_line(f"fitting {best.candidate} on {data.images} X-rays")
    connect(address)
    shared = ray.put(data)
    with span("fit"):
        fitted, detector = gather([_fit.remote(best, shared), _fit_detector.remote(shared)], "fit")
        curve = _curve(best, data, shared, sides) if sides.left_out else None
    del data, shared  # what follows reads other X-rays
    with span("measure"):
        measured = measure(prepared, sides, fitted, detector, run)
    reference = keep_reference(prepared.state, sides.held_out, measured.scores, DEFAULT_SPEC, measured.aspects)
    run.log(metrics=measured.metrics() | _metrics(best, fitted) | (curve.metrics() if curve else {}))
    if curve:
        from ray_jobs.learning.plots import curve_plot  # noqa: PLC0415 - brings matplotlib

        run.log_figures({"learning_curve.png": curve_plot(curve)}, "training")
    with span("register"), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        write_bundle(
            folder,
            estimator=fitted.estimator,
            spec=DEFAULT_SPEC,
            threshold=fitted.threshold,
            detector=detector,
            evaluation=measured.as_json() | _origin(prepared, best) | _sampled(sides, curve),
            golden_images=golden_images(),
            unsure=fitted.unsure,
        )
        version = register(
            prepared.settings,
            run_id=run.run_id,
            bundle_folder=folder,
            description=description(measured.evaluations, threshold=fitted.threshold, rule=THRESHOLD_RULE),
            tags=lineage_tags(prepared, reference=reference),
        )
    # A parameter cannot be changed, and until now another try, by other code, might have found another best one.
    run.log(params={"family": best.candidate.family, **best.candidate.parameters})
    return version


@task(span="fit the best")
def _fit(trial: Trial, data: TrainingSet) -> Fitted:
    return fit(trial, data)


@task(span="fit the detector")
def _fit_detector(data: TrainingSet) -> OutOfDistributionDetector:
    return fit_detector(data)


@task(span="fit a part")
def _fit_part(trial: Trial, data: TrainingSet, patients: np.ndarray, fold: int, part: float) -> FoldScores:
    return fit_part(trial, data, patients, fold=fold, part=part)


def _curve(best: Trial, data: TrainingSet, shared: ray.ObjectRef, sides: Sides) -> LearningCurve | None:
    """How the best candidate does on parts of the sample, fitted on the workers; None where no part is large enough."""
    folds, patients = range(len(data.folds)), sides.train.patients
    parts = parts_with_both_classes(data, patients)
    if not parts:
        write_line(f"learning curve: none, {_TOO_RARE}")
        return None
    fits = [_fit_part.remote(best, shared, patients, fold, part) for part in parts for fold in folds]
    found = iter(gather(fits, "learning curve"))
    curve = learning_curve(best, data, {part: [next(found) for _ in folds] for part in parts})
    write_line(f"learning curve: {curve}")
    return curve


def _sampled(sides: Sides, curve: LearningCurve | None) -> dict[str, Any]:
    """What a version says of the sample that it was fitted on, nothing where it was fitted on all."""
    if sides.left_out is None:
        return {}
    sample = {"images": len(sides.train), "of": len(sides.train) + len(sides.left_out)}
    told = {"learning_curve": asdict(curve), "advice": str(curve)} if curve else {"advice": _TOO_RARE}
    return {"sample": sample | told}


def golden_images() -> list[bytes]:
    """Generated X-rays, so that a model carries no patient's picture with it."""
    source = open_source("synthetic:40")
    paths = sorted(entry.path for entry in source.entries())
    return [source.read(path) for path in paths[:: len(paths) // GOLDEN_IMAGES][:GOLDEN_IMAGES]]


def _metrics(best: Trial, fitted: Fitted) -> dict[str, float]:
    found = {
        "cv_auc": best.auc,
        "cv_auc_standard_error": best.spread,
        "cv_plain_auc": float(np.mean(best.plain_auc)),
        "threshold": fitted.threshold,
    }
    return found | (dict(zip(("unsure_from", "unsure_below"), fitted.unsure, strict=True)) if fitted.unsure else {})


def _origin(prepared: Prepared, best: Trial) -> dict[str, Any]:
    """What a version comes from: the model and the data that it was chosen and fitted on."""
    return {
        "cross_validation": {
            "auc": best.auc,
            "standard_error": best.spread,
            "plain_auc": float(np.mean(best.plain_auc)),
            "folds": FOLDS,
        },
        "model": str(best.candidate),
        "threshold_rule": THRESHOLD_RULE,
        "data": {
            "kind": kind_of(prepared.manifest.uri),
            "digest": prepared.manifest.digest,
            "pictures": dict(prepared.manifest.pictures),
            "patients": dict(prepared.manifest.patients),
        },
    }


def summary(settings: Settings, result: TrainingResult) -> str:
    """What a person wants to know at the end: how good the new version is, which version serves now, and why."""
    serves = result.production
    lines = [
        *measured_lines(result.evaluation, test=result.test, shifted=result.shifted, card=result.bundle.evaluation),
        f"registered  {result.version}, run {result.version.run_id}",
        f"gate        {result.verdict}",
        f"production  {serves if serves else 'nothing'}",
        f"next        {_next_step(settings, result)}",
    ]
    return "\n".join(lines)


def _next_step(settings: Settings, result: TrainingResult) -> str:
    if result.waits:
        return f"approve it with python -m ray_jobs.promote {result.version.version}; ray_jobs.candidates lists all"
    if not result.serves:
        return "nothing has changed in Production; python -m ray_jobs.history says what is there and why"
    serves = "the webapp follows by itself" if settings.ray_address else "unless the server runs, make serve starts it"
    return f"http://localhost:{settings.http_port}; {serves}. python -m ray_jobs.rollback undoes the promotion"


def main() -> None:
    """The job."""
    run_job(_job, module="ray_jobs.train", description="Train, register, promote.", arguments=_arguments)


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_search_arguments(parser)
    parser.add_argument(
        "--require-approval",
        action="store_true",
        help="let a version that passes the gate wait for a person's approval, as APPROVAL=required does",
    )
    parser.add_argument(
        "--replace-other-data",
        metavar="WHY",
        type=reason,
        help="let it replace a model of another dataset; the reason is recorded",
    )


def _job(settings: Settings, options: argparse.Namespace) -> None:
    if options.require_approval:
        settings = settings.model_copy(update={"approval": "required"})

    def deploy(result: TrainingResult) -> None:
        print(summary(settings, result))
        if result.serves:
            with span("bring into traffic"):
                print(f"traffic     {bring_into_traffic(settings, result.version, result.bundle)}")

    replace = options.replace_other_data
    train(settings, trials=options.trials, seed=options.seed, replace_other_data=replace, then=deploy)


if __name__ == "__main__":
    main()
