"""The chart of serving, from the results of a run."""

from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.peers import OURS
from benchmarks.results import Results
from benchmarks.words import CONTESTANTS

_PANELS = (
    ("idle", "predictor that does nothing\nanswers a second"),
    ("real", "real predictor\nanswers a second"),
    ("tail", "real predictor, half load\n99th percentile, ms"),
)


def draw(results: Results, file: Path) -> None:
    """A bar a contestant, its rounds as dots; a panel stays empty where nothing was measured."""
    mpl.use("Agg")
    figure, axes = plt.subplots(1, len(_PANELS), figsize=(12, 3.8), layout="constrained")
    for axis, (series, title) in zip(axes, _PANELS, strict=True):
        found = results.series.get(series, {})
        names = [name for name in CONTESTANTS if name in found]
        for place, name in enumerate(names):
            axis.barh(place, median(found[name]), color="#2b6ca3" if name in OURS else "#b8c2cc")
            axis.plot(found[name], [place] * len(found[name]), ".", color="black", alpha=0.5, markersize=4)
        axis.set_yticks(range(len(names)), [_label(name) for name in names], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _label(name: str) -> str:
    plain = CONTESTANTS[name]["en"].replace("`", "")
    return f"ours, {plain}" if name in OURS else plain
