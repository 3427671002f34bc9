"""What a stack on AWS costs a month, before anything is created: `python -m infra.cost STACK`, or `make cost`.

Prices are AWS's public on-demand prices of one region, in US dollars without tax; they change, and elsewhere they are
others, mostly higher. A test holds what is counted here against what the program declares.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.aws.environment import ENVIRONMENTS, Environment
from infra.aws.lower import NOTEBOOK, public_services
from infra.aws.quota import NEW_ACCOUNT_VCPUS, ON_DEMAND, SPOT, lowered, most_vcpus, request_for
from infra.aws.watch.alarms import Watched, alarms, heads
from infra.spec import Service, Topology
from infra.stack import settings_of

HOURS = 730  # of a month
ZONES = 2
INTERFACE_ENDPOINTS = 7

PRICES_OF = (
    "March 2026, us-east-1, aws.amazon.com/{fargate,rds/postgresql,elasticloadbalancing,vpc,cloudwatch,…}/pricing"
)
PRICES: Mapping[str, float] = {
    "fargate vCPU hour": 0.04048,
    "fargate GiB hour": 0.004445,
    "spot, of that": 0.5,  # it moves, and is 30 to 50 %
    "db.t4g.micro hour": 0.016,
    "db.t4g.small hour": 0.032,
    "database gp3 GiB": 0.115,
    "balancer hour": 0.0225,
    "balancer capacity unit hour": 0.008,
    "public address hour": 0.005,
    "nat hour": 0.045,
    "nat GB": 0.045,
    "endpoint hour": 0.01,
    "ml.t3.medium hour": 0.05,
    "notebook GiB": 0.14,
    "secret": 0.40,
    "key": 1.00,
    "zone": 0.50,
    "alarm": 0.10,
    "metric": 0.30,
    "log GB": 0.50,
    "s3 GiB": 0.023,
    "ecr GiB": 0.10,
}


@dataclass(frozen=True, kw_only=True)
class Use:
    """What nobody can know in advance, as a small team might use it in a month."""

    capacity_units: float = 1  # of the load balancer, on average: some requests a second
    nat_gb: float = 20
    notebook_hours: float = 40
    worker_hours: float = 20  # of one Ray worker that runs because there is work
    metrics: float = 100  # of Container Insights: roughly 25 a service
    log_gb: float = 5
    s3_gib: float = 20
    ecr_gib: float = 6


# While a stack sleeps: what is stored stays, and nobody uses it.
ASLEEP = Use(capacity_units=0, nat_gb=0, notebook_hours=0, worker_hours=0, metrics=0, log_gb=0)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the estimate; `how` says how the amount came about."""

    what: str
    how: str
    dollars: float


def estimate(environment: Environment, *, egress: str = "", use: Use = Use()) -> list[Line]:
    """Every row, the dearest first; `egress` is the environment's own where it is empty."""
    ways = _network(environment, egress or environment.egress, use)
    found = [*_services(environment, use), *_stores(environment, use), *ways, *_rest(environment, use)]
    return sorted(found, key=lambda line: -line.dollars)


def asleep(environment: Environment, *, egress: str = "") -> float:
    """Dollars a month of a stack that `make sleep` has stopped: no containers, and of the database its disk."""
    hours = {"database", "public addresses"}
    left = [one for one in estimate(environment, egress=egress, use=ASLEEP) if "Fargate" not in one.what]
    disk = (2 if environment.standby else 1) * environment.database_gib * PRICES["database gp3 GiB"]
    return disk + sum(one.dollars for one in left if one.what not in hours)


def hourly(service: Service, environment: Environment) -> float:
    """One container of a service for an hour."""
    vcpus, gib = service.cpu / 1024, service.memory / 1024
    full = vcpus * PRICES["fargate vCPU hour"] + gib * PRICES["fargate GiB hour"]
    return full * (PRICES["spot, of that"] if service.name in environment.spot else 1)


def _services(environment: Environment, use: Use) -> Iterator[Line]:
    for service in lowered(environment).services:
        if service.name == NOTEBOOK or service.once:
            continue
        spot = ", Spot" if service.name in environment.spot else ""
        size = f"{service.cpu / 1024:g} vCPU, {service.memory / 1024:g} GiB{spot}"
        an_hour = hourly(service, environment)
        if service.replicas:
            yield Line(
                what=f"{service.name} on Fargate",
                how=f"{service.replicas} x {size}, all month",
                dollars=service.replicas * an_hour * HOURS,
            )
        if service.follows("work"):
            yield Line(
                what=f"{service.name} on Fargate, while it works",
                how=f"{use.worker_hours:g} hours of {size}, ${an_hour:.3f} each",
                dollars=use.worker_hours * an_hour,
            )


def _stores(environment: Environment, use: Use) -> Iterator[Line]:
    copies = 2 if environment.standby else 1
    standby = " and a standby" if environment.standby else ""
    machine = PRICES[f"{environment.database_class} hour"] * HOURS
    disk = environment.database_gib * PRICES["database gp3 GiB"]
    yield Line(
        what="database",
        how=f"{environment.database_class}, {environment.database_gib} GiB{standby}",
        dollars=copies * (machine + disk),
    )
    yield Line(what="buckets", how=f"{use.s3_gib:g} GiB", dollars=use.s3_gib * PRICES["s3 GiB"])
    yield Line(what="images", how=f"{use.ecr_gib:g} GiB", dollars=use.ecr_gib * PRICES["ecr GiB"])
    secrets = len(lowered(environment).secrets) + 1  # RDS has its own
    yield Line(what="secrets", how=f"{secrets}", dollars=secrets * PRICES["secret"])
    yield Line(what="key", how="1", dollars=PRICES["key"])


def _network(environment: Environment, egress: str, use: Use) -> Iterator[Line]:
    address = PRICES["public address hour"] * HOURS
    units = use.capacity_units * PRICES["balancer capacity unit hour"] * HOURS
    yield Line(
        what="load balancer",
        how=f"1, {use.capacity_units:g} capacity unit, {ZONES} addresses",
        dollars=PRICES["balancer hour"] * HOURS + units + ZONES * address,
    )
    if egress == "nat":
        yield Line(
            what="NAT gateway",
            how=f"1 and its address, {use.nat_gb:g} GB",
            dollars=PRICES["nat hour"] * HOURS + address + use.nat_gb * PRICES["nat GB"],
        )
    elif egress == "public":
        running = sum(one.replicas for one in lowered(environment).services if one.name != NOTEBOOK and not one.once)
        yield Line(what="public addresses", how=f"{running}, one a container", dollars=running * address)
    else:
        yield Line(
            what="interface endpoints",
            how=f"{INTERFACE_ENDPOINTS} in {ZONES} zones",
            dollars=INTERFACE_ENDPOINTS * ZONES * PRICES["endpoint hour"] * HOURS,
        )
    yield Line(what="private zone", how="1", dollars=PRICES["zone"])


def _rest(environment: Environment, use: Use) -> Iterator[Line]:
    yield Line(
        what="notebook",
        how=f"{environment.notebook_type}, {use.notebook_hours:g} hours, {environment.notebook_gib} GiB",
        dollars=use.notebook_hours * PRICES[f"{environment.notebook_type} hour"]
        + environment.notebook_gib * PRICES["notebook GiB"],
    )
    if environment.insights:
        metrics = use.metrics * PRICES["metric"]
        yield Line(what="Container Insights", how=f"about {use.metrics:g} metrics", dollars=metrics)
    yield Line(what="logs", how=f"{use.log_gb:g} GB", dollars=use.log_gb * PRICES["log GB"])
    count = _alarms(lowered(environment))
    yield Line(what="alarms", how=f"{count}", dollars=count * PRICES["alarm"])


def _alarms(whole: Topology) -> int:
    """Those that tell people, and two for each service that follows the work."""
    watched = Watched(
        namespace="",
        balancer="",
        targets={service.name: "" for service in public_services(whole)},
        own={service.name: service.alarms for service in whole.services},
        heads=heads(whole),
        database="",
        database_gib=0,
    )
    return len(alarms(watched)) + 2 * sum(one.follows("work") for one in whole.services)


def table(environment: Environment, lines: list[Line], budget: int, workers: int = 1, *, egress: str = "") -> str:
    """The estimate for people: every row, the total, what most of it is, whether the budget will warn, and vCPUs."""
    total = sum(line.dollars for line in lines)
    rows = [f"{line.dollars:>9.2f}  {line.what:<40} {line.how}" for line in lines]
    most, sum_of_most = [], 0.0
    for line in lines:
        most.append(line.what)
        sum_of_most += line.dollars
        if sum_of_most >= total / 2:
            break
    below = f"monthlyBudget is {budget}, less than that, so it will warn: pulumi config set monthlyBudget {total:.0f}"
    return "\n".join(
        [
            f"environment {environment.name}, US dollars a month by list prices of {PRICES_OF}",
            *rows,
            f"{total:>9.2f}  in total; a day is {total * 24 / HOURS:.2f}",
            f"{asleep(environment, egress=egress):>9.2f}  in total while it sleeps (make sleep)",
            f"More than half is: {', '.join(most)}.",
            *([below] if 0 < budget < total else []),
            _of_quota(environment, workers),
            "Prices change; your use is yours. Without taxes and traffic to the internet (100 GB a month is free).",
            "It is charged from `make up` until `make down`, whether anybody uses it or not.",
        ]
    )


def _of_quota(environment: Environment, workers: int) -> str:
    """What of Fargate's quotas it takes, and how to get more where a new account has less."""
    lines = []
    for quota in (ON_DEMAND, SPOT):
        most = most_vcpus(environment, quota, workers=workers)
        if not most:
            continue
        said = f"It runs at most {most:g} vCPUs at once on Fargate {quota.name}"
        if most <= NEW_ACCOUNT_VCPUS:
            lines.append(f"{said}, and a new account has {NEW_ACCOUNT_VCPUS} or more.")
        else:
            asking = request_for(most, quota)
            lines.append(f"{said}. A new account may have {NEW_ACCOUNT_VCPUS}; ask for more before `make up`: {asking}")
    return "\n".join(lines)


def main() -> None:
    """Print the estimate."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.cost", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("stack", nargs="?", default="aws")
    parser.add_argument("--environment", choices=sorted(ENVIRONMENTS), help="instead of the stack's own")
    options = parser.parse_args()
    settings = settings_of(options.stack)
    environment = ENVIRONMENTS[options.environment or settings["environment"]]
    lines = estimate(environment, egress=settings["egress"])
    print(
        table(environment, lines, int(settings["monthlyBudget"]), int(settings["workers"]), egress=settings["egress"])
    )


if __name__ == "__main__":
    main()
