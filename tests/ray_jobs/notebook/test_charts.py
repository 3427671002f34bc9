"""Tables and charts of what a training found, from a registry and an evaluation that are real in form."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from ray_jobs.learning.evaluate import evaluate
from ray_jobs.learning.gate import SHIFTED_AUC_FLOOR
from ray_jobs.learning.plots import trials_table
from ray_jobs.learning.search_space import Candidate
from ray_jobs.learning.trial import Trial
from ray_jobs.notebook.charts import (
    evaluation_figure,
    evaluation_table,
    gate_table,
    newest_version,
    trials,
    trials_figure,
)
from ray_jobs.tracking.runs import parent_run
from registry.errors import NoSuchVersionError
from registry.model.versions import register, set_tags
from registry.settings import Settings


def trial(cost: float, folds: tuple[float, ...]) -> Trial:
    return Trial(
        candidate=Candidate(family="logistic", parameters={"C": cost}),
        fold_auc=folds,
        plain_auc=tuple(auc + 0.01 for auc in folds),
        scores=np.zeros(0),
        seconds=1.5,
    )


def test_candidates_come_best_first_and_those_given_up_last(settings: Settings, make_bundle, tmp_path):
    with pytest.raises(NoSuchVersionError, match="train one"):
        newest_version(settings)
    with parent_run(settings, key="a", kind="train", tags={}) as run:
        for one in (trial(1.0, (0.9, 0.8)), trial(2.0, (0.95, 0.9)), trial(3.0, (0.99,))):
            run.log_trial(one)
        make_bundle(tmp_path / "bundle")
        register(settings, run_id=run.run_id, bundle_folder=tmp_path / "bundle")
    version = newest_version(settings)
    found = trials(settings, version)
    assert found["parameters"].tolist() == ["C=2.0", "C=1.0", "C=3.0"]
    assert found["folds"].tolist() == [2, 2, 1]
    assert found["AUC shifted"].tolist() == pytest.approx([0.925, 0.85, 0.99])
    swept = [trial(3.0, (0.99,)), trial(1.0, (0.9, 0.8)), trial(2.0, (0.95, 0.9))]
    pd.testing.assert_frame_equal(trials_table(swept), found)  # what the sweep draws of them
    ranking, cost = trials_figure(found).axes
    assert [line.get_xdata().tolist() for line in ranking.lines] == [
        pytest.approx(found[name].tolist()) for name in ("AUC plain", "AUC shifted")
    ]
    assert len(cost.patches) == 3
    assert gate_table(settings, version).empty
    set_tags(settings, version, {"gate.json": '{"checks": [{"name": "x", "passed": false, "reason": "too low"}]}'})
    assert gate_table(settings, version).to_dict("records") == [{"passed": False, "reason": "too low"}]


def test_plain_and_shifted_stand_side_by_side_with_the_gate_s_floors():
    random = np.random.default_rng(0)
    labels, patients = np.arange(80) % 2, np.arange(80)
    found = {
        name: asdict(evaluate(labels, np.clip(labels * gap + random.random(80), 0, 1), patients, threshold=0.5))
        for name, gap in (("held_out", 0.6), ("held_out_shifted", 0.3))
    }
    table = evaluation_table(found)
    assert table.columns.tolist() == ["held out", "held out shifted"]
    auc = found["held_out"]["auc"]
    assert table.loc["AUC", "held out"] == f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    (axes,) = evaluation_figure(found).axes
    plain, shifted = axes.containers
    assert plain.lines[0].get_ydata()[0] == auc["value"]
    assert shifted.lines[0].get_ydata()[0] == found["held_out_shifted"]["auc"]["value"]
    floors = [path.vertices[0, 1] for drawn in axes.collections for path in drawn.get_paths()]
    assert SHIFTED_AUC_FLOOR in floors
