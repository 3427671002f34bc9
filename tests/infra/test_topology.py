"""The names of stacks."""

from infra.topology import on_aws, project_of


def test_stacks_of_aws_are_told_by_their_names():
    assert [name for name in ("aws", "aws-try", "local", "awsome", "prod") if on_aws(name)] == ["aws", "aws-try"]
    assert [project_of(name) for name in ("aws", "local", "aws-try", "try")] == [
        "hm-mlflow",
        "hm-mlflow",
        "hm-mlflow-try",
        "hm-mlflow-try",
    ]
