"""Who reaches whom on AWS is what the topology says."""

from dataclasses import replace

from infra.aws.network.firewall import Opening, openings
from infra.topology import topology
from tests.contract.ecs_facts import lowered

WHOLE = lowered(topology(login=True))


def test_who_reaches_whom_is_what_the_topology_says():
    ways = {(one.to, one.source, one.first, one.last) for one in openings(WHOLE, endpoints=False)}
    assert ways == {
        ("database", "mlflow", 5432, 5432),
        *(("mlflow", source, 5000, 5000) for source in ("edge", "ray-head", "ray-worker", "webapp")),
        *(("ray-head", "model-training", port, port) for port in (6379, 8265)),
        ("ray-head", "edge", 8265, 8265),
        *(("webapp", source, 8080, 8080) for source in ("edge", "ray-head")),
        ("ray-head", "ray-worker", 1024, 65535),
        ("ray-worker", "ray-head", 1024, 65535),
        ("ray-worker", "ray-worker", 1024, 65535),
    }


def test_a_service_that_nobody_may_reach_is_closed():
    shut = replace(WHOLE, services=tuple(replace(one, reached_by=(), ports=()) for one in WHOLE.services))
    assert openings(shut, endpoints=False) == [
        Opening("database", "mlflow", 5432, 5432, "mlflow keeps its records there")
    ]
