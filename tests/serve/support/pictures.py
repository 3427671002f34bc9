"""Writes a picture of each state of the page into docs/pictures, from generated X-rays only.

Run it with `python -m tests.serve.support.pictures` after a change of the page, and look at what it wrote.
"""

import io
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from registry.settings import ROOT, Settings
from registry.state import open_state
from serve.api import create_app
from serve.http.keys import read_keys
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Holder, SwapFailure
from tests.serve.support.live import CHROMIUM, chromium, running
from tests.serve.support.models import GeneratedXrays, served

FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 300_000
WIDTH, HEIGHT = 1100, 900
PHONE = {"width": 390, "height": 844}


def photograph() -> bytes:
    """A colourful picture that is no X-ray, as JPEG."""
    rows, columns = np.mgrid[0:300, 0:400]
    channels = [127 + 127 * np.sin(rows / 30), 127 + 127 * np.cos(columns / 40), (rows * columns) % 256]
    return bytes(cv2.imencode(".jpeg", np.dstack(channels).astype(np.uint8))[1].tobytes())


def write_uploads(folder: Path, training_set: GeneratedXrays) -> list[str]:
    """Files to upload: a normal and a pneumonia X-ray, one that is unusual, a photograph, a text."""
    pixels = cv2.imdecode(np.frombuffer(training_set.images[3], np.uint8), cv2.IMREAD_GRAYSCALE)
    unusual = np.dstack([pixels, pixels, np.clip(pixels.astype(int) + 8, 0, 255).astype(np.uint8)])
    contents = {
        "chest-0.jpeg": training_set.images[0],
        "chest-1.jpeg": training_set.images[1],
        "chest-3.png": bytes(cv2.imencode(".png", unusual)[1].tobytes()),
        "holiday.jpeg": photograph(),
        "notes.txt": b"not a picture",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in contents]


def main() -> int:
    """0 once every picture is written and small enough."""
    if CHROMIUM is None:
        print("no chromium on the PATH; install Debian's package chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        training_set = GeneratedXrays.generated(patients=24)
        uploads = write_uploads(folder, training_set)
        holder = Holder(served=served(training_set, folder / "bundle", version=7))
        metrics = Metrics()
        recorder = PredictionRecorder(lambda: open_state(str(folder / "state")), metrics)
        app = create_app(holder, settings=Settings(), metrics=metrics, recorder=recorder)
        keys = read_keys(Settings(api_keys="clinic:0123456789abcdef"))
        closed = create_app(holder, settings=Settings(), keys=keys)
        with chromium() as browser, running(app) as url, running(closed) as closed_url:
            _take(browser, url, closed_url, uploads, holder)
    large = [path.name for path in FOLDER.glob("*.png") if path.stat().st_size > MOST_BYTES]
    print(f"{FOLDER}: too large: {large}" if large else f"{FOLDER}: {len(list(FOLDER.glob('*.png')))} pictures")
    return 1 if large else 0


def _take(browser, url: str, closed_url: str, uploads: list[str], holder: Holder) -> None:
    def page(address: str, **options: object):
        opened = browser.new_page(**{"viewport": {"width": WIDTH, "height": HEIGHT}, "locale": "en-GB", **options})
        opened.goto(address)
        return opened

    def keep(opened, name: str) -> None:
        opened.wait_for_timeout(300)
        picture = Image.open(io.BytesIO(opened.screenshot(full_page=True))).convert("RGB")
        picture.quantize(256, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
        opened.close()

    def one(opened, file: str):
        opened.set_input_files("#file", file)
        opened.locator(".card").wait_for()
        return opened

    FOLDER.mkdir(exist_ok=True)
    keep(page(url), "empty")
    for name, options in {
        "page": {},
        "portuguese": {"locale": "pt-BR"},
        "dark": {"color_scheme": "dark"},
        "phone": {"viewport": PHONE},
    }.items():
        shown = one(page(url, **options), uploads[1])
        shown.locator("img.overlay").wait_for()
        keep(shown, name)
    warned = one(page(url), uploads[2])
    warned.locator("img.overlay").wait_for()
    keep(warned, "warning")
    keep(one(page(url), uploads[3]), "refused")
    keep(one(page(url), uploads[4]), "error")
    several = page(url)
    several.set_input_files("#file", uploads)
    several.locator("tbody tr").nth(4).wait_for()
    several.get_by_role("button", name="Wrong").first.click()
    several.locator(".feedback-status", has_text="corrected").wait_for()
    keep(several, "several")
    phone = page(url, viewport=PHONE)
    phone.set_input_files("#file", uploads)
    phone.locator("tbody tr").nth(4).wait_for()
    keep(phone, "several-phone")
    card = page(url)
    card.click("summary")
    keep(card, "model")
    key = page(closed_url)
    key.set_input_files("#file", uploads[0])
    key.locator("#key-dialog").wait_for()
    keep(key, "key")
    changed, before = page(url), holder.served
    assert before
    holder.served = replace(before, version=replace(before.version, version=8))
    changed.locator("#serving.fresh").wait_for()
    keep(changed, "changed")
    holder.failure = SwapFailure(
        code="refused", version=9, detail="Version 9 is refused.", remedy="Go back.", since=datetime.now(UTC)
    )
    keep(page(url), "not-followed")
    holder.served, holder.failure = before, None


if __name__ == "__main__":
    sys.exit(main())
