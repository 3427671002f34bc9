"""How much of AWS's quotas a stack takes, before anything is created: a new account has little."""

import math
from dataclasses import dataclass

from infra.aws.environment import Environment
from infra.aws.lower import NOTEBOOK, lower
from infra.aws.names import Names
from infra.options import Options
from infra.spec import Service, Topology
from infra.topology import topology

# The vCPUs that Fargate gives a new account at least, of each quota.
NEW_ACCOUNT_VCPUS = 5


@dataclass(frozen=True)
class Quota:
    """A quota of vCPUs on Fargate by its code; Service Quotas calls it "Fargate NAME vCPU resource count"."""

    name: str
    code: str


ON_DEMAND, SPOT = Quota("On-Demand", "L-3032A538"), Quota("Spot", "L-36FBB829")


# What the services of a stack on AWS are given, where its settings do not say otherwise.
DEPLOYED = Options(login=True, keys=True)


def lowered(environment: Environment, options: Options = DEPLOYED) -> Topology:
    """The topology as an environment has it on AWS, in no account yet."""
    names = Names(project="hm-mlflow", stack="aws", environment="", account="", region="")
    whole = topology(workers=environment.idle_workers, stack="aws", **vars(options))
    return lower(whole, names=names, replicas=environment.replicas, sizes=environment.sizes)


def most_vcpus(environment: Environment, quota: Quota, *, workers: int) -> float:
    """Most vCPUs of a quota at once: every worker, every page, an update of both, and the training task."""
    return sum(service.cpu * _most(service, environment, workers) for service in _running(environment, quota)) / 1024


def least_vcpus(environment: Environment, quota: Quota) -> float:
    """The vCPUs without which nothing can be trained: what always runs, one worker, and the training task."""
    return sum(service.cpu * max(1, service.replicas) for service in _running(environment, quota)) / 1024


def request_for(vcpus: float, quota: Quota, *, region: str = "") -> str:
    """The command that asks AWS for so many vCPUs, in the region of the person's own settings where none is named."""
    where = f"--region {region} " if region else ""
    return (
        f"aws service-quotas request-service-quota-increase {where}--service-code fargate "
        f"--quota-code {quota.code} --desired-value {math.ceil(vcpus)}"
    )


def _running(environment: Environment, quota: Quota) -> list[Service]:
    return [
        service
        for service in lowered(environment).services
        if service.name != NOTEBOOK and environment.on_spot(service) == (quota is SPOT)
    ]


def _most(service: Service, environment: Environment, workers: int) -> int:
    if not service.scaling:
        return service.replicas
    most = environment.most_replicas if service.follows("load") else workers
    return most * (2 if environment.spare else 1)
