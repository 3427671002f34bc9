"""Judge a registered version against the champion on held-out patients, and promote it if the gate lets it pass."""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.learning.evaluate import Evaluation, evaluate, evaluate_views, view_probabilities
from ray_jobs.learning.gate import Footprint, GateDecision, decide
from ray_jobs.learning.table import Rows, Sides
from ray_jobs.runtime.progress import write_line
from ray_jobs.tracking.champion import Challenger, champion_of
from registry.errors import ProductionMovedError
from registry.model.bundle import Bundle
from registry.model.versions import ModelVersion, fetch, set_tags, tags_of
from registry.production.approval import Passed, wait_for_approval
from registry.production.current import production
from registry.production.promotion import history, promote
from registry.settings import Settings

_KEPT_BACK = "kept back"


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training came to: `production` is what serves after the gate has spoken.

    `bundle` is the version's model, as the registry gave it back. `test` is of the X-rays of `test/`, None where there
    are none of both classes. A version that `waits` passed the gate, and becomes Production by a person's approval.
    """

    version: ModelVersion
    bundle: Bundle
    test: Evaluation | None
    evaluation: Evaluation
    shifted: Evaluation | None
    decision: GateDecision
    production: ModelVersion | None
    waits: bool = False

    @property
    def serves(self) -> bool:
        """Whether the new version is in Production."""
        return self.production is not None and self.production.version == self.version.version

    @property
    def verdict(self) -> str:
        """The gate's decision in words, with its reasons."""
        return verdict_of(self.decision, waits=self.waits)


def judge(
    prepared: Prepared, sides: Sides, version: ModelVersion, *, replace_other_data: str | None = None
) -> TrainingResult:
    """Compare a version, as the registry gives it back, with the champion; promote it, or let it wait, if it may.

    If somebody else changes Production meanwhile, the comparison is made again with what is there then.
    `replace_other_data` is why it may replace a model of another dataset, None if it may not.
    """
    settings, held_out = prepared.settings, sides.held_out
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "candidate"
        bundle = fetch(settings, version, folder)
        probabilities = held_out.each(lambda piece: bundle.probability(piece.features))
        evaluation = evaluate(held_out.labels, probabilities, held_out.patients, threshold=bundle.threshold)
        views = held_out.each(lambda piece: view_probabilities(piece.judged, bundle.probability))
        shifted = evaluate_views(held_out.labels, views, held_out.patients, threshold=bundle.threshold)
        test = _test_evaluation(sides.test, bundle)
        candidate = Challenger(
            prepared=prepared,
            sides=sides,
            version=version,
            bundle=bundle,
            probabilities=probabilities,
            replace_other_data=replace_other_data,
        )
        while True:
            champion = production(settings)
            serves = champion is not None and champion.version == version.version
            waits = settings.approval == "required" and not serves
            if champion and serves:
                decision = GateDecision(promote=True, reasons=(_why_it_serves(prepared, version),))
            else:
                decision = decide(
                    {"held-out": evaluation} | ({"shifted": shifted} if shifted else {}),
                    footprint=footprint_of(bundle, folder),
                    champion=champion_of(candidate, champion, Path(scratch)) if champion else None,
                )
            if waits or not decision.promote or _promoted(prepared, version, champion, decision, evaluation):
                break
    waits = waits and decision.promote
    if waits:
        against, metrics = champion.version if champion else None, evaluation.metrics("held_out")
        wait_for_approval(settings, version, Passed(why=str(decision), against=against, metrics=metrics))
    result = TrainingResult(
        version=version,
        bundle=bundle,
        test=test,
        evaluation=evaluation,
        shifted=shifted,
        decision=decision,
        production=production(settings),
        waits=waits,
    )
    tag_decision(settings, version, decision, waits=waits)
    return result


def _test_evaluation(table: Rows, bundle: Bundle) -> Evaluation | None:
    if len(np.unique(table.labels)) < 2:
        return None
    found = table.each(lambda piece: bundle.probability(piece.features))
    return evaluate(table.labels, found, table.patients, threshold=bundle.threshold)


def verdict_of(decision: GateDecision, *, waits: bool) -> str:
    """A decision in words, with its reasons; a version that passed may wait for a person."""
    passed = "waits for approval" if waits else "promoted"
    return f"{passed if decision.promote else _KEPT_BACK}: {decision}"


def kept_back(settings: Settings, version: ModelVersion) -> str:
    """What the gate said of a version that it kept back; empty for any other one."""
    said = tags_of(settings, version).get("gate", "")
    return said if said.startswith(_KEPT_BACK) else ""


def tag_decision(settings: Settings, version: ModelVersion, decision: GateDecision, *, waits: bool) -> None:
    """Put what the gate said on a version, for people and for programs."""
    tags = {"gate": verdict_of(decision, waits=waits), "gate.json": json.dumps(decision.as_json())}
    set_tags(settings, version, tags)


def footprint_of(bundle: Bundle, folder: Path) -> Footprint:
    """The size of a model's files, and its quickest answer: whatever else the machine does can only add to it."""
    seconds = []
    for golden in bundle.golden:
        start = time.perf_counter()
        bundle.predict_unchecked([golden.image])
        seconds.append(time.perf_counter() - start)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Footprint(size=size, seconds=min(seconds))


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
        promote(
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
