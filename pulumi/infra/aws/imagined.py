"""The program of a stack run without AWS, to learn what it would declare: nothing is asked and nothing is made."""

from collections.abc import Mapping
from typing import Any

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from infra.aws import backend
from infra.aws.graph import Asked, Graph, kind_of, parsed
from infra.aws.names import Names
from infra.aws.settings import AwsSettings, read_aws_settings
from infra.inputs import plain
from infra.secrets import setting
from infra.settings import SettingError
from infra.topology import project_of, topology

ACCOUNT, REGION = "123456789012", "us-east-1"
# What has to be set before `make up`, and is not yet where somebody asks what they will need.
_EXAMPLES = {"allowedCidrs": '["203.0.113.7/32"]', "alertEmail": "team@example.com", "aws:region": REGION}
_IN_THE_OPEN = ("tlsCertificate", "tlsAuthority")


class Imagined(Mocks):
    """What AWS and Docker would answer: an identity, zones, a registry, and what the program reads of a resource."""

    def __init__(self, region: str, offering: str = "abc") -> None:
        self.region = region
        self.offering = offering  # the letters of the zones that have the database's machine

    def call(self, args: MockCallArgs) -> Any:
        """What a look-up gives."""
        answers: dict[str, dict[str, Any]] = {
            "aws:index/getAvailabilityZones:getAvailabilityZones": {
                "names": [f"{self.region}{zone}" for zone in "abc"],
                "zoneIds": [f"{self.region}-az{number}" for number in (1, 2, 3)],
            },
            "aws:ec2/getManagedPrefixList:getManagedPrefixList": {"id": "pl-0123456789abcdef0"},
            "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": {
                "locations": [f"{self.region}{zone}" for zone in self.offering]
            },
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
                "proxyEndpoint": "https://registry.example",
                "userName": "AWS",
                "password": "value of the registry's password",
            },
        }
        return answers[args.token]

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """The id and the outputs of a resource: what it was given, and what only AWS would know."""
        kind = kind_of(args.typ)
        known: dict[str, dict[str, Any]] = {
            "docker.Image": {"repoDigest": f"{args.name}@sha256:{'0' * 64}"},
            "ecr.Repository": {"repositoryUrl": f"registry.example/{args.inputs.get('name')}"},
            "ecs.TaskDefinition": {
                "arnWithoutRevision": f"arn:aws:ecs:{self.region}:{ACCOUNT}:task-definition/{args.inputs.get('family')}"
            },
            "secretsmanager.SecretVersion": {"versionId": f"version of {args.name}"},
            "rds.Instance": {
                "address": "database.example",
                "masterUserSecrets": [{"secretArn": self.database_secret}],
            },
            "acm.Certificate": {
                "domainValidationOptions": [
                    {
                        "domainName": args.inputs.get("domainName"),
                        "resourceRecordName": "_1.example.com.",
                        "resourceRecordType": "CNAME",
                        "resourceRecordValue": "_2.acm-validations.aws.",
                    }
                ]
            },
            "acm.CertificateValidation": {"certificateArn": args.inputs.get("certificateArn")},
            "cloudfront.Distribution": {"domainName": own_name(args.name)},
            "route53.Record": {"fqdn": f"{args.name}.example"},
            "lb.LoadBalancer": {"dnsName": "edge.example", "arnSuffix": f"app/{args.name}/1", "zoneId": "Z1"},
            "lb.TargetGroup": {"arnSuffix": f"targetgroup/{args.name}/1"},
        }
        # A bucket's id is its name.
        made = args.inputs.get("bucket") if kind == "s3.Bucket" else f"id of {args.name}"
        return made, {"arn": f"arn of {kind} {args.name}", **args.inputs, **known.get(kind, {})}

    @property
    def database_secret(self) -> str:
        """The secret that RDS makes for the database's password."""
        return f"arn:aws:secretsmanager:{self.region}:{ACCOUNT}:secret:rds!db-0f3e-AbCdEf"


def own_name(service: str) -> str:
    """The name that CloudFront gives the distribution of a service: one that nobody chooses."""
    return f"{service}.cloudfront.net"


def graph_of(stack: str, settings: Mapping[str, Any]) -> Graph:
    """All that the program of a stack would ask for; raises SettingError where a setting is wrong.

    Secrets need not be there, and what has to be set need not be set.
    """
    plain_text = {name: _text(value) for name, value in settings.items()}
    whole = _EXAMPLES | {
        name: value for name, value in plain_text.items() if value not in ("", "[]") or name not in _EXAMPLES
    }
    # Of an archive or a fresh checkout no secret exists; what is declared does not depend on their values.
    secrets = {setting(name): f"value of {name}" for name in topology(login=True, keys=True, stack=stack).secrets}
    secrets |= {"tlsKey": "value of tls-key"} | {name: f"the {name}" for name in _IN_THE_OPEN}
    monitor = _Recorder(whole["aws:region"])
    pulumi.runtime.set_all_config(
        {name if ":" in name else f"hm-mlflow:{name}": value for name, value in (whole | secrets).items()},
        secret_keys=[f"hm-mlflow:{name}" for name in secrets if name not in _IN_THE_OPEN],
    )
    pulumi.runtime.set_mocks(monitor.mocks, project="hm-mlflow", stack=stack, preview=False, monitor=monitor)
    read: list[AwsSettings] = []

    def program() -> None:
        read.append(read_aws_settings())
        backend.build(topology(workers=read[0].environment.idle_workers, stack=stack, **vars(read[0].options)), read[0])

    try:
        pulumi.runtime.test(program)()
    except pulumi.ConfigTypeError as error:
        raise SettingError(f"{error}; `pulumi config set {error.key.partition(':')[2]}` gives it another.") from None
    [known] = read
    return Graph(
        resources=tuple(sorted(monitor.recorded, key=str)),
        settings=known,
        names=Names(
            project=project_of(stack),
            stack=stack,
            environment=known.environment.name,
            account=ACCOUNT,
            region=known.region,
            own_domain=known.domain,
        ),
    )


def _text(value: Any) -> str:
    """A setting as `pulumi config` keeps it."""
    if isinstance(value, list):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Recorder(MockMonitor):
    def __init__(self, region: str) -> None:
        super().__init__(Imagined(region))
        self.recorded: list[Asked] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  gRPC's name
        if request.custom:  # a group is nothing by itself
            inputs = parsed(plain(MessageToDict(request.object)))
            self.recorded.append(Asked(kind_of(request.type), request.name, inputs, protected=request.protect))
        return super().RegisterResource(request)
