"""Lines of libraries among those of the log."""

import io
import json
import subprocess
import sys

import pytest

from registry.process.raw_lines import pass_on
from registry.settings import ROOT


def test_lines_of_json_pass_as_they_are_and_every_other_becomes_one():
    ours = [b'{"time": "2026-11-28T15:26:45.269+00:00", "level": "INFO", "logger": "serve", "message": "a"}\n']
    raw = [b"[2026-11-28 E 1 2] core_worker.cc:1: lost \xff\n", b"\n", b'{"half": \n', b"Fatal Python error: Aborted"]
    written = io.BytesIO()
    pass_on([*raw[:2], *ours, *raw[2:]], written)
    lines = written.getvalue().splitlines(keepends=True)
    assert lines[1:2] == ours
    parsed = [json.loads(line) for line in lines]
    assert [line["logger"] for line in parsed] == ["stderr", "serve", "stderr", "stderr"]
    assert parsed[0]["message"] == "[2026-11-28 E 1 2] core_worker.cc:1: lost \ufffd"
    assert parsed[-1]["message"] == "Fatal Python error: Aborted"


_WRITES_AND_FAILS = """
import atexit, os, sys
from registry.process.raw_lines import take_standard_error
atexit.register(take_standard_error())
os.write(2, b"Corrupt JPEG data: 7 extraneous bytes before marker 0xd9\\n")
print("of Python", file=sys.stderr)
{end}
"""


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("", "of Python"),
        ("sys.exit(3)", "of Python"),
        ("os.kill(os.getpid(), 9)", "of Python"),
        ("import ctypes; ctypes.string_at(0)", "Fatal Python error: Segmentation fault"),
    ],
)
def test_what_libraries_in_c_write_becomes_json_however_the_process_ends(end, last):
    command = [sys.executable, "-X", "faulthandler", "-c", _WRITES_AND_FAILS.format(end=end)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(end)
    messages = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert messages[0] == "Corrupt JPEG data: 7 extraneous bytes before marker 0xd9"
    assert last in messages
