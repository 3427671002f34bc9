"""How much of AWS's quotas a stack takes, before anything is created: a new account has little."""

from infra.aws.environment import Environment
from infra.aws.lower import NOTEBOOK
from infra.spec import Service, Topology

# The vCPUs that Fargate gives a new account at least; Service Quotas calls it "Fargate On-Demand vCPU resource count".
NEW_ACCOUNT_VCPUS = 5
VCPU_QUOTA = "L-3032A538"


def vcpus(topology: Topology, environment: Environment, *, workers: int) -> float:
    """Most vCPUs at once of a lowered topology: every worker, every page, an update of both, and the training task."""
    running = (service for service in topology.services if service.name != NOTEBOOK)
    return sum(service.cpu * _most(service, environment, workers) for service in running) / 1024


def _most(service: Service, environment: Environment, workers: int) -> int:
    if not service.scaling:
        return service.replicas
    most = environment.most_replicas if service.scaling.follows == "load" else workers
    return most * (2 if environment.spare else 1)
