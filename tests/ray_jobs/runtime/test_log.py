"""What a job writes while it works: text for people, or a log of which every line is JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

from registry.settings import ROOT


def first_use(tmp_path: Path, form: str) -> subprocess.CompletedProcess[str]:
    """A job that makes MLflow's database and finds nothing in Production."""
    variables = {
        **os.environ,
        "STATE_URI": str(tmp_path / "state"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "LOG_FORMAT": form,
    }
    command = [sys.executable, "-m", "ray_jobs.rollback"]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def test_libraries_add_nothing_to_what_a_first_use_says(tmp_path):
    done = first_use(tmp_path, "auto")
    assert done.returncode == 1
    assert done.stderr.startswith("ray_jobs.rollback stopped: ")
    assert len(done.stderr.splitlines()) == 1


def test_as_json_every_line_is_json(tmp_path):
    done = first_use(tmp_path, "json")
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["level"]) == (1, "ERROR")
    assert line["message"].startswith("ray_jobs.rollback stopped: ")


_FAILS = """
import logging, sys, threading, warnings
from registry.process.log_lines import formatter, take_the_log
handler = logging.StreamHandler()
handler.setFormatter(formatter("json"))
take_the_log(handler)
import mlflow, ray
from registry.process.log_lines import take_from_libraries
take_from_libraries()
warnings.warn("worn out")
for name in ("mlflow", "alembic.runtime.migration", "ray._private.worker", "urllib3"):
    logging.getLogger(name).info("news")
    logging.getLogger(name).warning("a warning")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise LookupError("nobody\\ncaught it")
"""


def test_warnings_libraries_threads_and_errors_that_nobody_caught_are_json_too():
    done = subprocess.run([sys.executable, "-c", _FAILS], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in lines] == [
        *("py.warnings", "mlflow", "alembic.runtime.migration", "ray._private.worker", "urllib3", "errors", "errors")
    ]
    assert "ZeroDivisionError" in lines[-2]["error"]
    assert "LookupError: nobody\ncaught it" in lines[-1]["error"]
