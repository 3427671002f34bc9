"""The settings of a stack on AWS: read once, checked, and each refusal says what the setting takes."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi

from infra.aws import entrance
from infra.aws.environment import ENVIRONMENTS, Environment, on_arm, on_free_plan
from infra.options import Options
from infra.settings import ROOT, SettingError, matching, one_of, read_commit, read_options, read_retrain

_MAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_STACK = re.compile(r"aws(-[a-z0-9]{1,12})?")
_AUTHORITY = re.compile(r"^# ([a-z]+(?:-[a-z]+)+-\d), until", re.MULTILINE)
_HOURS = re.compile(r"(\d{1,2})h")
# A snapshot by its name or ARN, or INSTANCE@TIME in UTC.
_RESTORED = re.compile(r"[a-zA-Z][a-zA-Z0-9:-]{0,254}(@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?")
_MOST_WORKERS = 64
_EGRESS = ("public", "nat", "endpoints")
_ARCHITECTURES = ("x86_64", "arm64")
_PLANS = ("paid", "free")


@dataclass(frozen=True, kw_only=True)
class AwsSettings:
    """What `pulumi config` says, described in Pulumi.yaml.

    Attributes
    ----------
    region
        Where everything is.
    environment
        What `dev` or `prod` decides.
    protected
        What holds data cannot be deleted: in prod, until `keepData` is false.
    options
        What the settings decide about the services, whatever the platform.
    allowed_cidrs
        Who may connect at all.
    edge
        `balancer`: people come to the load balancer; `cloudfront`: they come to CloudFront's addresses, which every
        browser trusts, and the load balancer is inside the network.
    certificate_arn
        A certificate in ACM; None to import the one that `make stack` makes.
    domain
        Where the services are found, `app.DOMAIN` and so on; empty for the project's own, which is in no public DNS.
    hosted_zone
        The public zone of that domain on Route 53: the names are published there, and ACM signs for them. None without.
    plain_http
        No HTTPS; in dev only.
    egress
        `public`: containers have public addresses, to which nobody can connect; `nat`: they reach the internet through
        a NAT gateway; `endpoints`: they reach AWS alone.
    workers
        Most Ray workers.
    sleep_after
        Hours without a request and without a job, after which it goes to sleep by itself; 0 for never.
    alert_email
        Who is told of alarms and of the budget.
    monthly_budget
        In US dollars; None for what the stack is estimated to cost, 0 for no budget.
    retrain
        When there is a retraining: `off`, `weekly` or `on-drift`.
    restore_database
        What the database is made from: a snapshot, or `INSTANCE@TIME`; empty for an empty one.
    """

    region: str
    environment: Environment
    protected: bool
    options: Options
    allowed_cidrs: tuple[str, ...]
    edge: str
    certificate_arn: str | None
    domain: str
    hosted_zone: str | None
    plain_http: bool
    egress: str
    workers: int
    sleep_after: int
    alert_email: str
    monthly_budget: int | None
    restore_database: str
    retrain: str
    commit: str

    @property
    def by_cloudfront(self) -> bool:
        """Whether people come in by CloudFront."""
        return self.edge == "cloudfront"

    @property
    def scheme(self) -> str:
        """How people reach every service."""
        return "http" if self.plain_http else "https"

    @property
    def balancer_ports(self) -> tuple[int, ...]:
        """Where the load balancer listens: behind CloudFront, which speaks HTTPS with people, on one port."""
        return (80,) if self.plain_http or self.by_cloudfront else (80, 443)


def read_aws_settings() -> AwsSettings:
    """Read and check the configuration; raises SettingError."""
    config = pulumi.Config()
    _check_stack(pulumi.get_stack())
    region = _region(pulumi.Config("aws").get("region") or "")
    environment = _environment(config.require("environment"), config.require("accountPlan"))
    if one_of("architecture", config.require("architecture"), _ARCHITECTURES) == "arm64":
        environment = on_arm(environment)
    plain_http = config.require_bool("plainHttp")
    if plain_http and environment.careful:
        raise SettingError(
            f"plainHttp is true and environment is {environment.name}; passwords would cross the internet in the "
            "clear. It takes false here, for example: pulumi config set plainHttp false"
        )
    options = read_options(login=True, approval=environment.approval, keys=True)
    _check_traces(options.traces)
    egress = _egress(config.get("egress") or environment.egress, environment)
    domain = entrance.read_domain(config.get("domain") or "")
    retrain = read_retrain(config)
    return AwsSettings(
        region=region,
        environment=environment,
        protected=environment.careful and config.require_bool("keepData"),
        options=options,
        allowed_cidrs=entrance.read_allowed_cidrs(config, environment, options),
        edge=entrance.read_edge(config, plain_http=plain_http),
        certificate_arn=entrance.read_certificate_arn(config.get("certificateArn") or "", region),
        domain=domain,
        hosted_zone=entrance.read_hosted_zone(config.get("hostedZoneId") or "", domain),
        plain_http=plain_http,
        egress=egress,
        workers=_between("workers", config.require_int("workers"), 1, _MOST_WORKERS, "4"),
        sleep_after=_sleep_after(config.get("sleepAfter") or "", environment, retrain),
        alert_email=_mail(config.get("alertEmail") or ""),
        monthly_budget=_budget(config.get("monthlyBudget") or ""),
        retrain=retrain,
        restore_database=_restored(config.get("restoreDatabase") or ""),
        commit=read_commit(),
    )


def _sleep_after(value: str, environment: Environment, retrain: str) -> int:
    """The hours that it says: `4h` are four."""
    if not value or value == "never":
        return 0
    takes = "it takes never, or 1h to 24h, for example: pulumi config set sleepAfter 4h"
    if environment.careful:
        raise SettingError(
            f"sleepAfter is {value} and environment is {environment.name}, whose page always answers; it takes never "
            "here, for example: pulumi config set sleepAfter never"
        )
    found = _HOURS.fullmatch(value)
    if not found or not 1 <= int(found[1]) <= 24:
        raise SettingError(f"sleepAfter is {value!r}; {takes}")
    if retrain != "off":
        raise SettingError(
            f"sleepAfter is {value} and retrain is {retrain}: nothing retrains a stack that sleeps. Choose one, for "
            "example: pulumi config set sleepAfter never"
        )
    return int(found[1])


def _budget(value: str) -> int | None:
    if not value:
        return None
    if not value.isdecimal() or int(value) > 1_000_000:
        raise SettingError(
            f"monthlyBudget is {value!r}; on AWS it takes 0 to 1000000 dollars, for example: "
            "pulumi config set monthlyBudget 200"
        )
    return int(value)


def _check_stack(name: str) -> None:
    if not _STACK.fullmatch(name):
        raise SettingError(
            f"The stack is called {name!r}; on AWS, whose names are short, it takes aws, or aws- and up to 12 small "
            "letters and digits, for example: pulumi stack init aws-try"
        )


def _check_traces(collector: str) -> None:
    """Security groups let nothing out but HTTPS, so that another port would only cost the traces."""
    address = urlsplit(collector)
    if collector and (address.port or (443 if address.scheme == "https" else 80)) != 443:
        raise SettingError(
            f"tracesEndpoint is {collector!r}; on AWS containers go out by HTTPS alone, so it takes an address at port "
            "443, for example: pulumi config set tracesEndpoint https://collector.example.org:443"
        )


def _region(name: str) -> str:
    takes = "it takes a region whose RDS authority is in compose/images/rds-authorities.pem"
    known = _AUTHORITY.findall((ROOT / "compose" / "images" / "rds-authorities.pem").read_text())
    if name not in known:
        raise SettingError(
            f"aws:region is {name or 'not set'}; {takes}, which are {', '.join(known)}, for example: "
            "pulumi config set aws:region eu-west-1"
        )
    return name


def _environment(name: str, plan: str) -> Environment:
    environment = ENVIRONMENTS[one_of("environment", name, tuple(ENVIRONMENTS))]
    if one_of("accountPlan", plan, _PLANS) == "paid":
        return environment
    if environment.careful:
        raise SettingError(
            f"accountPlan is free and environment is {name}; AWS gives a free plan neither such a database nor its "
            "backups. It takes paid here, once the account is upgraded under Billing; or use dev, for example: pulumi "
            "config set environment dev"
        )
    return on_free_plan(environment)


def _egress(name: str, environment: Environment) -> str:
    if one_of("egress", name, _EGRESS) == "public" and environment.careful:
        raise SettingError(
            f"egress is public and environment is {environment.name}, where nothing but the load balancer has a public "
            "address; it takes nat or endpoints here, for example: pulumi config set egress nat"
        )
    return name


def _between(setting: str, value: int, least: int, most: int, example: str) -> int:
    if not least <= value <= most:
        raise SettingError(
            f"{setting} is {value}; on AWS it takes {least} to {most}, for example: "
            f"pulumi config set {setting} {example}"
        )
    return value


def _mail(address: str) -> str:
    takes = "the address to which alarms and budget warnings go"
    return matching("alertEmail", address, _MAIL, takes=takes, example="team@example.com")


def _restored(source: str) -> str:
    takes = "a snapshot, which make restore names, or an instance and a time in UTC"
    example = "hm-mlflow-database-0123abcd@2026-11-29T03:00:00Z"
    return matching("restoreDatabase", source, _RESTORED, takes=takes, example=example) if source else ""
