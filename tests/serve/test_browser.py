"""The page in a real browser: upload one and many, an error, both languages, a phone, and the version that changes."""

import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from registry.settings import Settings
from serve.api import create_app
from serve.model import Holder, Served
from tests.serve.models import TrainingSet
from tests.serve.waiting import until

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH; install Debian's package chromium")

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def held(model: Served) -> Holder:
    return Holder(served=model)


@pytest.fixture(scope="module")
def url(held: Holder) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(held, settings=Settings()), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


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
def files(tmp_path: Path, training_set: TrainingSet) -> list[str]:
    paths = [tmp_path / f"chest-{index}.jpeg" for index in range(2)]
    for path, image in zip(paths, training_set.images, strict=False):
        path.write_bytes(image)
    (tmp_path / "notes.txt").write_text("not a picture")
    return [str(path) for path in [*paths, tmp_path / "notes.txt"]]


def test_one_x_ray_shows_label_probability_and_the_picture_itself(page, files: list[str]) -> None:
    page.set_input_files("#file", files[1])
    card = page.locator(".card")
    card.wait_for()
    assert card.locator(".label").inner_text() == "Pneumonia"
    assert "%" in card.locator(".big").inner_text()
    assert card.locator("svg.bar").get_attribute("aria-label").startswith("Probability of pneumonia")
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert "version 7" in card.inner_text()


def test_several_files_become_a_table_in_their_order_with_an_error_in_its_row(page, files: list[str]) -> None:
    page.set_input_files("#file", files)
    playwright_api.expect(page.locator("tbody tr")).to_have_count(3)
    assert page.locator("tbody th").all_inner_texts() == ["chest-0.jpeg", "chest-1.jpeg", "notes.txt"]
    assert "not a JPEG" in page.locator("tbody tr.problem").inner_text()
    playwright_api.expect(page.locator("#status")).to_have_text("3 analysed.")
    page.click("#clear")
    assert page.locator("#results").is_hidden()


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
    assert "This is not a JPEG, PNG or DICOM picture." in card.inner_text()
    assert "<b>x</b>.txt" in card.inner_text()


def test_the_footer_follows_the_version_without_a_reload(page, held: Holder, model: Served) -> None:
    assert "version 7" in page.locator("#serving").inner_text()
    held.served = replace(model, version=replace(model.version, version=8))
    try:
        playwright_api.expect(page.locator("#serving")).to_contain_text("version 8", timeout=30_000)
        playwright_api.expect(page.locator("#announce")).to_have_text("Now answering: version 8")
    finally:
        held.served = model


def test_the_keyboard_alone_reaches_the_upload_and_the_language_switch_turns_the_page(page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.lang"))
    assert "file" in reached
    assert {"en", "pt"} <= set(reached)
    page.click("text=PT")
    assert "Esta radiografia" in page.locator("h1").inner_text()


def test_a_phone_shows_the_page_without_scrolling_sideways(page, files: list[str]) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.set_input_files("#file", files[0])
    page.locator(".card").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
