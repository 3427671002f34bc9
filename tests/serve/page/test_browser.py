"""The page in a real browser: upload one and many, an error, both languages, a phone, and the version that changes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI

from registry.settings import Settings
from registry.state import open_state
from serve.api import create_app
from serve.http.keys import read_keys
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Holder, Served, SwapFailure
from tests.serve.support.live import CHROMIUM, chromium, running
from tests.serve.support.models import GeneratedXrays
from tests.serve.support.pictures import write_uploads

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH; install Debian's package chromium")

Axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def held(model: Served) -> Holder:
    return Holder(served=model)


@pytest.fixture(scope="module")
def app(held: Holder, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    metrics, folder = Metrics(), tmp_path_factory.mktemp("memory")
    recorder = PredictionRecorder(lambda: open_state(str(folder)), metrics)
    return create_app(held, settings=Settings(), metrics=metrics, recorder=recorder)


@pytest.fixture(scope="module")
def url(app: FastAPI) -> Iterator[str]:
    with running(app) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, url: str) -> Iterator[object]:
    """A page that fails the test on any script error or any violation of the content policy."""
    page = browser.new_page(locale="en-GB")
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: "Content Security" in message.text and complaints.append(message.text))
    page.goto(url)
    yield page
    page.close()
    assert complaints == []


@pytest.fixture
def files(tmp_path: Path, training_set: GeneratedXrays) -> dict[str, str]:
    paths = write_uploads(tmp_path, training_set)
    return dict(zip(("normal", "pneumonia", "unusual", "photograph", "text"), paths, strict=True))


def serious(page) -> list[str]:
    """What axe-core finds serious or worse on a page as it stands."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_one_x_ray_shows_label_probability_and_the_picture_itself(page, files: dict[str, str]) -> None:
    page.set_input_files("#file", files["pneumonia"])
    card = page.locator(".card")
    card.wait_for()
    assert card.locator(".label").inner_text() == "Pneumonia"
    assert "%" in card.locator(".big").inner_text()
    assert card.locator("svg.bar").get_attribute("aria-label").startswith("Probability of pneumonia")
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert "version 7" in card.inner_text()


def test_several_files_become_a_table_in_their_order_with_refusals_in_their_rows(page, files: dict[str, str]) -> None:
    page.set_input_files("#file", list(files.values()))
    playwright_api.expect(page.locator("tbody tr")).to_have_count(5)
    names = [Path(path).name for path in files.values()]
    playwright_api.expect(page.locator("#status")).to_have_text("5 analysed.")
    assert [text.strip() for text in page.locator("tbody th").all_inner_texts()] == names
    rows = page.locator("tbody tr")
    assert "some colour" in rows.nth(2).inner_text()
    assert "is in colour, and X-rays are grey" in rows.nth(3).inner_text()
    assert "The file is of another kind, not JPEG" in rows.nth(4).inner_text()
    assert serious(page) == []
    assert [one for one in Axe().run(page).response["violations"] if one["id"] == "landmark-unique"] == []
    page.click("#clear")
    assert page.locator("#results").is_hidden()


def test_the_evidence_lies_over_the_picture_by_itself_and_can_be_taken_off(page, files: dict[str, str]) -> None:
    page.set_input_files("#file", files["pneumonia"])
    overlay = page.locator(".card img.overlay")
    overlay.wait_for()
    assert overlay.evaluate("image => image.naturalWidth") > 0
    assert "not the outline" in page.locator(".card figcaption").inner_text()
    assert serious(page) == []
    button = page.locator(".card [data-evidence]")
    playwright_api.expect(button).to_have_text("Show only the X-ray")
    button.focus()
    page.keyboard.press("Enter")
    playwright_api.expect(overlay).to_have_count(0)
    playwright_api.expect(button).to_have_text("Show the evidence")
    assert page.locator(".card figcaption").is_hidden()
    page.keyboard.press("Enter")
    playwright_api.expect(overlay).to_have_count(1)


def test_a_row_shows_its_evidence_in_a_dialog_that_the_keyboard_closes(page, files: dict[str, str]) -> None:
    page.set_input_files("#file", [files["normal"], files["pneumonia"]])
    button = page.get_by_role("button", name="Evidence chest-1.jpeg")
    button.click()
    page.locator("#evidence img.overlay").wait_for()
    assert page.locator("#evidence").is_visible()
    assert serious(page) == []
    page.keyboard.press("Escape")
    assert page.locator("#evidence").is_hidden()
    assert button.evaluate("button => button === document.activeElement")


def test_a_correction_is_kept_and_counted_for_the_version(page, files: dict[str, str], url: str) -> None:
    page.set_input_files("#file", files["pneumonia"])
    feedback = page.locator(".card .feedback")
    feedback.get_by_role("button", name="Right").click()
    playwright_api.expect(feedback.locator(".feedback-status")).to_have_text("Saved: confirmed.")
    feedback.get_by_role("button", name="Wrong").click()
    playwright_api.expect(feedback.locator(".feedback-status")).to_have_text("Saved: corrected.")
    assert feedback.get_by_role("button", name="Wrong").get_attribute("aria-pressed") == "true"
    assert feedback.get_by_role("button", name="Right").get_attribute("aria-pressed") == "false"
    (version,) = page.request.get(f"{url}/feedback").json()["versions"]
    assert (version["version"], version["confirmed"], version["corrected"]) == (7, 0, 1)
    assert version["false_alarms"] == 1


def test_a_photograph_is_refused_kindly_and_a_strange_picture_carries_its_warning(page, files: dict[str, str]) -> None:
    page.set_input_files("#file", files["photograph"])
    page.locator(".card.problem").wait_for()
    assert "Send a frontal chest X-ray" in page.locator(".card").inner_text()
    assert page.locator(".card .feedback").count() == 0
    assert serious(page) == []
    page.set_input_files("#file", files["unusual"])
    page.locator(".card .warnings li").wait_for()
    assert page.locator(".card .warnings li").get_attribute("data-warning") == "coloured"


def test_in_portuguese_every_word_of_a_result_is(browser, url: str, files: dict[str, str]) -> None:
    page = browser.new_page(locale="pt-BR")
    page.goto(url)
    page.set_input_files("#file", files["pneumonia"])
    page.locator(".card img.overlay").wait_for()
    card = page.locator(".card").inner_text()
    assert "% de probabilidade de pneumonia" in card
    assert "Mostrar só a radiografia" in card
    page.get_by_role("button", name="Certo").click()
    playwright_api.expect(page.locator(".feedback-status")).to_have_text("Salvo: confirmado.")
    page.locator("summary").click()
    assert "Não é um dispositivo médico" in page.locator(".about").inner_text()
    assert page.locator("html").get_attribute("lang") == "pt-BR"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_the_models_card_have_nothing_serious_for_axe_in_light_and_dark(
    browser, url: str, scheme: str
) -> None:
    page = browser.new_page(locale="en-GB", color_scheme=scheme)
    page.goto(url)
    page.click("summary")
    assert "Calibration error" in page.locator(".about").inner_text()
    assert "[0.961, 0.984]" in page.locator(".about").inner_text()
    assert serious(page) == []
    assert [one for one in Axe().run(page).response["violations"] if one["id"] == "heading-order"] == []
    page.goto(f"{url}/docs")
    assert serious(page) == []
    page.close()


def test_where_a_key_is_asked_for_the_page_asks_once_and_goes_on(browser, held: Holder, files: dict[str, str]) -> None:
    keys = read_keys(Settings(api_keys="clinic:0123456789abcdef"))
    with running(create_app(held, settings=Settings(), keys=keys)) as url:
        page = browser.new_page(locale="en-GB")
        page.goto(url)
        page.set_input_files("#file", files["pneumonia"])
        page.locator("#key-dialog").wait_for()
        assert serious(page) == []
        for wrong in ("wrong", "“0123456789abcdef”"):  # the second one is nothing that a header can carry
            page.fill("#key", wrong)
            page.keyboard.press("Enter")
            page.locator("#key-wrong").wait_for()
            playwright_api.expect(page.locator("#key")).to_have_value("")
        page.fill("#key", "0123456789abcdef")
        page.keyboard.press("Enter")
        page.locator(".card img.overlay").wait_for()
        page.reload()
        page.set_input_files("#file", files["normal"])
        page.locator(".card.normal").wait_for()
        assert page.locator("#key-dialog").is_hidden()
        page.close()


def test_a_dropped_file_is_analysed_and_an_error_says_what_is_wrong(page) -> None:
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["text"], "<b>x</b>.txt", {type: "text/plain"}));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }"""
    )
    card = page.locator(".card.problem")
    card.wait_for()
    assert "This kind of file is not accepted." in card.inner_text()
    assert "<b>x</b>.txt" in card.inner_text()


def test_the_page_of_a_balancer_in_between_is_told_as_a_server_that_did_not_answer(page, files: dict[str, str]) -> None:
    away = {"status": 503, "content_type": "text/html", "body": "<html><h1>503 Service Unavailable</h1></html>"}
    page.route("**/page/result*", lambda route: route.fulfill(**away))
    page.set_input_files("#file", files["normal"])
    card = page.locator(".card.problem")
    card.wait_for()
    assert "did not answer" in card.inner_text()
    page.set_input_files("#file", [files["normal"], files["pneumonia"]])
    playwright_api.expect(page.locator("#status")).to_have_text("2 analysed.")


def test_a_refusal_is_told_in_the_language_of_the_page_also_where_it_is_about_the_evidence(
    browser, url: str, files: dict[str, str]
) -> None:
    page = browser.new_page(locale="pt-BR")
    page.goto(url)
    document = {"status": 403, "code": "foreign-origin", "detail": "A page of 'x' sent this."}
    refused = {"status": 403, "content_type": "application/problem+json", "body": json.dumps(document)}
    page.route("**/explain", lambda route: route.fulfill(**refused))
    page.set_input_files("#file", files["normal"])
    page.locator(".card.normal").wait_for()
    playwright_api.expect(page.locator("#status")).to_have_text("O servidor não pôde responder.")
    page.route("**/page/result*", lambda route: route.fulfill(**refused))
    page.set_input_files("#file", files["normal"])
    playwright_api.expect(page.locator(".card.problem .why")).to_have_text("O servidor não pôde responder.")
    page.close()


def test_an_upload_that_another_one_replaces_is_given_up(page, files: dict[str, str]) -> None:
    routes = list[object]()
    page.route("**/page/result*", lambda route: routes.append(route) if not routes else route.continue_())
    with page.expect_request("**/page/result*") as first:
        page.set_input_files("#file", files["normal"])
    with page.expect_event("requestfailed") as given_up:
        page.set_input_files("#file", files["pneumonia"])
    assert given_up.value == first.value
    playwright_api.expect(page.locator(".card .label")).to_have_text("Pneumonia")


def test_each_row_tells_the_threshold_of_the_version_that_answered(
    page, held: Holder, model: Served, files: dict[str, str]
) -> None:
    held.served = replace(model, bundle=replace(model.bundle, threshold=0.123))
    try:
        page.set_input_files("#file", [files["normal"], files["pneumonia"]])
        playwright_api.expect(page.locator("tbody tr")).to_have_count(2)
        assert all("threshold 12.3" in text for text in page.locator(".row-probability").all_inner_texts())
        assert "threshold" not in page.locator("thead").inner_text().lower()
    finally:
        held.served = model


def test_the_footer_follows_the_version_without_a_reload(page, held: Holder, model: Served) -> None:
    assert "version 7" in page.locator("#serving").inner_text()
    held.served = replace(model, version=replace(model.version, version=8))
    try:
        playwright_api.expect(page.locator("#serving")).to_contain_text("version 8", timeout=30_000)
        playwright_api.expect(page.locator("#announce")).to_have_text("Now in use: version 8")
        playwright_api.expect(page.locator("#about-model")).to_have_attribute("data-version", "8")
        now = datetime.now(UTC)
        held.failure = SwapFailure(code="refused", version=9, detail="Refused.", remedy="Go back.", since=now)
        playwright_api.expect(page.locator("#notice")).to_contain_text("failed its checks", timeout=30_000)
        held.failure = None
        playwright_api.expect(page.locator("#notice")).to_be_empty(timeout=30_000)
    finally:
        held.served, held.failure = model, None


def test_the_keyboard_alone_reaches_the_upload_and_the_language_switch_turns_the_page(page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.lang"))
        assert page.evaluate("document.activeElement.type") != "submit"  # for a browser without a script, unseen here
    assert "file" in reached
    assert {"en", "pt"} <= set(reached)
    page.click("text=PT")
    assert "Esta radiografia" in page.locator("h1").inner_text()


def test_a_phone_shows_the_page_without_scrolling_sideways(page, files: dict[str, str]) -> None:
    page.set_viewport_size({"width": 390, "height": 740})
    page.set_input_files("#file", files["normal"])
    page.locator(".card img.overlay").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_input_files("#file", list(files.values()))
    page.locator("tbody tr").nth(4).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
