"""What a stack on AWS costs a month, row by row; a test holds it against what the program declares."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.aws.environment import Environment
from infra.aws.lower import NOTEBOOK, TRAINING
from infra.aws.quota import DEPLOYED, lowered
from infra.aws.watch.alarms import alarm_names
from infra.options import Options
from infra.spec import Service

HOURS = 730  # of a month
ZONES = 2
# Of a training on one worker, from its submission; and the pause after which `ray_jobs.demand` lets a worker go.
TRAINING_HOURS, PAUSE_HOURS = 0.5, 0.25
INTERFACE_ENDPOINTS = 7

PRICES_OF = (
    "March 2026, us-east-1, aws.amazon.com/{fargate,rds/postgresql,elasticloadbalancing,vpc,waf,cloudwatch,…}/pricing"
)
PRICES: Mapping[str, float] = {
    "fargate vCPU hour": 0.04048,
    "fargate GiB hour": 0.004445,
    "spot, of that": 0.5,  # it moves, and is 30 to 50 %
    "ARM64, of that": 0.8,
    "db.t4g.micro hour": 0.016,
    "db.t4g.small hour": 0.032,
    "database gp3 GiB": 0.115,
    "balancer hour": 0.0225,
    "balancer capacity unit hour": 0.008,
    "public address hour": 0.005,
    "web ACL": 5.00,
    "web ACL rule": 1.00,
    "million requests of a web ACL": 0.60,
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
    "flow log GB": 0.25,
    "100,000 data events": 0.10,
    "s3 GiB": 0.023,
    "ecr GiB": 0.10,
}


@dataclass(frozen=True, kw_only=True)
class Use:
    """What nobody can know in advance, as a small team might use it in a month."""

    capacity_units: float = 1  # of the load balancer, on average: some requests a second
    millions: float = 1  # of requests; CloudFront itself takes nothing for ten, nor for the first TB
    nat_gb: float = 20
    notebook_hours: float = 40
    worker_hours: float = 20  # of one Ray worker that runs because there is work
    metrics: float = 100  # of Container Insights: roughly 25 a service
    log_gb: float = 5
    flow_gb: float = 2
    data_events: float = 500_000  # reads and writes of X-rays: a training reads each one once, and lists them
    s3_gib: float = 20
    ecr_gib: float = 6


# While a stack sleeps: what is stored stays, and nobody uses it.
ASLEEP = Use(
    capacity_units=0,
    millions=0,
    nat_gb=0,
    notebook_hours=0,
    worker_hours=0,
    metrics=0,
    log_gb=0,
    flow_gb=0,
    data_events=0,
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the estimate; `how` says how the amount came about."""

    what: str
    how: str
    dollars: float


def estimate(
    environment: Environment, *, egress: str = "", options: Options = DEPLOYED, edge: str = "balancer", use: Use = Use()
) -> list[Line]:
    """Every row, the dearest first; `egress` is the environment's own where it is empty."""
    ways = [*_edge(edge, use), *_network(environment, egress or environment.egress, use)]
    stores, secrets = _stores(environment, use), _secrets(environment, options)
    found = [*_services(environment, use), *stores, *secrets, *ways, *_rest(environment, use)]
    return sorted(found, key=lambda line: -line.dollars)


def monthly(environment: Environment, *, egress: str = "", options: Options = DEPLOYED, edge: str = "balancer") -> int:
    """The whole estimate as a budget: rounded up to ten dollars."""
    lines = estimate(environment, egress=egress, options=options, edge=edge)
    return math.ceil(sum(line.dollars for line in lines) / 10) * 10


def asleep(environment: Environment, *, egress: str = "", options: Options = DEPLOYED, edge: str = "balancer") -> float:
    """Dollars a month of a stack that `make sleep` has stopped: no containers, and of the database its disk."""
    hours = {"database", "public addresses"}
    whole = estimate(environment, egress=egress, options=options, edge=edge, use=ASLEEP)
    left = [one for one in whole if "Fargate" not in one.what]
    disk = (2 if environment.standby else 1) * environment.database_gib * PRICES["database gp3 GiB"]
    return disk + sum(one.dollars for one in left if one.what not in hours)


def hourly(service: Service, environment: Environment) -> float:
    """One container of a service for an hour."""
    vcpus, gib = service.cpu / 1024, service.memory / 1024
    full = vcpus * PRICES["fargate vCPU hour"] + gib * PRICES["fargate GiB hour"]
    full *= PRICES["ARM64, of that"] if environment.architecture == "ARM64" else 1
    return full * (PRICES["spot, of that"] if environment.on_spot(service) else 1)


def training(environment: Environment, *, egress: str = "") -> float:
    """Dollars of a training of some 5,000 X-rays: one worker until it goes again, and the task that submits it."""
    whole = lowered(environment)
    [worker] = [one for one in whole.services if one.follows("work")]
    address = PRICES["public address hour"] if (egress or environment.egress) == "public" else 0
    waiting = [] if environment.idle_workers else [(worker, TRAINING_HOURS + PAUSE_HOURS)]
    return sum(
        hours * (hourly(service, environment) + address)
        for service, hours in [*waiting, (whole.service(TRAINING), TRAINING_HOURS)]
    )


def _services(environment: Environment, use: Use) -> Iterator[Line]:
    for service in lowered(environment).services:
        if service.name == NOTEBOOK or service.once:
            continue
        spot = ", Spot" if environment.on_spot(service) else ""
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
    yield Line(what="key", how="1", dollars=PRICES["key"])


def _secrets(environment: Environment, options: Options) -> Iterator[Line]:
    secrets = len(lowered(environment, options).secrets) + 1  # RDS has its own
    yield Line(what="secrets", how=f"{secrets}", dollars=secrets * PRICES["secret"])


def _edge(edge: str, use: Use) -> Iterator[Line]:
    """The load balancer has public addresses, or is inside the network behind CloudFront and its web ACL."""
    addresses = 0 if edge == "cloudfront" else ZONES
    units = use.capacity_units * PRICES["balancer capacity unit hour"] * HOURS
    yield Line(
        what="load balancer",
        how=f"1, {use.capacity_units:g} capacity unit, {addresses} addresses",
        dollars=PRICES["balancer hour"] * HOURS + units + addresses * PRICES["public address hour"] * HOURS,
    )
    if edge == "cloudfront":
        requests = use.millions * PRICES["million requests of a web ACL"]
        yield Line(
            what="web ACL",
            how=f"1 with 1 rule, {use.millions:g} million requests",
            dollars=PRICES["web ACL"] + PRICES["web ACL rule"] + requests,
        )


def _network(environment: Environment, egress: str, use: Use) -> Iterator[Line]:
    address = PRICES["public address hour"] * HOURS
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
    if environment.audit:
        flows, events = use.flow_gb * PRICES["flow log GB"], use.data_events / 100_000 * PRICES["100,000 data events"]
        yield Line(what="flow logs", how=f"{use.flow_gb:g} GB", dollars=flows)
        yield Line(what="trail of the X-rays", how=f"{use.data_events:,.0f} events", dollars=events)
    yield Line(what="logs", how=f"{use.log_gb:g} GB", dollars=use.log_gb * PRICES["log GB"])
    count = len(alarm_names(lowered(environment)))
    yield Line(what="alarms", how=f"{count}", dollars=count * PRICES["alarm"])
