"""Log lines: their form, and their way from replicas to the one stream of whoever started them."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from registry.process.log_lines import JsonLines, TextLines
from registry.settings import ROOT
from serve.lifecycle.log_collector import LogCollector
from serve.logs import END_OF_RECORD, LogSender
from tests.serve.support.waiting import until


def test_an_error_is_one_json_line_with_its_trace_and_a_text_line_shows_the_fields() -> None:
    record = logging.LogRecord("serve.x", logging.ERROR, "x.py", 1, "broke %s", ("it",), None)
    record.fields = {"status": 500}
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JsonLines().format(record)
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["level"], parsed["message"], parsed["status"]) == ("ERROR", "broke it", 500)
    assert "ValueError: why" in parsed["error"]
    record.exc_info = None
    assert TextLines().format(record).endswith("ERROR serve.x: broke it status=500")


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("serve.x", level, "x.py", 1, message, (), None)


def sender(path: Path, **options: int) -> LogSender:
    handler = LogSender(path, **options)
    handler.setFormatter(JsonLines())
    return handler


def test_lines_reach_the_collector_whole_and_in_order_however_long_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = sender(tmp_path / "log")
    handler.handle(record("before there is a collector"))
    collector = LogCollector(tmp_path / "log")
    messages = ["short", "x" * 3_000, "y" * 300_000, "z" * 5_000_000, "last"]
    for message in messages:
        handler.handle(record(message, logging.WARNING))
    handler.close()
    collector.stop()
    collector.stop()
    heard = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert heard == ["before there is a collector", *messages]


def test_a_line_that_is_being_sent_while_the_sender_closes_arrives_whole(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "log"))
        listening.listen()
        handler = sender(tmp_path / "log")
        handler.handle(record("x" * 5_000_000, logging.WARNING))  # more than a socket takes before somebody reads
        connection, _ = listening.accept()
        closing = threading.Thread(target=handler.close)
        closing.start()
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        closing.join()
        connection.close()
    assert json.loads(received.removesuffix(END_OF_RECORD))["message"] == "x" * 5_000_000


def test_a_long_trace_is_heard_to_its_last_line_and_in_text_stays_in_one_piece(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collector = LogCollector(tmp_path / "log")
    senders = [LogSender(tmp_path / "log") for _ in range(2)]

    def fail(depth: int) -> None:
        if not depth:
            raise ValueError("why " + "x" * 4_000)
        fail(depth - 1)

    for number, handler in enumerate(senders):
        handler.setFormatter(TextLines())
        failed = record(f"failed {number}", logging.ERROR)
        try:
            fail(100)
        except ValueError:
            failed.exc_info = sys.exc_info()
        handler.handle(failed)
    for handler in senders:
        handler.close()
    collector.stop()
    text = capsys.readouterr().err
    first, second = sorted(part for part in text.split("\n") if "ERROR serve.x: failed" in part)
    assert first.endswith("failed 0")
    assert second.endswith("failed 1")
    traces = text.split("ERROR serve.x: failed")[1:]
    assert len(traces) == 2
    for trace in traces:
        assert "ValueError: why " + "x" * 4_000 in trace


def test_a_server_that_is_away_is_no_line_for_each_time_that_it_is_asked() -> None:
    script = """
import socket, urllib3
from serve.logs import set_up
set_up("json")
with socket.socket() as nobody:
    nobody.bind(("127.0.0.1", 0))
    try:
        urllib3.PoolManager().request("GET", f"http://127.0.0.1:{nobody.getsockname()[1]}/", retries=2)
    except urllib3.exceptions.MaxRetryError:
        print("away")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("away\n", "")


def test_lines_beyond_what_may_wait_are_counted_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = sender(tmp_path / "log", most_waiting=10)
    for number in range(25):
        handler.handle(record(f"line {number}"))
    collector = LogCollector(tmp_path / "log")
    handler.close()
    collector.stop()
    heard = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert "15 lines of this log were lost" in heard[0]
    assert heard[1:] == [f"line {number}" for number in range(15, 25)]


_KILLED = """
import logging, os, signal, sys
from pathlib import Path
from serve.logs import set_up
set_up("json", Path(sys.argv[1]))
logging.getLogger("serve").error("x" * 100_000)
print("told", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_error_is_heard_of_a_process_that_is_killed_later_and_its_end_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collector = LogCollector(tmp_path / "log")
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "log")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
    )
    assert process.stdout
    assert process.stdout.readline() == "told\n"
    heard: list[str] = []

    def arrived() -> bool:
        heard.append(capsys.readouterr().err)
        return "\n" in "".join(heard)

    until(arrived)
    process.communicate("\n", timeout=30)
    collector.stop()
    assert json.loads("".join(heard))["message"] == "x" * 100_000
