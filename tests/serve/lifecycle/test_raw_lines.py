"""Lines of libraries among those of the log."""

import io
import json

from serve.lifecycle.raw_lines import pass_on


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
