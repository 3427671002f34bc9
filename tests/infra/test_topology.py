"""The names of stacks, and what of the topology may be interrupted."""

from infra.topology import on_aws, project_of, topology


def test_stacks_of_aws_are_told_by_their_names():
    assert [name for name in ("aws", "aws-try", "local", "awsome", "prod") if on_aws(name)] == ["aws", "aws-try"]
    assert [project_of(name) for name in ("aws", "local", "aws-try", "try")] == [
        "hm-mlflow",
        "hm-mlflow",
        "hm-mlflow-try",
        "hm-mlflow-try",
    ]


def test_only_the_page_and_the_workers_may_be_interrupted():
    services = topology(dashboards=True, retrain="weekly").services
    assert {service.name for service in services if service.interruptible} == {"webapp", "ray-worker"}
    assert [service.name for service in services if service.interruptible and not service.several] == []
