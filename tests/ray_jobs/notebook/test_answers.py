"""Answers one by one, and the evidence over them, from a real webapp."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from ray_jobs.feature_table.prepare import Prepared
from ray_jobs.notebook.answers import (
    JudgedPicture,
    answers_table,
    errors_figure,
    evidence_of,
    held_out_answers,
    live_answer,
)
from ray_jobs.notebook.pictures import listed
from ray_jobs.tracking.webapp import NotAskableError
from registry.model.bundle import Bundle, read_bundle
from registry.model.versions import ModelVersion
from serve.api import create_app
from serve.http.keys import read_keys
from serve.production.model import Holder, Served
from tests.serve.support.live import running
from tests.serve.support.waiting import free_port


@pytest.fixture(scope="module")
def served(make_bundle, tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("bundle")
    digest = make_bundle(folder)
    version = ModelVersion(
        name="pneumonia",
        version=3,
        run_id="a",
        source="",
        digest=digest,
        spec_fingerprint="",
        created=datetime.now(UTC),
    )
    return Served(
        version=version, bundle=read_bundle(folder, digest=digest), since=datetime.now(UTC), source="registry"
    )


def at(prepared: Prepared, url: str, **changed: object) -> Prepared:
    settings = prepared.settings.model_copy(update={"webapp_uri": url, **changed})
    return Prepared(settings=settings, source=prepared.source, manifest=prepared.manifest, state=prepared.state)


def test_every_held_out_x_ray_is_asked_about_and_the_worst_answers_come_first(prepared: Prepared, served: Served):
    bundle: Bundle = served.bundle
    found = held_out_answers(prepared, bundle)
    assert sorted(one.path for one in found) == listed(prepared.manifest, "held-out")["path"].tolist()
    answered = [one for one in found if one.probability is not None]
    margins = [one.margin for one in answered]
    assert margins == sorted(margins, reverse=True)
    for one in answered:
        assert (one.margin > 0) == (one.predicted != one.label)
        assert abs(one.margin) == pytest.approx(abs(one.probability - bundle.threshold))
        assert str(one) == f"{one.label}, said: {one.predicted}, {one.probability:.3f}"
    assert answers_table(found).to_numpy().sum() == len(found)


def test_a_picture_without_an_answer_is_kept_with_its_reason(prepared: Prepared, served: Served):
    broken = listed(prepared.manifest, "held-out")["path"][0]
    file = Path(prepared.manifest.uri, broken)
    file.write_bytes(file.read_bytes()[:2000])
    *_, last = held_out_answers(prepared, served.bundle)
    assert (last.path, last.predicted, last.probability) == (broken, "no answer", None)
    assert "the JPEG is truncated" in last.why
    assert str(last) == f"{last.label}, said: no answer"
    assert answers_table([last]).loc[last.label, "no answer"] == 1


def test_the_evidence_is_what_the_webapp_draws(prepared: Prepared, served: Served):
    paths = listed(prepared.manifest)["path"].tolist()[-3:-1]  # of pneumonia, for which evidence is drawn
    judged = [JudgedPicture(path=path, label="NORMAL", predicted="PNEUMONIA", probability=0.9) for path in paths]
    with running(create_app(Holder(served=served), settings=prepared.settings)) as url:
        found = evidence_of(at(prepared, url), served.version, judged)
        other = ModelVersion(**{**vars(served.version), "version": 4})
        with pytest.raises(NotAskableError, match="answers with version 3 and has no evidence of pneumonia version 4"):
            evidence_of(at(prepared, url), other, judged)
        told = live_answer(at(prepared, url).settings, prepared.source.read(paths[0]))
        refused = live_answer(at(prepared, url).settings, b"no picture")
    assert [drawn.shape[2] for drawn in found.values()] == [3, 3]
    red, _, blue = np.moveaxis(found[paths[0]].astype(int), 2, 0)
    assert (red - blue).max() > 50  # orange lies over grey
    assert (told["model"]["version"], told["threshold"]) == (3, served.bundle.threshold)
    assert refused["code"] == "unsupported-image"
    figure = errors_figure(prepared, judged, evidence={paths[0]: found[paths[0]], paths[1]: "it is too small"})
    assert figure.axes[0].get_title().split("\n")[1] == "NORMAL, said: PNEUMONIA, 0.900"
    assert [axes.get_title() for axes in figure.axes[2:]] == ["evidence of pneumonia", ""]
    assert figure.axes[3].texts[0].get_text() == "it is too small"
    assert len(errors_figure(prepared, judged).axes) == 2


def test_a_webapp_that_is_away_or_wants_a_key_is_told(prepared: Prepared, served: Served):
    image = prepared.source.read(listed(prepared.manifest)["path"][0])
    with pytest.raises(NotAskableError, match=r"no webapp answers at http://127\.0\.0\.1:.*make serve"):
        live_answer(at(prepared, f"http://127.0.0.1:{free_port()}").settings, image)
    wanted = prepared.settings.model_copy(update={"api_keys": SecretStr("notebook:a-key-of-the-page-itself")})
    keys = read_keys(wanted)
    with running(create_app(Holder(served=served), settings=prepared.settings, keys=keys)) as url:
        with pytest.raises(NotAskableError, match="it says 401; name an API key of it in API_KEYS"):
            live_answer(at(prepared, url).settings, image)
        given = at(prepared, url, api_keys=wanted.api_keys).settings
        assert live_answer(given, image)["label"] in ("NORMAL", "PNEUMONIA")
