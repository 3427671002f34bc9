"""Judge a version on other labelled X-rays: `python -m ray_jobs.evaluate --data URI [--version N]`.

After an interruption, run it again: what was extracted and looked at is read.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from ray_jobs.feature_table.appearance import Appearance, Looking, appearance_of
from ray_jobs.learning.abstention import Coverage, covered
from ray_jobs.learning.evaluate import Evaluation, evaluate
from ray_jobs.learning.gate import Check, limit_checks
from ray_jobs.learning.slices import Slice, ThresholdAdvice, advise, causes, slices, thirds
from ray_jobs.runtime.cli import positive, run_job
from ray_jobs.runtime.cluster import sole_owner
from ray_jobs.tracking.labelled import LabelledXrays, labelled_xrays
from ray_jobs.tracking.runs import parent_run
from registry.model.versions import ModelVersion, version_of
from registry.production.current import required_production
from registry.settings import Settings

MISSED = 4
LEAST = (10, 5)  # X-rays and patients of each class
_FOLDER = "evaluation"


@dataclass(frozen=True, kw_only=True)
class DataEvaluation:
    """What was found: all X-rays, parts of them, the threshold they would want, and the floors of a promotion.

    `answered` is how many answers are not near the threshold, None for versions that do not say what is near.
    """

    evaluation: Evaluation
    slices: tuple[Slice, ...]
    advice: ThresholdAdvice
    checks: tuple[Check, ...]
    refused: dict[str, int]
    doubtful: int
    undecodable: int
    answered: Coverage | None

    @property
    def missed(self) -> list[Check]:
        """The floors that are not reached."""
        return [check for check in self.checks if not check.passed]


def judge_on(found: LabelledXrays, seen: Appearance, *, undecodable: int) -> DataEvaluation:
    """Evaluate a version's answers on X-rays, whatever of them the server would have refused."""
    labels, patients, threshold = found.table.labels, found.table.patients, found.bundle.threshold
    evaluation = evaluate(labels, found.probabilities, patients, threshold=threshold)
    parts = {
        "cause": causes(found.names, labels),
        "size in pixels": thirds(np.sqrt(seen.width * seen.height), 0),
        "width to height": thirds(seen.width / seen.height, 2),
        "mean grey": thirds(seen.grey, 2),
        "the server": {
            "answers": (seen.refused == "") & ~seen.doubtful,
            "answers with a warning": (seen.refused == "") & seen.doubtful,
            "refuses": seen.refused != "",
        },
    }
    if found.known_patients.any():
        parts["patient's id"] = {"was trained on": found.known_patients, "is new": ~found.known_patients}
    return DataEvaluation(
        evaluation=evaluation,
        slices=tuple(slices(labels, found.probabilities, patients, parts, threshold=threshold)),
        advice=advise(labels, found.probabilities, patients),
        checks=tuple(limit_checks(evaluation, name="its", limits="held-out")),
        refused=dict(sorted(Counter(seen.refused[seen.refused != ""].tolist()).items())),
        doubtful=int(((seen.refused == "") & seen.doubtful).sum()),
        undecodable=undecodable,
        answered=covered(labels, found.probabilities, threshold, found.bundle.unsure) if found.bundle.unsure else None,
    )


def summary(found: LabelledXrays, result: DataEvaluation) -> str:
    """The result in words, for a terminal."""
    whole = result.evaluation
    counts = f"{whole.images} X-rays of {whole.patients} patients, {whole.pneumonia} with pneumonia"
    lines = [f"version     {found.version} on {found.prepared.manifest.uri}", f"X-rays      {counts}"]
    if found.left_out:
        lines.append(f"            {found.left_out} more are left out, because the version was trained on them")
    if result.undecodable:
        lines.append(f"            {result.undecodable} more cannot be decoded; the quarantine report lists them")
    lines += [
        f"all         AUC {whole.auc}, accuracy {whole.accuracy},",
        f"            sensitivity {whole.sensitivity}, specificity {whole.specificity}",
        f"            at threshold {whole.threshold:.3f}; calibration error {whole.calibration_error}",
        f"server      refuses {sum(result.refused.values())}{_reasons(result.refused)}, "
        f"answers {result.doubtful} with a warning; all of them count above",
        *_answered_lines(result.answered),
        *_slice_lines(result.slices),
        *_advice_lines(result.advice),
        f"floors      {'; '.join(check.reason for check in result.missed) or 'all of a promotion are reached'}",
    ]
    return "\n".join(lines)


def _reasons(refused: dict[str, int]) -> str:
    return f" ({', '.join(f'{count} {reason}' for reason, count in refused.items())})" if refused else ""


def _answered_lines(answered: Coverage | None) -> Iterator[str]:
    if answered is not None and answered.accuracy is not None:
        share = f"{100 * (1 - answered.coverage):.1f} % of the answers are near the threshold"
        yield f"unsure      {share}; of the others {100 * answered.accuracy:.1f} % are right"


def _slice_lines(found: tuple[Slice, ...]) -> Iterator[str]:
    before = ""
    for part in found:
        if part.property != before:
            yield f"by {part.property}"
        before = part.property
        counts = f"{part.normal} normal, {part.pneumonia} pneumonia"
        result = "too few of a class"
        if part.evaluation:
            numbers = part.evaluation
            result = (
                f"AUC {numbers.auc}, sensitivity {numbers.sensitivity.value:.3f}, "
                f"specificity {numbers.specificity.value:.3f}"
            )
        yield f"            {part.value}: {counts}: {result}"


def _advice_lines(advice: ThresholdAdvice) -> Iterator[str]:
    numbers = advice.evaluation
    yield f"threshold   {advice.threshold:.3f} ({advice.low:.3f} to {advice.high:.3f}) would be best here: accuracy"
    yield (
        f"            {numbers.accuracy.value:.3f}, sensitivity {numbers.sensitivity.value:.3f}, specificity "
        f"{numbers.specificity.value:.3f}; chosen on these X-rays, so this flatters"
    )


def as_json(found: LabelledXrays, result: DataEvaluation) -> str:
    """All numbers, for programs."""
    manifest = found.prepared.manifest
    document = {
        "version": found.version.version,
        "data": {"uri": manifest.uri, "digest": manifest.digest, "left_out": found.left_out},
        **asdict(result),
    }
    return json.dumps(document, indent=1)


def keep(settings: Settings, found: LabelledXrays, result: DataEvaluation, text: str) -> str:
    """Keep the report as a run beside the version's own; return its id."""
    from ray_jobs.learning.plots import part_plots, plots  # noqa: PLC0415 - brings matplotlib

    version, labels = found.version, found.table.labels
    with parent_run(settings, key=_key(found), kind="evaluate", tags=_tags(found)) as run:
        run.log_data(found.prepared.manifest)
        run.log(
            params={"version": version.version, "data": found.prepared.manifest.uri},
            metrics=result.evaluation.metrics("data")
            | {"best_threshold": result.advice.threshold, "refused": float(sum(result.refused.values()))}
            | (result.answered.metrics("data") if result.answered else {}),
        )
        run.log_figures(plots(labels, found.probabilities, result.evaluation, unsure=found.bundle.unsure), _FOLDER)
        run.log_figures(part_plots(labels, found.probabilities, result.slices, result.evaluation), _FOLDER)
        run.mlflow.log_text(run.run_id, text, f"{_FOLDER}/report.txt")
        run.mlflow.log_text(run.run_id, as_json(found, result), f"{_FOLDER}/report.json")
        return run.run_id


def _key(found: LabelledXrays) -> str:
    text = f"{found.version.digest}\0{found.prepared.manifest.uri}\0{found.prepared.manifest.digest}"
    return f"evaluate-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _tags(found: LabelledXrays) -> dict[str, str]:
    tags = found.prepared.tags() | {"model.version": str(found.version.version)}
    return tags | {"spec_fingerprint": found.version.spec_fingerprint}


def main() -> None:
    """The job."""
    run_job(
        _job,
        module="ray_jobs.evaluate",
        description="Judge a version on other labelled X-rays; exit code 4 where it misses a floor of a promotion.",
        arguments=_arguments,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", type=positive, help="a version by its number (default: what is in Production)")


def chosen_version(settings: Settings, number: int | None) -> ModelVersion:
    """The version of a number, or the one in Production."""
    return version_of(settings, number) if number else required_production(settings)


def _job(settings: Settings, options: argparse.Namespace) -> None:
    found = labelled_xrays(settings, chosen_version(settings, options.version), least=LEAST, purpose="an evaluation")
    with sole_owner(_key(found), settings):
        prepared, bundle = found.prepared, found.bundle
        looking = Looking(
            source=prepared.source,
            state=prepared.state,
            spec=found.spec,
            detector=bundle.detector,
            digest=found.version.digest,
        )
        seen = appearance_of(looking, prepared.manifest, found.table.sha256, ray_address=settings.ray_address)
        undecodable = prepared.manifest.rows - len(found.table) - found.left_out
        result = judge_on(found, seen, undecodable=undecodable)
        text = summary(found, result)
        run_id = keep(settings, found, result, text)
    print(f"{text}\nreport      run {run_id}, artefacts in {_FOLDER}/")
    if result.missed:
        sys.exit(MISSED)


if __name__ == "__main__":
    main()
