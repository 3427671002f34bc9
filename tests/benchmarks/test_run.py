"""A whole run with parts that measure nothing: what is kept, what is said, and going on."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import benchmarks.__main__ as run
from benchmarks import serving
from benchmarks.load import Load
from benchmarks.processes import NotStartedError, begin, free_ports, stop, wait_for
from benchmarks.results import Measured, Results

ABOUT = {"commit": "1234567", "before": "7654321", "data": "generated", "date": "2026-01-02", "cores": 2}
ABOUT |= {"processor": "Some CPU", "memory_gib": 8, "python": "3.11.9"}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three parts, of which the second one fails as long as it is told to; the list has those that ran."""
    ran: list[str] = []

    def part(name: str) -> run.Part:
        def measure(given: object, scratch: Path) -> Measured:
            ran.append(name)
            if name == "two" and fails:
                raise fails.pop()
            return Measured(series={name: {"now": [1.0]}})

        return run.Part(series=(name,), minutes=1, measure=measure)

    fails: list[BaseException] = [KeyboardInterrupt(), RuntimeError("first line\nno port is free")]
    monkeypatch.setattr(run, "PARTS", {name: part(name) for name in ("one", "two", "three")})
    monkeypatch.setattr(run, "_LOOK_S", 0.0)
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)  # pytest's own process
    return ran


def test_a_part_that_fails_is_said_and_the_others_go_on(parts: list[str], tmp_path: Path):
    file, results = tmp_path / "results.json", Results(about=ABOUT)
    run.measured(None, results, [*run.PARTS], file, tmp_path)
    assert parts == ["one", "two", "three"]
    kept = Results.load(file)
    assert kept.series == {"one": {"now": [1.0]}, "three": {"now": [1.0]}}
    assert kept.missing == {"two": "RuntimeError: no port is free"}


def test_what_was_measured_before_an_interruption_is_kept_and_gone_on_from(
    parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    file = tmp_path / "results.json"
    monkeypatch.setattr(run, "MEASURED", file)
    monkeypatch.setattr(run, "about", lambda *_: ABOUT)
    monkeypatch.setattr(run, "prepared", lambda *_: None)
    run.measured(None, Results(about=ABOUT), ["two"], file, tmp_path)  # its first failure is used up
    parts.clear()
    file.unlink()
    assert called(monkeypatch) == 130
    assert "--resume" in capsys.readouterr().out
    assert Results.load(file).series == {"one": {"now": [1.0]}}
    assert called(monkeypatch, "--resume") == 1  # no claim is kept by what these parts measure
    assert parts == ["one", "two", "two", "three"]
    assert Results.load(file).series.keys() == {"one", "two", "three"}


def test_to_be_ended_is_an_interruption_in_each_part_whatever_an_earlier_one_left(
    parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[tuple] = []
    monkeypatch.setattr(run.signal, "signal", lambda *what: told.append(what))
    run.measured(None, Results(about=ABOUT), ["one", "three"], tmp_path / "results.json", tmp_path)
    assert told == [(run.signal.SIGTERM, run.signal.default_int_handler)] * 2


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    return run.main()


def test_a_run_of_another_commit_is_not_gone_on_with(tmp_path: Path):
    file = tmp_path / "results.json"
    with pytest.raises(SystemExit, match="begin without --resume"):
        run.begun(file, ABOUT)
    Results(about=ABOUT).save(file)
    assert run.begun(file, ABOUT | {"date": "2026-01-03"}).about == ABOUT
    with pytest.raises(SystemExit, match="another commit"):
        run.begun(file, ABOUT | {"commit": "0000000"})


def test_a_peer_that_does_not_answer_is_lost_and_ours_is_an_error(monkeypatch: pytest.MonkeyPatch):
    answers = {"http://good": {200: [0.1] * 8}, "http://bad": {500: [0.1]}}
    monkeypatch.setattr(serving, "requests_of", lambda *_: [])
    monkeypatch.setattr(
        serving, "closed", lambda url, *_, seconds, **__: Load(seconds=answers[url], elapsed=2.0 * seconds)
    )
    monkeypatch.setattr(serving, "SECONDS", 1.0)
    peers = {
        name: SimpleNamespace(url=url, processor_s=lambda: 0.0)
        for name, url in (("shipped", "http://good"), ("triton", "http://bad"))
    }
    lost: dict[str, str] = {}
    assert serving.throughput(peers, [], lost, 3) == {"shipped": [4.0, 4.0, 4.0]}
    assert lost == {"triton": "triton answered {500: 1}"}
    with pytest.raises(RuntimeError, match="shipped answered"):
        serving.throughput({"shipped": peers["triton"]}, [], {}, 3)


def test_a_server_that_ends_before_it_answers_is_told_with_its_last_line(tmp_path: Path):
    log = tmp_path / "log"
    process = begin([sys.executable, "-c", "print('no model'); raise SystemExit(3)"], tmp_path, {}, log)
    with pytest.raises(NotStartedError, match="ended with 3, and wrote last: no model"):
        wait_for(process, next(free_ports()), "/", log, seconds=30)
    stop(process)


def test_a_server_is_waited_for_and_ended(tmp_path: Path):
    log, port = tmp_path / "log", next(free_ports())
    process = begin([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], tmp_path, {}, log)
    wait_for(process, port, "/", log, seconds=30)
    with pytest.raises(NotStartedError, match="does not answer after 0 s"):
        wait_for(process, port, "/nowhere", log, seconds=0.3)
    stop(process)
    assert process.poll() is not None
