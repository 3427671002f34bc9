"""What must hold of roles, of secrets and of what tells one bill from another."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pulumi_aws as aws

from infra.aws.graph import Graph
from infra.aws.rules.common import containers, each_container, environment, expect
from infra.inputs import Hidden, hidden_in

# The actions that AWS lets nobody narrow to a resource.
_UNSCOPED = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "cloudwatch:GetMetricData"}
# Who takes the roles that are not of a task.
_TAKERS = {"notebook": "sagemaker", "sleeper": "lambda", "sleeper-schedule": "scheduler", "retraining": "scheduler"}
# Who may hand roles on, which ones, and to whom: a clock starts the training task.
_PASSING = {
    "retraining": {
        "Resource": ["arn of iam.Role model-training-execution", "arn of iam.Role model-training-task"],
        "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    }
}


def containers_are_given_secrets_by_reference_only(graph: Graph) -> Iterator[str]:
    """Containers are given secrets by reference only."""
    known = {f"arn of secretsmanager.Secret {name}" for name in graph.of("secretsmanager.Secret")}
    for name, container in each_container(graph):
        for secret in container.get("secrets", []):
            where, _, version = secret["valueFrom"].partition(":::")
            if where not in known or not version:  # of one version, so that another value is another task
                yield f"{name} has {secret['name']} from {secret['valueFrom']}"
        for variable, value in environment(container).items():
            if any(word in variable for word in ("PASSWORD", "TOKEN", "KEY", "SECRET")) and not (
                value.startswith(("/run/secrets/", "arn:")) or variable in ("RAY_AUTH_MODE",) or value == "off"
            ):
                yield f"{name} has {variable} in the open"
            if "value of" in value:
                yield f"{name} tells a secret in {variable}"


def secrets_are_encrypted_in_the_state(graph: Graph) -> Iterator[str]:
    """Secrets are encrypted in the state."""
    where = {"secretsmanager.SecretVersion": "secretString", "acm.Certificate": "privateKey"}
    for resource in graph.resources:
        field = where.get(resource.kind)
        signed = resource.inputs.get("validationMethod")  # by AWS itself, which keeps the key
        if field and not signed and not isinstance(resource.inputs.get(field), Hidden):
            yield f"{resource} is in the open"
        shown = json.dumps({key: value for key, value in resource.inputs.items() if key != field}, default=_repr_of)
        if "value of" in shown:
            yield f"{resource} tells a secret"
        if resource.kind.startswith("docker.") and not list(hidden_in(resource.inputs)):
            yield f"{resource} tells the registry's password"


def _repr_of(value: Any) -> str:
    return "a secret" if isinstance(value, Hidden) else repr(value)


def a_service_has_two_roles_of_its_own(graph: Graph) -> Iterator[str]:
    """A service has two roles of its own."""
    for name, task in graph.of("ecs.TaskDefinition").items():
        yield from expect(
            name,
            task,
            executionRoleArn=f"arn of iam.Role {name}-execution",
            taskRoleArn=f"arn of iam.Role {name}-task",
        )


def _statements(graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in graph.of("iam.RolePolicy").items():
        yield from ((name, statement) for statement in one["policy"]["Statement"])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def roles_allow_named_actions_on_named_resources(graph: Graph) -> Iterator[str]:
    """Roles allow named actions on named resources."""
    for name, statement in _statements(graph):
        actions = _listed(statement.get("Action", "*"))
        if statement["Effect"] != "Allow" or any("*" in action for action in actions):
            yield f"{name} allows {actions}"
        if any(resource == "*" for resource in _listed(statement["Resource"])) and not set(actions) <= _UNSCOPED:
            yield f"{name} allows {actions} on everything"
        passing = {key: statement.get(key) for key in ("Resource", "Condition")}
        if "iam:PassRole" in actions and passing != _PASSING.get(name):
            yield f"{name} passes roles: {passing}"
    for kind in ("iam.RolePolicyAttachment", "iam.Policy", "iam.User", "iam.AccessKey"):
        yield from (f"{kind} {name} is not one of ours" for name in graph.of(kind))


def roles_are_taken_by_one_service_of_this_account(graph: Graph) -> Iterator[str]:
    """Roles are taken by one service of this account."""
    for name, role in graph.of("iam.Role").items():
        service = f"{_TAKERS.get(name, 'ecs-tasks')}.amazonaws.com"
        [statement] = role["assumeRolePolicy"]["Statement"]
        yield from expect(name, statement, Principal={"Service": service}, Action="sts:AssumeRole")
        account = statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
        if account != graph.names.account:
            yield f"{name} is taken by {account}"
        # A role by which ECS or Lambda starts something has no source: AWS documents none, and it might never start.
        if ("ArnLike" in statement.get("Condition", {})) == (name.endswith("-execution") or name == "sleeper"):
            yield f"{name} is taken under {statement.get('Condition')}"
        if role.get("managedPolicyArns"):
            yield f"{name} has policies of AWS's"


def the_training_task_calls_nothing_of_aws_and_the_page_keeps_its_state_only(graph: Graph) -> Iterator[str]:
    """The training task calls nothing of aws and the page keeps its state only."""
    if "model-training-task" in graph.of("iam.RolePolicy"):
        yield "model-training-task may call AWS"
    state = f"arn:aws:s3:::{graph.of('s3.Bucket')['state']['bucket']}"
    for _, statement in (one for one in _statements(graph) if one[0] == "webapp-task"):
        for resource in _listed(statement["Resource"]):
            if resource not in (state, f"{state}/*"):
                yield f"webapp-task may reach {resource}"


def jobs_read_the_data_and_write_their_state_only(graph: Graph) -> Iterator[str]:
    """Jobs read the data and write their state only."""
    for name in ("ray-head-task", "ray-worker-task"):
        for _, statement in (one for one in _statements(graph) if one[0] == name):
            stored = [resource for resource in _listed(statement["Resource"]) if resource.startswith("arn:aws:s3:::")]
            buckets = {resource.split(":::")[1].split("/")[0] for resource in stored}
            writes = any(
                action.startswith(("s3:Put", "s3:Delete", "s3:Abort")) for action in _listed(statement["Action"])
            )
            allowed = {
                graph.of("s3.Bucket")[bucket]["bucket"] for bucket in (("state",) if writes else ("data", "state"))
            }
            if not buckets <= allowed:
                yield f"{name} may do {statement['Action']} in {buckets}"


def no_worker_is_stopped_while_there_is_work(graph: Graph) -> Iterator[str]:
    """No worker is stopped while there is work."""
    beside = containers(graph)["ray-worker"].get("demand", {})
    if beside.get("command", [])[-1:] != ["--protect"] or beside.get("essential"):
        yield f"beside a worker runs {beside.get('command')}"
    wanted = {"ecs:GetTaskProtection", "ecs:UpdateTaskProtection"}
    own = [graph.names.arn("ecs", f"task/{graph.names.of('cluster')}/*")]
    for name, statement in _statements(graph):
        if protects := wanted & set(_listed(statement["Action"])):
            wanted -= protects
            if name != "ray-worker-task" or _listed(statement["Resource"]) != own:
                yield f"{name} may protect {statement['Resource']}"
    if wanted:
        yield f"no worker may do {sorted(wanted)}"


def a_role_that_starts_a_service_reads_its_secrets_alone(graph: Graph) -> Iterator[str]:
    """A role that starts a service reads its secrets alone."""
    for task, inside in containers(graph).items():
        wanted = {
            secret["valueFrom"].partition(":::")[0] for one in inside.values() for secret in one.get("secrets", [])
        }
        readable = {
            resource
            for name, statement in _statements(graph)
            if name == f"{task}-execution" and "secretsmanager:GetSecretValue" in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
        }
        if wanted != readable:
            yield f"{task} needs {wanted} and may read {readable}"


def everything_that_can_carry_tags_does(graph: Graph) -> Iterator[str]:
    """Everything that can carry tags does."""
    for resource in graph.resources:
        module, name = resource.kind.split(".")
        kind = getattr(getattr(aws, module, None), name, None)
        if kind is None or "tags" not in inspect.signature(kind._internal_init).parameters:
            continue
        tags = resource.inputs.get("tags", {})
        wanted = {key: value for key, value in graph.names.tags("").items() if key != "Name"}
        if not wanted.items() <= tags.items() or not tags.get("Name", "").startswith(graph.names.of("")):
            yield f"{resource} has tags {tags}"


RULES = (
    no_worker_is_stopped_while_there_is_work,
    containers_are_given_secrets_by_reference_only,
    secrets_are_encrypted_in_the_state,
    a_service_has_two_roles_of_its_own,
    roles_allow_named_actions_on_named_resources,
    roles_are_taken_by_one_service_of_this_account,
    the_training_task_calls_nothing_of_aws_and_the_page_keeps_its_state_only,
    jobs_read_the_data_and_write_their_state_only,
    a_role_that_starts_a_service_reads_its_secrets_alone,
    everything_that_can_carry_tags_does,
)
