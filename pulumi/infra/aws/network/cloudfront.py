"""The way in by CloudFront: a distribution for each public service, and a web ACL that asks who comes.

The load balancer is inside the network, where CloudFront alone reaches it (a VPC origin). Nothing is kept at the edge:
each request goes on with all its headers, so the balancer knows the host, and Ray the handshake of its WebSocket.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.lower import public_services
from infra.aws.names import EDGE, ORIGIN, Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import Service, Topology

# AWS's own policies, which have the same ids everywhere: CachingDisabled and AllViewer.
CACHE_NOTHING = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
PASS_EVERYTHING_ON = "216adef6-5c7f-47e4-b989-5492eafa07d3"  # noqa: S105  no password
# The longest without a larger quota; the services themselves give up before.
ANSWER_S = 120
# CloudFront keeps errors for ten seconds, whatever the policy says, and answers everybody with them: a run that is not
# there yet would hide all others, because what stands behind `?` does not count.
ERRORS = (400, 403, 404, 405, 414, 500, 501, 502, 503, 504)
# A web ACL for CloudFront is in this region, wherever the stack is.
GLOBAL = {"scope": "CLOUDFRONT", "region": "us-east-1"}
_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE")


def build(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups, balancer: aws.lb.LoadBalancer
) -> dict[str, pulumi.Output[str]]:
    """Declare the distributions before a balancer that speaks plain HTTP; gives the name of each service's own."""
    acl = _web_acl(names, settings, groups)
    origin = aws.cloudfront.VpcOrigin(
        ORIGIN,
        vpc_origin_endpoint_config={
            "name": names.of(ORIGIN),
            "arn": balancer.arn,
            "http_port": 80,
            "https_port": 443,
            "origin_protocol_policy": "http-only",
            "origin_ssl_protocols": {"items": ["TLSv1.2"], "quantity": 1},  # it has to be said, and is not used
        },
        tags=names.tags(ORIGIN),
        opts=groups.within("Edge", EDGE),
    )
    before = {
        "origin_id": EDGE,
        "domain_name": balancer.dns_name,
        "vpc_origin_config": {"vpc_origin_id": origin.id, "origin_read_timeout": ANSWER_S},
    }
    return {
        service.name: _distribution(service, names, groups, before, acl).domain_name
        for service in public_services(topology)
    }


def _distribution(
    service: Service, names: Names, groups: Groups, before: Any, acl: aws.wafv2.WebAcl
) -> aws.cloudfront.Distribution:
    return aws.cloudfront.Distribution(
        service.name,
        comment=names.of(service.name),
        enabled=True,
        is_ipv6_enabled=False,  # who may connect is told by IPv4 networks
        # People are sent to the place nearest to them: with a cheaper class, X-rays of one continent pass another.
        price_class="PriceClass_All",
        origins=[before],
        default_cache_behavior={
            "target_origin_id": EDGE,
            "viewer_protocol_policy": "redirect-to-https",
            "allowed_methods": list(_METHODS),
            "cached_methods": ["GET", "HEAD"],
            "cache_policy_id": CACHE_NOTHING,
            "origin_request_policy_id": PASS_EVERYTHING_ON,
        },
        custom_error_responses=[{"error_code": code, "error_caching_min_ttl": 0} for code in ERRORS],
        restrictions={"geo_restriction": {"restriction_type": "none"}},
        viewer_certificate={"cloudfront_default_certificate": True},
        web_acl_id=acl.arn,
        tags=names.tags(service.name),
        opts=groups.within("Service", service.name),
    )


def _web_acl(names: Names, settings: AwsSettings, groups: Groups) -> aws.wafv2.WebAcl:
    """Nobody comes in but from the networks of `allowedCidrs`."""
    opts = groups.within("Edge", EDGE)
    allowed = aws.wafv2.IpSet(
        EDGE,
        name=names.of(EDGE),
        ip_address_version="IPV4",
        addresses=networks(settings.allowed_cidrs),
        tags=names.tags(EDGE),
        opts=opts,
        **GLOBAL,
    )
    # Samples would show keys and tokens to whoever looks at the ACL.
    seen: Any = {
        "cloudwatch_metrics_enabled": True,
        "metric_name": names.of(EDGE),
        "sampled_requests_enabled": False,
    }
    return aws.wafv2.WebAcl(
        EDGE,
        name=names.of(EDGE),
        default_action={"block": {}},
        rules=[
            {
                "name": "allowedCidrs",
                "priority": 0,
                "action": {"allow": {}},
                "statement": {"ip_set_reference_statement": {"arn": allowed.arn}},
                "visibility_config": seen,
            }
        ],
        visibility_config=seen,
        tags=names.tags(EDGE),
        opts=opts,
        **GLOBAL,
    )


def networks(cidrs: Sequence[str]) -> list[str]:
    """The same networks as an IP set takes them: it has no `/0`, so that everybody is two halves."""

    def each() -> Iterator[ipaddress.IPv4Network]:
        for cidr in cidrs:
            network = ipaddress.IPv4Network(cidr)
            yield from network.subnets() if network.prefixlen == 0 else [network]

    return [str(network) for network in each()]
