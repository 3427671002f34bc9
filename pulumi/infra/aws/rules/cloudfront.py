"""What must hold where people come in by CloudFront: who is let in, and that nothing is in the open or kept."""

from collections.abc import Iterator
from typing import Any

from infra.aws.graph import Graph
from infra.aws.lower import public_services
from infra.aws.network.cloudfront import ANSWER_S, CACHE_NOTHING, ERRORS, GLOBAL, PASS_EVERYTHING_ON, networks
from infra.aws.rules.common import declared, expect

_ACL, _ADDRESSES = "arn of wafv2.WebAcl edge", "arn of wafv2.IpSet edge"


def cloudfront_lets_in_whom_the_settings_name(graph: Graph) -> Iterator[str]:
    """CloudFront lets in whom the settings name."""
    distributions = graph.of("cloudfront.Distribution")
    wanted = {service.name for service in public_services(declared(graph))} if graph.settings.by_cloudfront else set()
    if set(distributions) != wanted:
        yield f"there are distributions of {sorted(distributions)}"
    for name, one in distributions.items():
        yield from expect(name, one, webAclId=_ACL, isIpv6Enabled=False)
    if wanted:
        yield from _lets_in(graph)


def _lets_in(graph: Graph) -> Iterator[str]:
    """The ACL refuses everybody but the networks of the settings."""
    acls, sets = graph.of("wafv2.WebAcl"), graph.of("wafv2.IpSet")
    if set(acls) != {"edge"} or set(sets) != {"edge"}:
        yield f"there are ACLs {sorted(acls)} and sets {sorted(sets)}"
        return
    acl, addresses = acls["edge"], sets["edge"]
    yield from expect("web ACL", acl, **GLOBAL)
    yield from expect("IP set", addresses, **GLOBAL, ipAddressVersion="IPV4")
    if sorted(addresses.get("addresses", [])) != sorted(networks(graph.settings.allowed_cidrs)):
        yield f"the IP set has {addresses.get('addresses')}"
    rules = acl.get("rules", [])
    if set(acl["defaultAction"]) != {"block"} or [_allowed(rule) for rule in rules] != [_ADDRESSES]:
        yield f"the web ACL does {acl['defaultAction']} and has the rules {rules}"
    if any(one["visibilityConfig"]["sampledRequestsEnabled"] for one in (acl, *rules)):
        yield "the web ACL keeps samples of requests, with their keys"


def _allowed(rule: dict[str, Any]) -> str | None:
    """The IP set that a rule lets in, and nothing else; None of another rule."""
    action, statement = rule.get("action", {}), rule.get("statement", {})
    if set(action) != {"allow"} or set(statement) != {"ipSetReferenceStatement"}:
        return None
    return str(statement["ipSetReferenceStatement"].get("arn"))


def cloudfront_speaks_https_and_keeps_nothing(graph: Graph) -> Iterator[str]:
    """CloudFront speaks HTTPS, keeps nothing, and passes everything on to the load balancer."""
    for name, one in graph.of("cloudfront.Distribution").items():
        behaviour, [origin] = one["defaultCacheBehavior"], one["origins"]
        yield from expect(
            name,
            behaviour,
            viewerProtocolPolicy="redirect-to-https",
            cachePolicyId=CACHE_NOTHING,
            originRequestPolicyId=PASS_EVERYTHING_ON,
            targetOriginId=origin["originId"],
        )
        if one.get("orderedCacheBehaviors"):
            yield f"{name} treats some paths otherwise"
        kept = {error["errorCode"]: error.get("errorCachingMinTtl") for error in one.get("customErrorResponses", [])}
        if kept != dict.fromkeys(ERRORS, 0):
            yield f"{name} keeps errors: {kept}"
        inside = origin.get("vpcOriginConfig") or {}
        yield from expect(name, inside, vpcOriginId="id of origin", originReadTimeout=ANSWER_S)
        yield from expect(name, origin, customOriginConfig=None)
    for name, one in graph.of("cloudfront.VpcOrigin").items():
        config = one["vpcOriginEndpointConfig"]
        yield from expect(
            name, config, arn="arn of lb.LoadBalancer edge", originProtocolPolicy="http-only", httpPort=80
        )


RULES = (cloudfront_lets_in_whom_the_settings_name, cloudfront_speaks_https_and_keeps_nothing)
