"""The page as HTML: languages, escaping, the form without a script, and the API's description."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import get_args

import numpy as np
import pytest
from fastapi.testclient import TestClient

from features.reading.decode import DEFAULT_LIMITS
from features.reading.errors import Reason
from registry.settings import Settings
from serve.api import create_app
from serve.http.problems import KINDS
from serve.page.language import languages
from serve.page.numbers import evaluation_groups
from serve.production.model import Holder
from tests.behaviour.not_xrays import generated
from tests.features.raw_dicom import made, text
from tests.serve.support.models import GeneratedXrays


@pytest.fixture
def client(holder: Holder, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(holder, settings=settings)) as client:
        yield client


ENGLISH, PORTUGUESE = languages()["en"], languages()["pt"]


def test_every_problem_that_an_upload_can_meet_is_explained_in_words() -> None:
    elsewhere = {
        "foreign-host",
        "foreign-origin",
        "not-found",
        "method-not-allowed",
        "invalid-request",
        "internal-error",
        "not-a-chest-xray",
        "unknown-prediction",
        "not-recorded",
        "store-away",
        "no-report",
        "no-example",
    }
    explained = {key.removeprefix("problem.") for key in ENGLISH.words if key.startswith("problem.")}
    assert explained - {"other"} == set(KINDS) - elsewhere
    reasons = {key.removeprefix("reason.") for key in ENGLISH.words if key.startswith("reason.")}
    assert reasons == set(get_args(Reason))


def test_numbers_are_shown_with_their_interval_and_left_out_where_there_are_none() -> None:
    numbers = {"auc": {"value": 0.9731, "low": 0.961, "high": 0.984}, "accuracy": 0.5}
    rows = [("auc", "0.973", "[0.961, 0.984]"), ("accuracy", "50.0%", "")]
    assert evaluation_groups({"held_out": numbers}, ENGLISH) == [("held_out", rows)]
    assert evaluation_groups({}, ENGLISH) == []


def test_numbers_on_test_come_first_then_held_out_then_shifted(settings: Settings, holder: Holder) -> None:
    assert holder.served
    numbers = {"auc": {"value": 0.9, "low": 0.8, "high": 0.95}}
    evaluation = {"held_out": numbers, "held_out_shifted": numbers, "test": numbers, "model": "svm"}
    holder.served = replace(holder.served, bundle=replace(holder.served.bundle, evaluation=evaluation))
    with TestClient(create_app(holder, settings=settings)) as client:
        for words, tag in ((ENGLISH.words, "en"), (PORTUGUESE.words, "pt-BR")):
            page = client.get("/", headers={"Accept-Language": tag}).text
            places = [page.index(words[f"numbers.{name}"]) for name in ("test", "held_out", "held_out_shifted")]
            assert places == sorted(places)
        assert list(client.get("/model").json()["evaluation"])[:3] == ["test", "held_out", "held_out_shifted"]


@pytest.mark.parametrize("learnt_from", ["generated", "folder"])
def test_a_model_of_generated_pictures_says_so_on_the_page_in_every_answer_and_in_each_refusal(
    settings: Settings, holder: Holder, training_set: GeneratedXrays, learnt_from: str
) -> None:
    assert holder.served
    evaluation = {"data": {"kind": learnt_from}}
    holder.served = replace(holder.served, bundle=replace(holder.served.bundle, evaluation=evaluation))
    says_so = learnt_from == "generated"
    (hand,) = generated("hand", 1)
    with TestClient(create_app(holder, settings=settings)) as client:
        for words, tag in ((ENGLISH.words, "en"), (PORTUGUESE.words, "pt-BR")):
            spoken = {"Accept-Language": tag}
            assert (words["generated_model"] in client.get("/", headers=spoken).text) is says_so
            files = {"file": ("a.jpeg", training_set.images[0])}
            card = client.post("/page/result", files=files, headers=spoken).text
            assert (words["warning.generated-model"] in card) is says_so
            for shape in ("card", "row"):
                refusal = client.post(f"/page/result?as={shape}", files={"file": ("h.png", hand)}, headers=spoken).text
                assert (words["generated_refusal"] in refusal) is says_so
        answer = client.post("/predict", files={"file": ("a.jpeg", training_set.images[0])}).json()
        assert ("generated-model" in [warning["code"] for warning in answer["warnings"]]) is says_so
        refused = client.post("/predict", files={"file": ("h.png", hand)}).json()
        assert refused["code"] == "not-a-chest-xray"
        assert ("learnt from generated pictures" in refused["detail"]) is says_so


def test_the_page_is_in_the_browsers_language_and_says_that_it_is_no_medical_device(client: TestClient) -> None:
    english = client.get("/").text
    portuguese = client.get("/", headers={"Accept-Language": "pt-BR"}).text
    assert '<html lang="en">' in english
    assert "Not a medical device" in english
    assert '<html lang="pt-BR">' in portuguese
    assert "Não é um dispositivo médico" in portuguese
    assert "pneumonia, version 7" in english
    assert "[0.961, 0.984]" in english
    assert "1,500 from 800 patients (900 with pneumonia)" in english


def test_a_browser_without_script_gets_the_answer_on_the_page(client: TestClient, training_set: GeneratedXrays) -> None:
    one = client.post("/", files=[("file", ("a.jpeg", training_set.images[1]))])
    assert one.status_code == 200
    assert 'class="card' in one.text
    assert "Computed by pneumonia version 7" in one.text
    several = client.post("/", files=[("file", (name, training_set.images[0])) for name in ("a.jpeg", "b.jpeg")])
    assert several.text.count('<th scope="row" role="rowheader">') == 2
    wrong = client.post("/", files=[("file", ("a.txt", b"text"))])
    assert wrong.status_code == 415
    assert "This kind of file is not accepted." in wrong.text


def test_what_is_no_chest_x_ray_is_refused_with_its_reason_in_the_language_of_the_page(client: TestClient) -> None:
    (picture,) = generated("blank", 1)
    for language in languages().values():
        page = client.post("/", files={"file": ("a.png", picture)}, headers={"Accept-Language": language.code})
        assert page.status_code == 422
        assert language.words["reason.blank"] in unescape(page.text)


def test_a_file_name_is_shown_as_text_whatever_it_holds(client: TestClient, training_set: GeneratedXrays) -> None:
    name = "<img src=x onerror=alert(1)>.jpeg"
    for path in ("/page/result", "/page/result?as=row", "/"):
        html = client.post(path, files=[("file", (name, training_set.images[0]))]).text
        assert "<img src=x" not in html
        assert name in unescape(html)


def test_a_fragment_of_a_problem_has_its_status_and_when_to_come_back(settings: Settings) -> None:
    client = TestClient(create_app(Holder(), settings=settings))
    answer = client.post("/page/result?lang=pt", files=[("file", ("a.jpeg", b"x"))])
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "Nenhum modelo carregado ainda" in answer.text


def test_pages_hold_nothing_inline_and_nothing_from_elsewhere(client: TestClient, training_set: GeneratedXrays) -> None:
    upload = {"files": [("file", ("a.jpeg", training_set.images[1]))]}
    for html in (
        client.get("/").text,
        client.get("/docs").text,
        client.get("/card").text,
        client.post("/", **upload).text,
    ):
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", html)
        assert not re.search(r'(?:src|href)="https?://(?!127\.0\.0\.1)', html.replace("http://testserver", ""))


def test_the_model_card_is_a_page_with_its_tables_and_no_one_s_html(settings: Settings, holder: Holder) -> None:
    assert holder.served
    bundle = replace(holder.served.bundle, evaluation={**holder.served.bundle.evaluation, "model": "<b>any</b>"})
    with TestClient(create_app(Holder(served=replace(holder.served, bundle=bundle)), settings=settings)) as client:
        assert 'href="/card?lang=pt"' in client.get("/?lang=pt").text
        html = client.get("/card").text
        assert "<h2>Intended use</h2>" in html
        assert re.search(r"<td>AUC</td>\s*<td>0.973</td>\s*<td>\(0.961 to 0.984\)</td>", html)
        assert "<b>any" not in html
        markdown = client.get("/model/card")
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert markdown.text == bundle.card
    with TestClient(create_app(Holder(), settings=settings)) as client:
        assert client.get("/card").status_code == 503


def test_the_api_page_describes_every_route_and_every_problem(client: TestClient) -> None:
    html = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in html
    for code in KINDS:
        assert f'id="{code}"' in html
    assert "curl http://testserver/example -o xray.jpeg" in html  # curl writes no picture to a terminal
    assert "named <code>file</code>" in html


def test_in_portuguese_what_is_english_of_the_api_page_says_so(client: TestClient) -> None:
    html = client.get("/docs?lang=pt").text
    for english in ("Does the picture show pneumonia?", '<td lang="en">No picture was sent'):
        assert english in html
    assert html.count('<p class="summary" lang="en">') == html.count('<p class="summary"')
    assert "Ir para o conteúdo" in html


def test_a_dicom_of_several_pictures_is_not_called_something_else_than_a_dicom(client: TestClient) -> None:
    picture = made(np.zeros((64, 64), np.uint16), NumberOfFrames=text("IS", "2"))
    for shape in ("card", "row"):
        english = client.post(f"/page/result?as={shape}", files={"file": ("a.dcm", picture)}).text
        assert "only 1 is taken; export the one to be judged" in english
        portuguese = client.post(f"/page/result?as={shape}&lang=pt", files={"file": ("a.dcm", picture)}).text
        assert "Envie uma única imagem em tons de cinza" in portuguese
        assert "não é uma imagem JPEG" not in portuguese


def test_the_pages_words_name_the_limits_that_are_kept() -> None:
    megabytes, megapixels = DEFAULT_LIMITS.max_bytes // 1024**2, DEFAULT_LIMITS.max_pixels // 10**6
    for language in languages().values():
        assert f" {megabytes} MB " in language.words["types"]
        assert f" {megabytes} MB." in language.words["problem.body-too-large"]
        assert all(f" {most} " in language.words["problem.image-too-large"] for most in (megabytes, megapixels))


def test_the_examples_name_the_address_that_people_use_whatever_a_proxy_passes_on(
    settings: Settings, holder: Holder
) -> None:
    behind = settings.model_copy(update={"webapp_page_url": "https://xray.example.org/"})
    for given, shown in ((settings, "http://testserver/predict"), (behind, "https://xray.example.org/predict")):
        with TestClient(create_app(holder, settings=given)) as client:
            assert f"-F file=@xray.jpeg {shown}" in client.get("/docs").text


def test_the_link_to_mlflow_opens_the_runs_of_the_experiment_that_the_version_comes_from(
    holder: Holder, settings: Settings
) -> None:
    assert holder.served
    version = holder.served.version
    holder.served = replace(holder.served, version=replace(version, experiment_id="7"))
    inside = replace_uri(settings, "http://mlflow:5000").model_copy(
        update={"mlflow_page_url": "http://localhost:5000/"}
    )
    for where, address in (
        (settings, f"http://127.0.0.1:{settings.mlflow_port}"),
        (replace_uri(settings, "http://mlflow.example:5000"), "http://mlflow.example:5000"),
        (inside, "http://localhost:5000"),
    ):
        html = TestClient(create_app(holder, settings=where)).get("/").text
        assert f'href="{address}/#/experiments/7/runs"' in html
    holder.served = replace(holder.served, version=replace(version, experiment_id=""))
    html = TestClient(create_app(holder, settings=inside)).get("/").text
    assert 'href="http://localhost:5000/#/models/pneumonia"' in html
    holder.served = None
    assert 'href="http://localhost:5000/#/experiments"' in TestClient(create_app(holder, settings=inside)).get("/").text


def replace_uri(settings: Settings, uri: str) -> Settings:
    return settings.model_copy(update={"mlflow_tracking_uri": uri})


def test_a_model_without_numbers_says_so(model: object, settings: Settings, holder: Holder) -> None:
    assert holder.served
    holder.served = replace(holder.served, bundle=replace(holder.served.bundle, evaluation={}))
    assert ENGLISH.words["no_numbers"] in TestClient(create_app(holder, settings=settings)).get("/").text
