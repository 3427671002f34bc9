"""What an account refuses, found before anything is created: `make doctor STACK=aws`, and `make up` asks it first.

Each check asks AWS for what it is about. Where the credentials may not even ask, that is said, and it stops nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.aws.environment import ENVIRONMENTS
from infra.aws.quota import ON_DEMAND, SPOT, least_vcpus, most_vcpus, request_for

# Services that are asked in one region for all of them.
_GLOBAL = "us-east-1"
_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
# A client of a service in a region, as boto3 makes it.
Clients = Callable[[str, str], Any]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong and the command that mends it; with `stops`, `make up` would fail on it."""

    what: str
    remedy: str
    stops: bool = True

    def __str__(self) -> str:
        return f"{'STOPS' if self.stops else 'note '}  {self.what}\n       {self.remedy}"


def examine(stack: str, settings: Mapping[str, Any], clients: Clients) -> list[Finding]:
    """Every finding about the account that the credentials belong to, for the settings of a stack."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  heavy

    if settings["environment"] not in ENVIRONMENTS:
        wrong, remedy = settings["environment"], f"pulumi config set --stack {stack} environment dev"
        return [Finding(what=f"environment is {wrong!r}; it takes {' or '.join(ENVIRONMENTS)}.", remedy=remedy)]
    region = settings.get("aws:region") or _GLOBAL
    try:
        account = clients("sts", region).get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        return [
            Finding(
                what=f"AWS does not take your credentials: {error}",
                remedy="aws configure sso, or aws configure; then export AWS_PROFILE=NAME, for make, pulumi and aws",
            )
        ]
    found: list[Finding] = []
    for check in (_plan, _quota, _billing):
        try:
            found += check(stack, settings, clients, account)
        except (BotoCoreError, ClientError) as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            about = (check.__doc__ or "").splitlines()[0]
            why = "your credentials may not ask" if code in _REFUSED else str(error)
            found.append(
                Finding(what=f"Not known: {about} ({why})", remedy="see section 1 of docs/aws.md", stops=False)
            )
    return found


def _plan(stack: str, settings: Mapping[str, Any], clients: Clients, _: str) -> Iterator[Finding]:
    """Whether the account is on the free plan, which refuses backups of a week."""
    state = clients("freetier", _GLOBAL).get_account_plan_state()
    if state["accountPlanType"] == "FREE" and settings["accountPlan"] != "free":
        yield Finding(
            what="The account is on the free plan, where RDS refuses to keep backups for more than a day.",
            remedy=f"pulumi config set --stack {stack} accountPlan free (dev only), or upgrade the plan under Billing",
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

    if not int(settings["monthlyBudget"]):
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
