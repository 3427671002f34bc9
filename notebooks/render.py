"""The notebook as it looks when it has run, for people who only want to read: `python -m notebooks.render`.

It runs on generated X-rays, among which some files are unusable, beside a webapp of its own, and writes
`docs/notebook.md`, its Portuguese and their pictures. No X-ray of a person is in them.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import nbformat
import numpy as np
from nbclient import NotebookClient

from ray_jobs.dataset.sources import open_source
from registry.settings import ROOT

NOTEBOOK = ROOT / "notebooks" / "train.ipynb"
PAGES = {"en": "notebook.md", "pt": "notebook.pt-BR.md"}
COUNT = 160
_KERNEL = "this-environment"
_WEBAPP_S = 300.0
_BEGINNING = {
    "en": "[Português](notebook.pt-BR.md)\n\n`make notebook-page` wrote this page by running the notebook. "
    "All X-rays in it are generated, and show nobody.",
    "pt": "[English](notebook.md)\n\n`make notebook-page` escreveu esta página executando o notebook. "
    "Todas as radiografias nela são geradas, e não mostram ninguém.",
}


def write_dataset(folder: Path, count: int) -> Path:
    """Generated X-rays in NORMAL/ and PNEUMONIA/, and beside them some files as every real dataset has them."""
    source = open_source(f"synthetic:{count}")
    contents = {
        entry.path: _resized(source.read(entry.path), entry.path, number)
        for number, entry in enumerate(source.entries())
    }
    first, second = sorted(contents)[:2]
    contents |= {
        "NORMAL/IM-9001-0001.jpeg": contents[first],  # the same picture a second time
        "NORMAL/person9002_virus_1.jpeg": contents[second][:-9] + bytes(9),  # named as pneumonia
        "NORMAL/notes.txt": b"not a picture",
        "PNEUMONIA/person9003_virus_1.jpeg": contents[second][:2000],  # an upload that broke off
        "LATERAL/IM-9004-0001.jpeg": contents[second] + b"\0",
    }
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def _resized(content: bytes, path: str, number: int) -> bytes:
    """A picture in a size of its own, as pictures of a hospital have."""
    random = np.random.default_rng(number)
    width, height = int(random.integers(240, 420)), int(random.integers(240, 380))
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return cv2.imencode(Path(path).suffix, cv2.resize(pixels, (width, height)))[1].tobytes()


def write_kernel(folder: Path) -> str:
    """A kernel of this interpreter below a folder for JUPYTER_PATH, whatever else is installed; gives its name."""
    place = folder / "kernels" / _KERNEL
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps({"argv": command, "display_name": _KERNEL, "language": "python"}))
    return _KERNEL


def execute(notebook: nbformat.NotebookNode, kernel: str) -> nbformat.NotebookNode:
    """Run every cell as JupyterLab does; gives the notebook with its outputs."""
    # A kernel that finds itself in a test would not pass on what its jobs print.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    client = NotebookClient(notebook, kernel_name=kernel, timeout=500, resources=resources)
    return client.execute(env=environment)


def page(notebook: nbformat.NotebookNode, language: str, keep: Callable[[bytes], str]) -> str:
    """An executed notebook as Markdown in one of its languages; `keep` stores a picture and gives its address."""
    parts = list[str]()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(in_language(cell.source, language))
        else:
            parts += [f"```python\n{cell.source}\n```", *_outputs(cell.outputs, keep)]
        if len(parts) == 1:
            parts.append(_BEGINNING[language])
    return "\n\n".join(part for part in parts if part) + "\n"


def in_language(text: str, language: str) -> str:
    """What a cell says in "en" or "pt": headings have both, with a dot between, and paragraphs take turns."""
    place = {"en": 0, "pt": 1}[language]
    found, turn = list[str](), 0
    for block in text.split("\n\n"):
        if heading := re.fullmatch(r"(#+) (.+) · (.+)", block):
            found.append(f"{heading[1]} {heading[2 + place]}")
        else:
            found += [block] * (turn % 2 == place)
            turn += 1
    return "\n\n".join(found)


def _outputs(outputs: Iterable[Mapping[str, Any]], keep: Callable[[bytes], str]) -> Iterator[str]:
    """Pictures, tables, and what was printed one after the other as one block, whichever stream it came by."""
    for kind, some in groupby(outputs, key=lambda output: str(output["output_type"])):
        if kind == "stream":
            yield f"```text\n{''.join(output['text'] for output in some).rstrip()}\n```"
            continue
        for data in (output["data"] for output in some):
            if "image/png" in data:
                yield f"![]({keep(base64.b64decode(data['image/png']))})"
            elif table := re.search(r"<table.*?</table>", data["text/html"], re.DOTALL):
                yield re.sub(r"\n\s*", "\n", table[0])


def compact(picture: bytes) -> tuple[str, bytes]:
    """Suffix and bytes of a picture, as JPEG where that is much smaller: charts stay sharp, X-rays become small."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    small = cv2.imencode(".jpeg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return (".jpeg", small) if 2 * len(small) < len(picture) else (".png", picture)


def main() -> None:
    """Run the notebook in a folder of its own, and write the pages."""
    with tempfile.TemporaryDirectory(prefix="hm-notebook-") as scratch:
        folder = Path(scratch)
        os.environ |= {
            "JUPYTER_PATH": str(folder / "jupyter"),
            "DATA_URI": str(write_dataset(folder / "xrays", COUNT)),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "STATE_URI": str(folder / "state"),
            "PROMOTED_BY": "Ana Souza",
            "RAY_ADDRESS": "",
        }
        with _webapp():
            done = execute(nbformat.read(NOTEBOOK, as_version=4), write_kernel(folder / "jupyter"))
        text = nbformat.writes(done).replace(str(folder), "/home/ana/hm-mlflow")
    write_pages(nbformat.reads(text, as_version=4), ROOT / "docs")


def write_pages(notebook: nbformat.NotebookNode, docs: Path) -> None:
    """Write the pages of an executed notebook, and its pictures once for both."""
    for old in (docs / "pictures").glob("notebook-*"):
        old.unlink()
    stored = dict[bytes, str]()

    def keep(picture: bytes) -> str:
        if picture not in stored:
            suffix, content = compact(picture)
            stored[picture] = f"pictures/notebook-{len(stored) + 1}{suffix}"
            (docs / stored[picture]).write_bytes(content)
        return stored[picture]

    for language, name in PAGES.items():
        (docs / name).write_text(page(notebook, language, keep))


@contextmanager
def _webapp() -> Iterator[None]:
    """The webapp on its usual port, which follows what the notebook promotes."""
    server = subprocess.Popen([sys.executable, "-m", "serve"], cwd=ROOT)
    try:
        end = time.monotonic() + _WEBAPP_S
        while not _alive():
            if server.poll() is not None or time.monotonic() > end:
                sys.exit("The webapp did not start; what it printed above says why. Is its port in use?")
            time.sleep(1)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def _alive() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
