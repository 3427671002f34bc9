"""What make does with a stack on AWS beside Pulumi itself: prepare it, hand out its token, check what runs."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from infra import stack
from infra.aws import sleep
from infra.aws.entrance import read_domain
from infra.aws.environment import ENVIRONMENTS
from infra.aws.lower import NOTEBOOK, hosts, lower
from infra.aws.names import DATABASE, Names
from infra.aws.network import certificate
from infra.aws.watch.alarms import alarm_names
from infra.secrets import first_key
from infra.settings import ROOT, one_of
from infra.spec import Topology
from infra.topology import project_of, topology

# Files that people's programs need, of each stack: its token, and the authority of its certificate.
FILES = ROOT / ".local"
AUTHORITY, TOKEN = "authority.pem", "ray-token"
API_KEY = "API_KEY"  # the variable in which `make token` shows a key to the page
_HAVE_TO_BE_SET = {
    "aws:region": "eu-west-1",
    "allowedCidrs": "--path 'allowedCidrs[0]' 203.0.113.7/32",
    "alertEmail": "team@example.com",
}


def prepare(name: str) -> tuple[list[str], list[str]]:
    """Make secrets and certificate of a stack; gives what was made, and by example what has yet to be set."""
    lowered, names = with_every_secret(name), names_of(name)
    made = stack.prepare(name, lowered.secrets)
    if _egress_of_before(name):
        stack.run_pulumi("config", "set", "egress", "--stack", name, "nat")
    public = hosts(lowered, names)
    there = stack.read_setting("tlsCertificate", name)
    if _own_authority(name) and (there is None or certificate.is_due(there, names.domain, public)):
        new = certificate.make(names.domain, public)
        stack.run_pulumi("config", "set", "--secret", "tlsKey", "--stack", name, text=new.key)
        stack.run_pulumi("config", "set", "tlsCertificate", "--stack", name, text=new.certificate)
        stack.run_pulumi("config", "set", "tlsAuthority", "--stack", name, text=new.authority)
        made.append("certificate")
    settings = {setting: stack.read_setting(setting, name) for setting in _HAVE_TO_BE_SET}
    return made, list(lacking(name, settings).values())


def lacking(name: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings that have to be made and are not, each with an example of the command that makes it."""
    return {
        setting: f"pulumi config set --stack {name} {example if example.startswith('--') else f'{setting} {example}'}"
        for setting, example in _HAVE_TO_BE_SET.items()
        if settings.get(setting) in (None, "", "[]", [])
    }


def _egress_of_before(name: str) -> bool:
    """Whether a stack is up from before dev did without a NAT gateway, on which its notebook relies."""
    return stack.read_setting("egress", name) in (None, "") and "egress" not in (outputs(name) or {"egress": ""})


def write_files(name: str) -> dict[str, str]:
    """Write the files that people's programs need; gives the variables that name them."""
    folder = FILES / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = {"rayToken": TOKEN} | ({"tlsAuthority": AUTHORITY} if _own_authority(name) else {})
    for setting, file in wanted.items():
        text = stack.read_setting(setting, name)
        if text is None:
            raise stack.StackError(f"{setting} is not set in {name}; `make stack STACK={name}` makes it.")
        with os.fdopen(os.open(folder / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.write(text)
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / TOKEN)}
    keys = stack.read_setting("apiKeys", name) if stack.read_setting("keys", name) != "off" else None
    return variables | ({API_KEY: first_key(keys)} if keys else {})


def _own_authority(name: str) -> bool:
    """Whether the certificate is one that `make stack` makes: no other is given or needed, nor a zone to get one by."""
    return stack.read_setting("edge", name) != "cloudfront" and not any(
        stack.read_setting(setting, name) for setting in ("certificateArn", "hostedZoneId")
    )


def outputs(name: str) -> dict[str, Any]:
    """The outputs of a stack that is up."""
    return dict(json.loads(stack.run_pulumi("stack", "output", "--json", "--stack", name).stdout))


def _of_one_that_is_up(name: str) -> dict[str, Any]:
    """The outputs of a stack; StackError where it has none."""
    exported = outputs(name)
    if "deployed" not in exported:
        raise stack.StackError(f"{name} is not up: make up STACK={name}")
    return exported


@contextmanager
def answered(name: str) -> Iterator[None]:
    """Where AWS does not answer a command about a stack, or refuses it, a StackError says so."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  heavy

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise stack.StackError(
            f"AWS did not do it: {error}\nWhat is wrong with credentials or region, this says: make doctor STACK={name}"
        ) from None


def upload_target(name: str) -> tuple[str, dict[str, str]]:
    """Where a dataset goes, and the variables that lead there; the credentials are those of whoever types it."""
    return _of_one_that_is_up(name)["data"], {"AWS_DEFAULT_REGION": stack.read_setting("aws:region", name) or ""}


def check(name: str) -> list[str]:
    """Whether AWS runs what the stack says; gives a line for each service that runs something else."""
    deployed, described = _described(name)
    return differences(deployed, described)


def tidy(name: str) -> list[str]:
    """Remove what AWS itself writes after a stack has gone, the log groups of its database and its cluster.

    Gives their names. Of a stack that is up nothing is removed.
    """
    if outputs(name) or not stack.read_setting("aws:region", name):
        return []  # without a region it has never been up
    names = names_of(name)
    logs = regional(name)("logs")
    removed = []
    for begin in (f"/aws/rds/instance/{names.of(DATABASE)}-", f"/aws/ecs/containerinsights/{names.of('cluster')}/"):
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=begin):
            for group in page["logGroups"]:
                logs.delete_log_group(logGroupName=group["logGroupName"])
                removed.append(group["logGroupName"])
    return removed


def stoppable(name: str) -> sleep.Stack:
    """What of a stack `make sleep` stops; StackError where it is not up, SettingError where `environment` is none."""
    exported = outputs(name)
    if "database" not in exported:
        raise stack.StackError(
            f"{name} is not up, or was last brought up before it could be put to sleep: make up STACK={name}"
        )
    chosen = one_of("environment", stack.settings_of(name)["environment"], tuple(ENVIRONMENTS))
    environment, names = ENVIRONMENTS[chosen], names_of(name)
    whole = lower(
        topology(workers=environment.idle_workers, login=True, stack=name), names=names, replicas=environment.replicas
    )
    services = [one for one in whole.in_order() if one.name != NOTEBOOK and not one.once]
    return sleep.Stack(
        cluster=exported["cluster"],
        services={names.of(service.name): service.replicas for service in services},
        scaled=[names.of(service.name) for service in services if service.scaling],
        database=exported["database"],
        alarms=[names.of(alarm) for alarm in alarm_names(whole)],
    )


def regional(name: str) -> sleep.Clients:
    """Clients of services in a stack's region."""
    import boto3  # noqa: PLC0415  heavy, and nothing else here needs it

    sdk: Any = boto3
    region = stack.read_setting("aws:region", name)
    return lambda service: sdk.client(service, region_name=region)


def log_groups(name: str) -> dict[str, str]:
    """The log group of each service of a stack, and of the training task, whether they are there yet or not."""
    names = names_of(name)
    services = (service.name for service in with_every_secret(name).services if service.name != NOTEBOOK)
    return {service: names.log_group(service) for service in services}


def has_logs(name: str, group: str) -> bool:
    """Whether a log group is there. Of a first `make up` that did not end, no output says it."""
    found = regional(name)("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    return any(one["logGroupName"] == group for one in found)


def status(name: str) -> list[str]:
    """A line for each service, with how many of its containers run."""
    _, described = _described(name)
    return [
        f"{service['serviceName']:24} {service['runningCount']} of {service['desiredCount']} running"
        for service in described
    ]


def _described(name: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The task definition that each service of a stack was given, and what ECS says of the services."""
    exported = _of_one_that_is_up(name)
    deployed = {names_of(name).of(service): arn for service, arn in exported["deployed"].items()}
    described = regional(name)("ecs").describe_services(cluster=exported["cluster"], services=list(deployed))
    return deployed, described["services"]


def differences(deployed: Mapping[str, str], described: list[dict[str, Any]]) -> list[str]:
    """A line for each service that does not run, completely and alone, the task definition that was meant for it."""
    found = {service["serviceName"]: service for service in described if service.get("status") == "ACTIVE"}
    wrong = []
    for name, meant in deployed.items():
        if name not in found:
            wrong.append(f"{name} is not there.")
            continue
        service, others = found[name], [one for one in found[name]["deployments"] if one["status"] != "PRIMARY"]
        if service["taskDefinition"] != meant:
            wrong.append(
                f"{name} runs {service['taskDefinition']}, not {meant}: the new one did not get healthy and was rolled "
                f"back. Its log tells why: aws logs tail /ecs/{name} --since 1h"
            )
        elif service["runningCount"] != service["desiredCount"] or others:
            wrong.append(
                f"{name} has {service['runningCount']} of {service['desiredCount']} containers, with "
                f"{len(others)} older deployments still there; see again in a minute."
            )
    return wrong


def rotate_database_password(name: str) -> None:
    """Let RDS, which owns the password, make another one now; StackError where the stack is not up."""
    there = stoppable(name)
    regional(name)("rds").modify_db_instance(
        DBInstanceIdentifier=there.database,
        ManageMasterUserPassword=True,
        RotateMasterUserPassword=True,
        ApplyImmediately=True,
    )


def forget_certificate(name: str) -> None:
    """Let the next `make stack` make another certificate; StackError where it makes none."""
    if not _own_authority(name):
        raise stack.StackError(f"The certificate of {name} is not one that `make stack` makes; AWS has it.")
    stack.run_pulumi("config", "rm", "tlsCertificate", "--stack", name)


def with_every_secret(name: str) -> Topology:
    """The topology of a stack with every secret that `make stack` makes, whatever the settings say today."""
    return lower(topology(login=True, keys=True, stack=name), names=names_of(name), replicas=1)


def names_of(name: str) -> Names:
    """The names of a stack, as far as they need no account."""
    own_domain = read_domain(stack.read_setting("domain", name) or "")
    return Names(project=project_of(name), stack=name, environment="", account="", region="", own_domain=own_domain)
