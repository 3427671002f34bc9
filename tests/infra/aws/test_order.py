"""The AWS program follows `after`, in whatever order the topology is written, and lowers it once."""

from dataclasses import replace

import pulumi
import pytest

from infra.aws import backend
from infra.aws.settings import read_aws_settings
from infra.topology import topology
from tests.infra.support.graph import configure


def test_services_are_made_behind_those_they_wait_for_though_written_before_them(monkeypatch: pytest.MonkeyPatch):
    lowered = []
    monkeypatch.setattr(
        backend, "lower", lambda *given, _lower=backend.lower, **more: lowered.append(1) or _lower(*given, **more)
    )
    monitor = configure()
    written = topology(workers=0, login=True, stack="aws")
    backwards = replace(written, services=written.services[::-1])
    assert [one.name for one in backwards.services].index("webapp") < [one.name for one in backwards.services].index(
        "mlflow"
    )

    pulumi.runtime.test(lambda: backend.build(backwards, read_aws_settings()) and None)()

    needs = {one.name: one.needs for one in monitor.recorded if one.kind == "ecs.Service"}
    assert "ecs.Service mlflow" in needs["webapp"]
    assert "ecs.Service ray-head" in needs["ray-worker"]
    assert lowered == [1]
