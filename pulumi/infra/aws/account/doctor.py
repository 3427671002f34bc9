"""What an account refuses, found before anything is created: `make doctor STACK=aws`, and `make up` asks it first.

Each check asks AWS for what it is about. Where the credentials may not even ask, that is said, and it stops nothing.
"""

import datetime
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from infra.aws import zones
from infra.aws.environment import ENVIRONMENTS
from infra.aws.quota import ON_DEMAND, SPOT, least_vcpus, most_vcpus, request_for
from infra.findings import Finding
from infra.topology import project_of

# Services that are asked in one region for all of them.
_GLOBAL = "us-east-1"
_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
# AWS refuses what was signed more than five minutes ago, or will be.
_MOST_SKEW_S = 240
_ROLE_OF_RDS = "AWSServiceRoleForRDS"
# A client of a service in a region, as boto3 makes it.
Clients = Callable[[str, str], Any]


def examine(
    stack: str,
    settings: Mapping[str, Any],
    clients: Clients,
    *,
    data: str = "",
    terminal: Mapping[str, str] = os.environ,
) -> list[Finding]:
    """Every finding about the account that the credentials belong to, for settings of a stack that are right.

    `data` is the address of the bucket of a stack that is up, which names its account; `terminal` has the variables of
    this terminal.
    """
    from botocore import exceptions  # noqa: PLC0415  heavy

    region = settings.get("aws:region") or _GLOBAL
    try:
        caller = clients("sts", region).get_caller_identity()
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        return [
            Finding(
                what=f"AWS does not answer: {error}",
                remedy="look at this machine's network and at https_proxy; where a proxy opens TLS: export "
                "AWS_CA_BUNDLE=FILE with the proxy's authority",
            )
        ]
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        return [
            Finding(
                what=f"AWS does not take your credentials: {error}",
                remedy="aws configure sso, or aws configure; then export AWS_PROFILE=NAME, for make, pulumi and aws",
            )
        ]
    account = caller["Account"]
    found = [*_clock(caller), *_place(settings, terminal), *_account(stack, data, account)]
    for check in (_region, _zones, _plan, _first, _quota, _billing):
        about = (check.__doc__ or "").splitlines()[0]
        found += asked(about, lambda check=check: check(stack, settings, clients, account))  # type: ignore[misc]
    return found


def asked(about: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check finds; where AWS does not answer it, that this is not known, which stops nothing."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  heavy

    try:
        return list(check())
    except (BotoCoreError, ClientError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        why = "your credentials may not ask" if code in _REFUSED else str(error)
        return [Finding(what=f"Not known: {about} ({why})", remedy="see section 1 of docs/aws.md", stops=False)]


def _clock(caller: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether this machine's clock is AWS's, by the date of an answer."""
    date = caller.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return
    late = (datetime.datetime.now(datetime.UTC) - parsedate_to_datetime(date)).total_seconds()
    where = "ahead of" if late > 0 else "behind"
    if abs(late) > _MOST_SKEW_S:
        yield Finding(
            what=f"This machine's clock is {abs(late):.0f} s {where} AWS's, which takes 300.",
            remedy="sudo timedatectl set-ntp true; in WSL: sudo hwclock -s; on macOS: sudo sntp -sS time.apple.com",
        )


def _place(settings: Mapping[str, Any], terminal: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the region is the same for Pulumi as for the command aws."""
    region = settings.get("aws:region")
    other = terminal.get("AWS_REGION") or terminal.get("AWS_DEFAULT_REGION") or region
    if region and other != region:
        yield Finding(
            what=f"The stack is in {region}, and the command aws asks {other} in this terminal.",
            remedy=f"export AWS_REGION={region}",
            stops=False,
        )


def _account(stack: str, data: str, account: str) -> Iterator[Finding]:
    """Whether a stack that is up is in the account that the credentials belong to."""
    if data and f"-{account}-" not in data:
        yield Finding(
            what=f"{stack} is up in another account: its X-rays are in {data}, and your credentials are of {account}.",
            remedy="export AWS_PROFILE=NAME with a profile of that account",
        )


def asleep(stack: str, exported: Mapping[str, Any], regional: Callable[[str], Any]) -> Iterator[Finding]:
    """Whether a stack sleeps: `make up` would start containers that wait in vain for their database, or none at all.

    AWS starts a stopped database by itself after a week, and no container with it.
    """
    asked_for = {"DBInstanceIdentifier": exported["database"]}
    [found] = regional("rds").describe_db_instances(**asked_for)["DBInstances"]
    why = f"its database is {found['DBInstanceStatus']}"
    if found["DBInstanceStatus"] not in ("stopping", "stopped"):
        services = [f"{project_of(stack)}-{service}" for service in exported["deployed"]]
        described = regional("ecs").describe_services(cluster=exported["cluster"], services=services)["services"]
        awake = any(one["desiredCount"] for one in described)
        why = "" if awake else "it has no containers, and its database runs because AWS started it"
    if why:
        yield Finding(what=f"{stack} sleeps: {why}.", remedy=f"make wake STACK={stack}")


def _region(_: str, settings: Mapping[str, Any], clients: Clients, __: str) -> Iterator[Finding]:
    """Whether the account has the region."""
    wanted = settings.get("aws:region") or _GLOBAL
    regions = clients("ec2", _GLOBAL).describe_regions(AllRegions=True)["Regions"]
    state = {one["RegionName"]: one.get("OptInStatus") for one in regions}.get(wanted, "not a region of AWS")
    if state not in ("opt-in-not-required", "opted-in"):
        yield Finding(
            what=f"The account cannot use {wanted}: {state}.",
            remedy=f"aws account enable-region --region-name {wanted}, and wait until it is there",
        )


def _zones(stack: str, settings: Mapping[str, Any], clients: Clients, __: str) -> Iterator[Finding]:
    """Whether two zones of the region have what the database runs on."""
    region, environment = settings.get("aws:region") or _GLOBAL, ENVIRONMENTS[settings["environment"]]
    ec2 = clients("ec2", region)
    found = ec2.describe_availability_zones(
        Filters=[
            {"Name": "opt-in-status", "Values": ["opt-in-not-required"]},
            {"Name": "state", "Values": ["available"]},
        ]
    )
    ids = {one["ZoneName"]: one["ZoneId"] for one in found["AvailabilityZones"]}
    there = zones.behind_cloudfront(ids, ids.values()) if settings.get("edge") == "cloudfront" else list(ids)
    offers = clients("rds", region).describe_orderable_db_instance_options(
        Engine="postgres", DBInstanceClass=environment.database_class, Vpc=True
    )["OrderableDBInstanceOptions"]
    offering = {zone["Name"] for one in offers for zone in one["AvailabilityZones"]}
    machine = {"Name": "instance-type", "Values": [zones.machine(environment)]}
    asked = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=[machine])
    stands = zones.chosen(there, {one["Location"] for one in asked["InstanceTypeOfferings"]})
    lacking = [zone for zone in stands if offers and zone not in offering]
    if len(there) < zones.ZONES or lacking or not offers:
        what = f"{' and '.join(lacking) or region} has no {environment.database_class} for Postgres"
        yield Finding(
            what=f"{what}."
            if len(there) >= zones.ZONES
            else f"{region} has only {len(there)} zone for this account; it takes two.",
            remedy=f"use another region: pulumi config set --stack {stack} aws:region "
            f"{'us-east-2' if region == _GLOBAL else _GLOBAL} (before the first `make up`)",
        )


def _plan(stack: str, settings: Mapping[str, Any], clients: Clients, _: str) -> Iterator[Finding]:
    """Whether the account is on the free plan, which refuses backups of a week."""
    state = clients("freetier", _GLOBAL).get_account_plan_state()
    if state["accountPlanType"] == "FREE" and settings["accountPlan"] != "free":
        yield Finding(
            what="The account is on the free plan, where RDS refuses to keep backups for more than a day.",
            remedy=f"pulumi config set --stack {stack} accountPlan free (dev only), or upgrade the plan under Billing",
        )


def _first(_: str, __: Mapping[str, Any], clients: Clients, ___: str) -> Iterator[Finding]:
    """Whether RDS has its role in the account, by which it makes a database."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  heavy

    try:
        clients("iam", _GLOBAL).get_role(RoleName=_ROLE_OF_RDS)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        yield Finding(
            what=f"The account has had no database on RDS yet. AWS makes the role {_ROLE_OF_RDS} with the first one, "
            "and may refuse that one, because the role is not known everywhere yet.",
            remedy="aws iam create-service-linked-role --aws-service-name rds.amazonaws.com, once in an account",
        )


def _quota(_: str, settings: Mapping[str, Any], clients: Clients, __: str) -> Iterator[Finding]:
    """Whether the account's vCPUs on Fargate are enough."""
    region, environment = settings.get("aws:region") or _GLOBAL, ENVIRONMENTS[settings["environment"]]
    for quota in (ON_DEMAND, SPOT):
        least, most = least_vcpus(environment, quota), most_vcpus(environment, quota, workers=int(settings["workers"]))
        if not most:
            continue
        asked = clients("service-quotas", region).get_service_quota(ServiceCode="fargate", QuotaCode=quota.code)
        there = asked["Quota"]["Value"]
        if there < most:
            needs = f"{least:g} to {most:g}" if least < most else f"{most:g}"
            yield Finding(
                what=f"Fargate {quota.name} gives this account {there:g} vCPUs in {region}; the stack needs {needs}.",
                remedy=f"{request_for(most, quota, region=region)}, and wait until it is granted",
                stops=there < least,
            )


def _billing(stack: str, settings: Mapping[str, Any], clients: Clients, account: str) -> Iterator[Finding]:
    """Whether a budget may be made."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  heavy

    if str(settings["monthlyBudget"]) == "0":
        return
    try:
        clients("budgets", _GLOBAL).describe_budgets(AccountId=account, MaxResults=1)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _REFUSED:
            raise
        yield Finding(
            what="You may not see budgets: the account gives users no access to Billing, or your policy does not.",
            remedy=f"pulumi config set --stack {stack} monthlyBudget 0, or let the root user switch on IAM access to "
            "Billing (Account, IAM user and role access to Billing information)",
        )
