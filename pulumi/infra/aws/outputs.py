"""What a stack on AWS says when it is up: how to reach it, how to try it, and every next command."""

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.lower import TRAINING, public_services
from infra.aws.names import Names
from infra.aws.parts import Compute, Edge, Network
from infra.aws.settings import AwsSettings
from infra.spec import Topology


def outputs(
    topology: Topology,
    names: Names,
    settings: AwsSettings,
    *,
    network: Network,
    edge: Edge,
    compute: Compute,
    notebook: aws.sagemaker.NotebookInstance,
    database: aws.rds.Instance,
) -> dict[str, Any]:
    """The outputs by name; none of them is a secret."""
    public = public_services(topology)
    urls = {name: pulumi.Output.concat(f"{settings.scheme}://", host) for name, host in edge.hosts.items()}
    hosts = " ".join(names.host(service) for service in public)
    authority = f".local/{names.stack}/authority.pem"  # `make token` writes it
    trusted, verified = (f"--cacert {authority} ", f"--verify {authority} ") if edge.certificate else ("", "")
    key = '-H "X-API-Key: $API_KEY" ' if settings.options.keys else ""
    balancer = edge.load_balancer.dns_name
    published = settings.hosted_zone or settings.by_cloudfront
    return {
        **urls,
        # Its home page shows nothing of the project.
        "mlflow": urls["mlflow"].apply(lambda url: f"{url}/#/experiments"),
        "loadBalancer": None if settings.by_cloudfront else balancer,  # inside the network nobody needs it
        # A load balancer's addresses change by and by; in a name server of yours, make the names aliases of it.
        "hosts": None if published else balancer.apply(lambda name: _hosts_line(name, hosts)),
        "certificate": edge.certificate,
        # `make token` first: it writes the authority that the others trust.
        "tests": [
            *(
                pulumi.Output.concat(f"curl -i {trusted}", urls[service.name], service.health.path)
                for service in public
                if service.health
            ),
            urls["ray-head"].apply(lambda url: f"curl -i {trusted}{url}/api/version  # 401: it asks for the token"),
            urls["webapp"].apply(lambda url: f"curl {trusted}{key}-F file=@x-ray.png {url}/predict"),
        ],
        "next": [
            f"make check STACK={names.stack}",
            f"pulumi config get mlflowAdminPassword --stack {names.stack}  # MLflow's password for `admin`",
            f"make upload STACK={names.stack} DATA=FOLDER",
            f'eval "$(make token STACK={names.stack})"',
            urls["ray-head"].apply(
                lambda url: f".venv/bin/ray job submit {verified}--address {url} -- python -m ray_jobs.train"
            ),
        ],
        "train": _run_task(names, network),
        "notebook": notebook.url.apply(lambda url: f"https://{url}"),
        **{bucket: f"s3://{names.bucket(bucket)}" for bucket in ("data", "artefacts", "state")},
        "cluster": names.of("cluster"),
        "database": database.identifier,  # what `make sleep` stops
        "egress": settings.egress,  # what `make stack` keeps of a stack that has been up
        # What `make check` compares with what runs.
        "deployed": {service: compute.task_definitions[service].arn for service in compute.services},
    }


def _hosts_line(balancer: str, hosts: str) -> str:
    """A command that gives this machine the names, in place of the line that it wrote before.

    Python asks for the address, because `dig` is not on every system. The file is read before it is written, and left
    as it is where there is no address.
    """
    address = f".venv/bin/python -c 'import socket; print(socket.gethostbyname(\"{balancer}\"))'"
    asked = f"address=$({address}) && rest=$(grep -vF '{hosts}' /etc/hosts)"
    return f"""{asked} && printf '%s\\n' "$rest" "$address {hosts}" | sudo tee /etc/hosts"""


def _run_task(names: Names, network: Network) -> pulumi.Output[str]:
    """The training as a task of its own, for those who have AWS's command and no Ray."""
    where = pulumi.Output.all(*(subnet.id for subnet in network.service_subnets), network.groups[TRAINING].id)
    address = "ENABLED" if network.public_addresses else "DISABLED"
    return where.apply(
        lambda ids: (
            f"aws ecs run-task --cluster {names.of('cluster')} --task-definition {names.of(TRAINING)} "
            f"--launch-type FARGATE --region {names.region} --network-configuration "
            f"'awsvpcConfiguration={{subnets=[{','.join(ids[:-1])}],securityGroups=[{ids[-1]}],assignPublicIp={address}}}'"
        )
    )
