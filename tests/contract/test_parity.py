"""Every renderer says of every service what the topology says of it, and no part of what it says goes unread."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import pytest

from infra.inputs import Hidden
from infra.local.compose import compose
from infra.local.lower import lower
from infra.options import Options
from infra.spec import Service, Topology
from infra.topology import topology
from tests.contract import compose_facts, docker_facts, ecs_facts
from tests.contract.expected import EXPECTED, USED_UP
from tests.contract.mutants import with_one_part_less, with_one_value_changed
from tests.infra.support.recorded import record

FACTS: Mapping[str, Mapping[str, Callable[[Any, str], Any]]] = {
    "compose": compose_facts.FACTS,
    "docker": docker_facts.FACTS,
    "ecs": ecs_facts.FACTS,
}
# Facts that a platform has no words for, each with the reason.
NOT_SAID: Mapping[str, Mapping[str, str]] = {
    "compose": compose_facts.NOT_SAID,
    "docker": docker_facts.NOT_SAID,
    "ecs": ecs_facts.NOT_SAID,
}

OPTIONS = {"login": True, "approval": True, "abstain": True, "keys": True, "signing": True, "trusted": True}
COLLECTOR = "http://collector.example.org:4317"
OPTIONS |= {"dashboards": True, "traces": COLLECTOR, "records": False}
SETTINGS = {"approval": "required", "abstain": "near-threshold", "keys": "on", "login": "true", "jupyter": "true"}
SETTINGS |= {"tracesEndpoint": COLLECTOR, "predictionRecords": "off"}
KEYS = {"signingKey": "value of signing-key", "trustedKey": "value of trusted-key"}
WHOLE = topology(workers=2, **OPTIONS)
ON_AWS = topology(workers=2, **(OPTIONS | {"dashboards": False}))  # CloudWatch shows it there
LOWERED: Mapping[str, Topology] = {
    "compose": lower(WHOLE),
    "docker": lower(WHOLE),
    "ecs": ecs_facts.lowered(ON_AWS),
}
RENDER: Mapping[str, Callable[[], Any]] = {
    "compose": lambda: compose(WHOLE),
    "docker": lambda: docker_facts.plain(record(workers="2", dashboards="true", **SETTINGS, **KEYS)),
    "ecs": lambda: ecs_facts.rendered(ON_AWS),
}


@dataclass(frozen=True)
class Rendering:
    """What a renderer made of the whole topology, and how to read it."""

    renderer: str
    data: Any

    def says(self, service: str, data: Any = None) -> dict[str, Any]:
        """The facts of a service, read from the rendering, or from another one in its place."""
        return {fact: read(self.data if data is None else data, service) for fact, read in FACTS[self.renderer].items()}

    def should_say(self, service: str) -> dict[str, Any]:
        """The same facts from the topology."""
        whole = LOWERED[self.renderer]
        return {fact: EXPECTED[fact](whole, whole.service(service)) for fact in FACTS[self.renderer]}

    def unnoticed(self, spoilt: Iterator[tuple[str, Any]]) -> list[str]:
        """Where a rendering was spoilt without any service's facts being others than they should."""
        expected = {service.name: self.should_say(service.name) for service in LOWERED[self.renderer].services}

        def passes(data: Any, where: str = "") -> bool:
            likely_first = sorted(expected, key=lambda name: name not in where)
            return all(self._passes(name, data, expected[name]) for name in likely_first)

        assert passes(self.data), "it is wrong before it is spoilt"
        return [where for where, data in spoilt if passes(data, where)]

    def _passes(self, service: str, data: Any, expected: dict[str, Any]) -> bool:
        try:
            return self.says(service, data) == expected
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
            return False  # it cannot even be read


@functools.cache
def rendered(renderer: str) -> Rendering:
    return Rendering(renderer, RENDER[renderer]())


@pytest.fixture(params=FACTS)
def rendering(request: pytest.FixtureRequest) -> Rendering:
    return rendered(request.param)


@pytest.mark.parametrize(
    ("renderer", "service"), [(name, service.name) for name in FACTS for service in LOWERED[name].services]
)
def test_a_renderer_says_what_the_topology_says(renderer: str, service: str):
    assert rendered(renderer).says(service) == rendered(renderer).should_say(service)


def test_dropping_any_part_of_a_rendering_is_noticed(rendering: Rendering):
    assert rendering.unnoticed(with_one_part_less(rendering.data)) == []


def test_changing_any_value_of_a_rendering_is_noticed(rendering: Rendering):
    assert rendering.unnoticed(with_one_value_changed(rendering.data)) == []


def test_spoiling_leaves_out_every_part_and_changes_every_value_once():
    data = {"a": [1, {"b": "c", "d": Hidden("e")}], "f": True, "g": None, "h": []}
    assert dict(with_one_part_less(data)) == {
        "/a": {"f": True, "g": None, "h": []},
        "/a/0": data | {"a": [{"b": "c", "d": Hidden("e")}]},
        "/a/1": data | {"a": [1]},
        "/a/1/b": data | {"a": [1, {"d": Hidden("e")}]},
        "/a/1/d": data | {"a": [1, {"b": "c"}]},
        "/f": {"a": data["a"], "g": None, "h": []},
        "/g": {"a": data["a"], "f": True, "h": []},
    }
    assert dict(with_one_value_changed(data)) == {
        "/a/0": data | {"a": [2, {"b": "c", "d": Hidden("e")}]},
        "/a/1/b": data | {"a": [1, {"b": "cx", "d": Hidden("e")}]},
        "/a/1/d": data | {"a": [1, {"b": "c", "d": "e"}]},
        "/f": data | {"f": False},
    }


def test_the_whole_topology_has_every_option():
    assert OPTIONS.keys() == vars(Options()).keys()


@pytest.mark.parametrize("renderer", FACTS)
def test_a_fact_is_either_said_or_not_said_for_a_reason(renderer: str):
    assert FACTS[renderer].keys() | NOT_SAID[renderer].keys() == EXPECTED.keys()
    assert not FACTS[renderer].keys() & NOT_SAID[renderer].keys()


def test_every_field_of_a_service_is_a_fact_or_used_up_by_one():
    assert {field.name for field in fields(Service)} == (
        EXPECTED.keys() & {f.name for f in fields(Service)}
    ) | USED_UP.keys()
