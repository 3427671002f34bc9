"""The notebook in the Jupyter of a stack, run there by the kernel that JupyterLab would start."""

import json
import subprocess

from tests.e2e.containers.stack import run

# The training is a job that other tests run: the cells after it look at the newest version that is there.
_TRAINING = "ray_jobs.train"
_EXECUTE = f"""
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("/app/notebooks/train.ipynb", as_version=4)
notebook.cells = [cell for cell in notebook.cells if {_TRAINING!r} not in cell.source]
NotebookClient(notebook, timeout=300, resources={{"metadata": {{"path": "/app/notebooks"}}}}).execute()
nbformat.write(notebook, sys.stdout)
"""


def executed(container: str) -> list[str]:
    """What each cell of the notebook showed as text, but for the training; a cell that fails is told."""
    # By the entrypoint, so that it finds set what a kernel of JupyterLab finds set.
    command = ("docker", "exec", "--interactive", container, "entrypoint", "python", "-")
    done = subprocess.run(command, input=_EXECUTE, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    cells = [cell for cell in json.loads(done.stdout)["cells"] if cell["cell_type"] == "code"]
    return ["".join(map(_text, cell["outputs"])) for cell in cells]


def _text(output: dict) -> str:
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))


def token_of(container: str) -> str:
    """What JupyterLab asks a person for."""
    return run("docker", "exec", container, "cat", "/run/secrets/jupyter-token").stdout
