"""Where the time goes, as flame graphs of what py-spy sees: of a training with its workers, and of a replica's answers.

``python -m benchmarks.flame [--data FOLDER]`` writes training-flame.png and request-flame.png into docs/pictures. Wide
is what takes long, and what is below is called by what is above. Shown are the project's own functions and what they
call first of a library; what waits is left out. Linux, and on some systems root, because py-spy looks into another
process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
import psutil
from matplotlib import pyplot as plt

from benchmarks.asking import requests_of
from benchmarks.load import closed
from benchmarks.peers import started
from benchmarks.production import Production
from registry.settings import ROOT

PY_SPY = str(Path(sys.executable).with_name("py-spy"))
SECONDS, CONNECTIONS = 20, 4
COLOURS = {"features": "#2b6ca3", "registry": "#5f9e6e", "ray_jobs": "#c98a3b", "serve": "#8a6bb1"}
LIBRARY, SERVER = "#b8c2cc", "HTTP: Ray, uvicorn, FastAPI"
_WAITS = ("(threading.py", "(concurrent/", "(selectors.py", "main_loop (ray", "get_objects (ray", "wait (ray")
_TOLD = 40
_LEAST = 0.004  # of all samples: narrower than a line

Stack = tuple[str, ...]


def stacks(raw: str) -> Counter[Stack]:
    """Samples by stack, outermost first, of what py-spy wrote.

    >>> dict(stacks("run (threading.py:9);score (registry/a.py:1);dot (numpy/b.py:2);c (numpy/c.py:3) 5"))
    {('score (registry/a.py)', 'dot (numpy/b.py)'): 5}
    """
    found = Counter[Stack]()
    for line in raw.splitlines():
        text, _, count = line.rpartition(" ")
        frames = [f"{frame.rpartition(':')[0]})" if ".py:" in frame else frame for frame in text.split(";")]
        if any(wait in frames[-1] for wait in _WAITS):
            continue
        if stack := tuple(name for name, _ in groupby(_shown(frames))):
            found[stack] += int(count)
    return found


def _shown(frames: list[str]) -> Iterator[str]:
    """Our own functions, and the first of a library that each calls; or that the server is what runs."""
    ours, below = [_room(frame) in COLOURS for frame in frames], False
    if not any(ours) and any("uvicorn" in frame or "(ray/serve" in frame for frame in frames):
        yield SERVER
    for frame, own in zip(frames, ours, strict=True):
        if own or below:
            yield frame
        below = own


def _room(frame: str) -> str:
    return frame.partition("(")[2].partition("/")[0]


def draw(found: Counter[Stack], title: str, file: Path) -> None:
    """The stacks side by side, calls downwards."""
    mpl.use("Agg")
    total, levels = found.total(), set[int]()
    figure, axis = plt.subplots(layout="constrained")

    def place(rows: list[tuple[Stack, int]], level: int, left: float) -> None:
        for name, group in groupby(sorted(rows), key=lambda row: row[0][level]):
            inside = list(group)
            width = sum(count for _, count in inside) / total
            if width >= _LEAST:
                levels.add(level)
                axis.barh(-level, width, 0.94, left, color=COLOURS.get(_room(name), LIBRARY), edgecolor="white")
                short = name[: int(width * 190)] if width < 1 else name
                axis.text(left + 0.001, -level, short, va="center", fontsize=6.5, clip_on=True)
                place([row for row in inside if len(row[0]) > level + 1], level + 1, left)
            left += width

    place(list(found.items()), 0, 0.0)
    figure.set_size_inches(13, 0.6 + 0.24 * len(levels))
    axis.set(xlim=(0, 1), ylim=(0.4 - len(levels), 0.6), title=title)
    axis.axis("off")
    figure.savefig(file, dpi=110, metadata={"Software": None})


def tell(found: Counter[Stack], title: str) -> None:
    """Print the share of the time of each function that takes most, with what it calls."""
    shares = Counter[str]()
    for stack, count in found.items():
        shares.update(dict.fromkeys(stack, count))
    print(title)
    for name, count in shares.most_common(_TOLD):
        print(f"  {count / found.total():>6.1%} {name}")


def recorded(*arguments: str, rate: int) -> Counter[Stack]:
    """What py-spy sees of a process, so many looks a second."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "stacks"
        how = ["record", "--format", "raw", "--rate", str(rate), "--output", str(raw)]
        subprocess.run([PY_SPY, *how, *arguments], cwd=ROOT, check=True)
        return stacks(raw.read_text())


def training(data: str) -> Counter[Stack]:
    """A whole training in a new state, driver and workers."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"DATA_URI": data, "STATE_URI": f"{folder}/s", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/m.db"}
        os.environ.update(settings)
        return recorded("--subprocesses", "--", sys.executable, "-m", "ray_jobs.train", rate=20)


def request(data: Path | None) -> Counter[Stack]:
    """The replica of a webapp while it is asked."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        made = Production.made(scratch, data)
        with started(made.settings, scratch, idle=False, only="haproxy") as (peers, _):
            peer = peers["haproxy"]
            asking = {"connections": CONNECTIONS, "seconds": SECONDS + 5}
            asked = threading.Thread(target=closed, args=(peer.url, requests_of(peer, made.pictures)), kwargs=asking)
            asked.start()
            processes = psutil.Process(peer.process.pid).children(recursive=True)
            [replica] = [one.pid for one in processes if any("ServeReplica" in part for part in one.cmdline())]
            found = recorded("--pid", str(replica), "--duration", str(SECONDS), rate=100)
            asked.join()
            return found


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="X-rays of this folder, not generated ones")
    options = parser.parse_args()
    pictures, data = ROOT / "docs" / "pictures", options.data and options.data.resolve()
    for title, name, found in (
        ("A replica that answers", "request", request(data)),
        ("A training, driver and workers", "training", training(str(data or "synthetic:1200"))),
    ):
        tell(found, title)
        draw(found, title, pictures / f"{name}-flame.png")


if __name__ == "__main__":
    main()
