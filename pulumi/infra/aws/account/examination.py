"""What an account and the rules refuse a stack, before anything is created, and the policy of who deploys it."""

from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra import stack
from infra.aws.account import commands, doctor
from infra.aws.names import EDGE, ORIGIN
from infra.findings import Finding
from infra.settings import SettingError

if TYPE_CHECKING:  # the whole program, which is heavy
    from infra.aws.graph import Graph


def examine(name: str) -> list[Finding]:
    """What is wrong with the settings of a stack; else what the account refuses it, and what of it breaks a rule.

    A region that there is not would otherwise look like a fault of the credentials.
    """
    import boto3  # noqa: PLC0415  heavy, and nothing else here needs it

    from infra.aws import imagined  # noqa: PLC0415  heavy: the whole program

    sdk: Any = boto3  # its types know a service by the literal name alone

    def client(service: str, region: str) -> Any:
        return sdk.client(service, region_name=region)

    settings = stack.settings_of(name)
    try:
        graph = imagined.graph_of(name, settings)
    except SettingError as error:
        return [Finding(what=str(error), remedy="pulumi config set, as it says")]
    try:
        exported = commands.outputs(name)
    except stack.StackError:
        exported = {}  # it has not been up
    data = exported.get("data", "")
    found = [Finding(what=f"{one} is not set.", remedy=how) for one, how in commands.lacking(name, settings).items()]
    found += doctor.examine(name, settings, client, data=data)
    if "database" in exported:
        region = settings.get("aws:region", "")
        found += doctor.asked(
            "Whether the stack sleeps", lambda: doctor.asleep(name, exported, lambda service: client(service, region))
        )
    return found if any(one.stops for one in found) else [*found, *_as_declared(name, graph, client, data)]


def _as_declared(name: str, graph: "Graph", client: doctor.Clients, data: str) -> list[Finding]:
    """What only the whole graph tells: names that are taken, permissions that lack, and rules that break."""
    from infra.aws.account import deployer, leftovers, permits  # noqa: PLC0415  heavy: the whole program
    from infra.aws.rules.every import broken  # noqa: PLC0415

    remedy = "pulumi/infra/aws/rules has each rule; undo what you changed, or change the rule with its reason"
    found = [Finding(what=f"A rule breaks: {line}", remedy=remedy) for line in broken(graph)]
    caller = client("sts", graph.names.region).get_caller_identity()
    kinds = {one.kind for one in graph.resources}

    def regional(service: str) -> Any:
        return client(service, graph.names.region)

    made = _made(name)
    found += _another_edge(name, graph, made)
    if not data:
        found += doctor.asked(
            "Whether names are left over from an earlier stack",
            lambda: leftovers.leftovers(graph, regional, caller["Account"], made),
        )
    return found + doctor.asked(
        "Whether your credentials may do all that deploying takes",
        lambda: permits.permits(name, caller, deployer.statements(kinds, graph.names), regional("iam")),
    )


def _another_edge(name: str, graph: "Graph", made: Set[tuple[str, str]]) -> Iterator[Finding]:
    """Whether `edge` is another one than that of a stack that is up.

    AWS turns no load balancer inside out, gives its name to no second one, and changes no VPC origin that is used.
    """
    if ("lb.LoadBalancer", EDGE) not in made:
        return
    meant = {(one.kind, one.name) for one in graph.resources}
    people = {one for one in made if one[0] == "vpc.SecurityGroupIngressRule" and one[1].startswith(f"{EDGE}-")}
    origin = ("cloudfront.VpcOrigin", ORIGIN)
    if (origin in made and origin not in meant) or (origin in meant and (people - meant)):
        yield Finding(
            what=f"edge is {graph.settings.edge}, and {name} is up with another one.",
            remedy=f"pulumi destroy --stack {name} --target '**LoadBalancer::{EDGE}' --target-dependents, which takes "
            "the way in and the containers and no data; docs/aws.md says more",
        )


def _made(name: str) -> set[tuple[str, str]]:
    """Kind and name of what a stack has made; of one that was interrupted, no output says it."""
    from infra.aws.graph import kind_of  # noqa: PLC0415  heavy

    try:
        return {(kind_of(token), made) for token, made in stack.resources_of(name)}
    except stack.StackError:
        return set()  # there is no such stack yet


def policy(name: str) -> list[Path]:
    """Write the policies that somebody needs to deploy a stack, one a file; SettingError where a setting is wrong."""
    from infra.aws import imagined  # noqa: PLC0415  heavy: the whole program
    from infra.aws.account import deployer  # noqa: PLC0415  heavy: the whole program

    settings = stack.settings_of(name)
    kinds = {one.kind for one in imagined.graph_of(name, settings).resources}
    region = settings.get("aws:region") or imagined.REGION
    found = deployer.documents(deployer.statements(kinds, replace(commands.names_of(name), region=region)))
    folder = commands.FILES / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = [folder / f"policy-{number}.json" for number, _ in enumerate(found, start=1)]
    for file, text in zip(files, found, strict=True):
        file.write_text(text)
    return files
