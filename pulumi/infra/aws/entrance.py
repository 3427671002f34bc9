"""How people come in, as the settings say: from where, by what, and under which names."""

import ipaddress
import re

import pulumi

from infra.aws.environment import Environment
from infra.options import Options
from infra.settings import SettingError, matching, one_of

_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:([a-z0-9-]+):\d{12}:certificate/[0-9a-f-]+")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# With ` authority` after it, it stays within the 64 characters that a certificate has for a name.
_DOMAIN = re.compile(rf"(?=.{{4,54}}$){_LABEL}(\.{_LABEL})+")
_ZONE = re.compile(r"Z[A-Z0-9]{1,31}")
_EDGES = ("balancer", "cloudfront")
# Whoever may connect from so many addresses is as good as everybody.
_EVERYBODY = 8
# A security group takes 60 rules, and each network needs one for each of two ports.
_MOST_NETWORKS = 30


def read_allowed_cidrs(config: pulumi.Config, environment: Environment, options: Options) -> tuple[str, ...]:
    """Who may connect at all. Raises SettingError."""
    takes = (
        "it takes a list of IPv4 networks in CIDR form, who alone may connect; your own address is a network of one, "
        "for example: pulumi config set --path 'allowedCidrs[0]' 203.0.113.7/32"
    )
    try:
        value = config.get_object("allowedCidrs")
    except pulumi.ConfigTypeError:
        value = config.get("allowedCidrs")
    if not value:
        raise SettingError(f"allowedCidrs is not set; {takes}")
    if not isinstance(value, list):
        raise SettingError(f"allowedCidrs is {value!r}; {takes}")
    found = tuple(dict.fromkeys(_cidr(one, takes) for one in value))
    if len(found) > _MOST_NETWORKS:
        raise SettingError(
            f"allowedCidrs has {len(found)} networks; it takes up to {_MOST_NETWORKS}, so join some of them, for "
            "example: pulumi config set --path 'allowedCidrs[0]' 203.0.113.0/24"
        )
    for network in found:
        if network.prefixlen < _EVERYBODY and environment.careful:
            raise SettingError(f"allowedCidrs has {network}, which is nearly everybody, in {environment.name}; {takes}")
        if network.prefixlen < _EVERYBODY and not options.keys:
            raise SettingError(
                f"allowedCidrs has {network}, which is nearly everybody, and keys is off; it takes on with so many, "
                "for example: pulumi config set keys on"
            )
    return tuple(map(str, found))


def _cidr(value: object, takes: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(str(value))
    except ValueError as error:
        raise SettingError(f"allowedCidrs has {value!r} ({error}); {takes}") from None


def read_edge(config: pulumi.Config, *, plain_http: bool) -> str:
    """Whether people come to the load balancer or to CloudFront. Raises SettingError."""
    edge = one_of("edge", config.require("edge"), _EDGES)
    needless = [name for name in ("certificateArn", "hostedZoneId") if config.get(name)]
    needless += ["plainHttp"] if plain_http else []
    if edge == "cloudfront" and needless:
        raise SettingError(
            f"edge is cloudfront and {needless[0]} is set; CloudFront has its own addresses and their certificates. It "
            f"takes balancer with {needless[0]}, for example: pulumi config set edge balancer"
        )
    return edge


def read_certificate_arn(arn: str, region: str) -> str | None:
    """A certificate in ACM, if one is given. Raises SettingError."""
    if not arn:
        return None
    found = _CERTIFICATE.fullmatch(arn)
    if not found or found[1] != region:
        raise SettingError(
            f"certificateArn is {arn!r}; it takes the ARN of a certificate in ACM in {region}, for example: "
            f"pulumi config set certificateArn arn:aws:acm:{region}:123456789012:"
            "certificate/12345678-90ab-cdef-1234-567890abcdef"
        )
    return arn


def read_domain(name: str) -> str:
    """The domain of one's own, empty for the project's. Raises SettingError."""
    takes = "a domain in small letters, below which the services get their names"
    return matching("domain", name, _DOMAIN, takes=takes, example="xray.example.com") if name else ""


def read_hosted_zone(zone: str, domain: str) -> str | None:
    """The public zone of that domain, if there is one. Raises SettingError."""
    if not zone:
        return None
    takes = "the id of a public zone on Route 53, which `aws route53 list-hosted-zones` shows"
    matching("hostedZoneId", zone, _ZONE, takes=takes, example="Z0123456789ABC")
    if not domain or domain.endswith((".internal", ".local")):
        raise SettingError(
            f"domain is {domain!r} and hostedZoneId is set; it takes a domain of that public zone, for example: "
            "pulumi config set domain xray.example.com"
        )
    return zone
