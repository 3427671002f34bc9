"""Virtual environments of their own for the servers that are not installed with the project.

Each has the other server's packages first, and the project's behind them: so the same versions compute the model, but
for NumPy under Triton, which wants an older one. They are made once, in `.local/benchmarks`.
"""

import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from registry.settings import LOCAL


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is installed, and what the server's process needs to find."""

    packages: tuple[str, ...]
    libpython: bool = False


ENVIRONMENTS = {
    "triton": Environment(packages=("nvidia-pytriton==0.7.0", "numpy==1.26.4"), libpython=True),
    "litserve": Environment(packages=("litserve==0.2.19",)),
    "bentoml": Environment(packages=("bentoml==1.4.40",)),
}


class NotInstalledError(Exception):
    """What could not be installed; the message says why."""


def python_of(name: str) -> Path:
    """The Python of an environment, which is made where it is not there yet; raises NotInstalledError."""
    folder = LOCAL / "benchmarks" / name
    python, done = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(ENVIRONMENTS[name].packages)
    if done.is_file() and done.read_text() == wanted:
        return python
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    _run([uv, "pip", "install", "--quiet", "--python", str(python), *ENVIRONMENTS[name].packages])
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done.write_text(wanted)
    return python


def installed() -> tuple[dict[str, Path], dict[str, str]]:
    """The Python of every environment, and of those that cannot be made, why."""
    pythons, missing = dict[str, Path](), dict[str, str]()
    for name in ENVIRONMENTS:
        try:
            pythons[name] = python_of(name)
        except NotInstalledError as error:
            missing[name] = f"it cannot be installed: {error}"
    return pythons, missing


def variables_of(name: str) -> dict[str, str]:
    """What the server's process needs in its environment besides."""
    return {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))} if ENVIRONMENTS[name].libpython else {}


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except OSError as error:
        raise NotInstalledError(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise NotInstalledError(" ".join(error.stderr.split())[-300:]) from error
