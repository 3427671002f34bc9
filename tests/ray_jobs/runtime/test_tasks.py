"""What a task takes along of a trace, and what it costs where there is none; test_training.py sees it on workers."""

import subprocess
import sys

import pytest
from opentelemetry import trace

from registry.process import traces
from registry.process.traces import PARENT_VARIABLE, continued, for_worker
from registry.settings import ROOT

PARENT = {PARENT_VARIABLE: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def test_where_no_traces_are_sent_a_task_takes_nothing_along_and_loads_nothing_for_them():
    assert for_worker() == {}
    program = """
import sys
from registry.process.traces import continued, for_worker
with continued(for_worker(), "a task"):
    pass
sys.exit(any(name.startswith(("opentelemetry.sdk", "grpc")) for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_a_collector_that_is_slow_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch):
    now, flushed = [100.0], list[float]()

    def flush() -> None:
        flushed.append(now[0])
        now[0] += 2.0  # as long as an exporter waits

    monkeypatch.setattr(traces.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(traces, "_start", lambda *_, **__: flush)
    monkeypatch.setattr(traces, "_rests_until", 0.0)
    for _ in range(5):
        with continued(PARENT, "a task"):
            now[0] += 20.0
    assert flushed == [120.0, 182.0]


def test_a_task_that_fails_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traces, "_start", lambda *_, **__: lambda: None)
    with pytest.raises(ValueError, match="as it is"), continued(PARENT, "a task"):
        raise ValueError("as it is")
    assert not trace.get_current_span().get_span_context().is_valid
