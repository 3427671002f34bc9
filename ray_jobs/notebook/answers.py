"""What a version says of the pictures that judge it, one by one, and what the live webapp says of a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from features.reading.decode import decode
from features.reading.errors import ImageError
from ray_jobs.dataset.ahead import ahead
from ray_jobs.dataset.errors import EntryError
from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.notebook.pictures import listed, show
from ray_jobs.runtime.progress import Progress
from ray_jobs.tracking.webapp import NotAskableError, WebappClient
from registry.model.bundle import POSITIVE, Bundle
from registry.model.versions import ModelVersion
from registry.settings import Settings

_THREADS = 4
_NO_ANSWER = "no answer"


@dataclass(frozen=True, kw_only=True)
class JudgedPicture:
    """A picture, its label, and what was said of it: a label and a probability, or why there is no answer.

    `margin` is how far the probability lies on the wrong side of the threshold; negative where the answer is right.
    """

    path: str
    label: str
    predicted: str = _NO_ANSWER
    probability: float | None = None
    margin: float = -1.0
    why: str = ""

    def __str__(self) -> str:
        answer = self.predicted if self.probability is None else f"{self.predicted}, {self.probability:.3f}"
        return f"{self.label}, said: {answer}"


def held_out_answers(prepared: Prepared, bundle: Bundle) -> list[JudgedPicture]:
    """What a version says of each held-out X-ray, as it would say it to whoever sends the picture; the worst first."""
    rows = [tuple(row) for row in listed(prepared.manifest, "held-out").itertuples(index=False)]
    found = []
    with Progress("answers", unit="image", total=len(rows)) as progress:
        for answer in ahead(lambda row: _answered(prepared, bundle, *row), rows, threads=_THREADS):
            found.append(answer)
            progress.update()
    return sorted(found, key=lambda one: (-one.margin, one.path))


def _answered(prepared: Prepared, bundle: Bundle, path: str, label: str) -> JudgedPicture:
    try:
        scored = bundle.score(prepared.source.read(path))
    except (ImageError, EntryError) as error:
        return JudgedPicture(path=path, label=label, why=str(error))
    over = scored.probability - bundle.threshold
    return JudgedPicture(
        path=path,
        label=label,
        predicted=scored.label,
        probability=scored.probability,
        margin=-over if label == POSITIVE else over,
        why=" ".join(doubt.detail for doubt in scored.doubts),
    )


def answers_table(answers: Sequence[JudgedPicture]) -> pd.DataFrame:
    """How many of each class were told what; the columns are what was said."""
    frame = pd.DataFrame({"is": [one.label for one in answers], "said": [one.predicted for one in answers]})
    return pd.crosstab(frame["is"], frame["said"])


def errors_figure(
    prepared: Prepared, judged: Sequence[JudgedPicture], *, evidence: Mapping[str, np.ndarray | str] | None = None
) -> Figure:
    """Pictures beside one another, with what was said of each; below each the evidence, where it is given."""
    rows = 2 if evidence is not None else 1
    figure = Figure(figsize=(2.6 * len(judged), 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, len(judged), squeeze=False)
    for column, one in enumerate(judged):
        name = one.path.rpartition("/")[2]
        show(axes[0, column], decode(prepared.source.read(one.path)), f"{name}\n{one}")
        if evidence is not None:
            found = evidence[one.path]
            if isinstance(found, str):
                axes[1, column].text(0.5, 0.5, found, ha="center", va="center", wrap=True, fontsize=8)
                axes[1, column].set_axis_off()
            else:
                show(axes[1, column], found, "evidence of pneumonia")
    return figure


def evidence_of(
    prepared: Prepared, version: ModelVersion, judged: Sequence[JudgedPicture]
) -> dict[str, np.ndarray | str]:
    """The picture under each path with a version's evidence over it, uint8 (H, W, 3), or why there is none.

    The webapp draws it, so it is what people see there.

    Raises
    ------
    NotAskableError
        If no webapp answers, or with another version.
    """
    webapp, found = WebappClient(prepared.settings), dict[str, np.ndarray | str]()
    for one in judged:
        answer = webapp.send("/explain", prepared.source.read(one.path), accept="image/png")
        if not answer.is_success:
            found[one.path] = str(answer.json().get("detail", answer.status_code))
            continue
        number = int(answer.headers["X-Model-Version"])
        if number != version.version:
            raise NotAskableError(f"{webapp.url} answers with version {number} and has no evidence of {version}")
        drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR_RGB)
        found[one.path] = "the webapp's picture cannot be read" if drawn is None else np.asarray(drawn)
    return found


def live_answer(settings: Settings, image: bytes) -> dict[str, Any]:
    """What the webapp answers for an encoded picture; it goes on its record like any other prediction.

    Raises
    ------
    NotAskableError
        If no webapp answers, or it does not let us ask.
    """
    return dict(WebappClient(settings).send("/predict", image, accept="application/json").json())
