"""The way in: a load balancer with a host for each public service; to every other host it answers 404."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.lower import allowed, hosts, public_services
from infra.aws.names import EDGE, Names
from infra.aws.network import cloudfront, signed
from infra.aws.parts import Edge, Network
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import HealthCheck, Service, Topology

# TLS 1.3, and 1.2 with forward secrecy.
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
# The longest that AWS takes: whoever follows a job's log has a connection on which nothing may be said for long.
IDLE_S = 4000
_LEAST_INTERVAL_S, _MOST_ATTEMPTS = 10, 10


def build(
    topology: Topology,
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    *,
    network: Network,
    logs: pulumi.Output[str],
) -> Edge:
    """Declare the load balancer, its listeners, and a target group for each service that people reach.

    `logs` is the name of the bucket for access logs, known once its policy lets load balancers write.
    """
    balancer = aws.lb.LoadBalancer(
        EDGE,
        name=names.of(EDGE),
        load_balancer_type="application",
        internal=settings.by_cloudfront,
        subnets=[
            subnet.id for subnet in (network.private_subnets if settings.by_cloudfront else network.public_subnets)
        ],
        security_groups=[network.groups[EDGE].id],
        drop_invalid_header_fields=True,
        desync_mitigation_mode="strictest",
        idle_timeout=IDLE_S,
        enable_deletion_protection=settings.protected,
        access_logs={"enabled": True, "bucket": logs, "prefix": EDGE},
        tags=names.tags(EDGE),
        opts=groups.within("Edge", EDGE, depends_on=[network.gateway]),
    )
    targets = {service.name: _targets(service, names, groups, network) for service in public_services(topology)}
    listener, certificate = _answering(topology, names, settings, groups, balancer)
    if settings.by_cloudfront:
        people: Mapping[str, pulumi.Input[str]] = cloudfront.build(topology, names, settings, groups, balancer)
    else:
        people = {service.name: names.host(service) for service in public_services(topology)}
    rules = tuple(
        aws.lb.ListenerRule(
            name,
            listener_arn=listener.arn,
            priority=priority,
            conditions=[{"host_header": {"values": [people[name]]}}],
            actions=[{"type": "forward", "target_group_arn": group.arn}],
            tags=names.tags(name),
            opts=groups.within("Service", name),
        )
        for priority, (name, group) in enumerate(sorted(targets.items()), start=1)
    )
    _publish(topology, names, settings, groups, balancer)
    return Edge(
        load_balancer=balancer,
        target_groups=targets,
        rules=rules,
        certificate=certificate,
        hosts=people,
        known=pulumi.Output.all(**people).apply(lambda found: _known(topology, names, settings, found)),
    )


def _answering(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups, balancer: aws.lb.LoadBalancer
) -> tuple[aws.lb.Listener, str | None]:
    """The listener that answers, and the authority of its certificate where clients have to be given one."""
    unknown = f"There is no such host; there are {', '.join(hosts(topology, names))}."
    if settings.by_cloudfront:
        unknown = "There is no such host."  # CloudFront's names are not known yet
    if settings.balancer_ports == (80,):
        return _listener(names, groups, balancer, unknown, port=80, protocol="HTTP"), None
    arn, certificate = signed.build(names, settings, groups)
    secure = {"certificate_arn": arn, "ssl_policy": TLS_POLICY}
    listener = _listener(names, groups, balancer, unknown, port=443, protocol="HTTPS", **secure)
    _to_https(names, groups, balancer)
    return listener, certificate


def _known(
    topology: Topology, names: Names, settings: AwsSettings, people: Mapping[str, str]
) -> Mapping[str, Mapping[str, str]]:
    """What references to pages and hosts come to: where people find a service, and how it may be addressed."""
    return {
        name: {
            "page": f"{settings.scheme}://{host}",
            "hosts": f"{allowed(names.host(topology.service(name)))},{host}",
        }
        for name, host in people.items()
    }


def _targets(service: Service, names: Names, groups: Groups, network: Network) -> aws.lb.TargetGroup:
    return aws.lb.TargetGroup(
        service.name,
        name=names.of(service.name),
        target_type="ip",
        protocol="HTTP",
        port=service.public_port,
        vpc_id=network.vpc.id,
        # No new requests while those under way end; after that the container is given SIGTERM.
        deregistration_delay=service.stop_timeout,
        health_check=aws.lb.TargetGroupHealthCheckArgs(
            path=service.health.path if service.health else "/",
            matcher="200",
            healthy_threshold=2,
            **_patience(service),
        ),
        tags=names.tags(service.name),
        opts=groups.within("Service", service.name),
    )


def _patience(service: Service) -> dict[str, Any]:
    """As patient as the container's own check, since ECS replaces a container for either: seconds and attempts."""
    check = service.health or HealthCheck()
    interval = max(_LEAST_INTERVAL_S, check.interval)
    attempts = min(_MOST_ATTEMPTS, max(2, round(check.interval * check.retries / interval)))
    return {"interval": interval, "timeout": check.timeout, "unhealthy_threshold": attempts}


def _listener(
    names: Names, groups: Groups, balancer: aws.lb.LoadBalancer, unknown: str, *, port: int, **options: Any
) -> aws.lb.Listener:
    name = f"{EDGE}-{port}"
    return aws.lb.Listener(
        name,
        load_balancer_arn=balancer.arn,
        port=port,
        default_actions=[
            {
                "type": "fixed-response",
                "fixed_response": {
                    "content_type": "text/plain",
                    "message_body": unknown,
                    "status_code": "404",
                },
            }
        ],
        tags=names.tags(name),
        opts=groups.within("Edge", EDGE),
        **options,
    )


def _to_https(names: Names, groups: Groups, balancer: aws.lb.LoadBalancer) -> None:
    aws.lb.Listener(
        f"{EDGE}-80",
        load_balancer_arn=balancer.arn,
        port=80,
        protocol="HTTP",
        default_actions=[
            {"type": "redirect", "redirect": {"port": "443", "protocol": "HTTPS", "status_code": "HTTP_301"}}
        ],
        tags=names.tags(f"{EDGE}-80"),
        opts=groups.within("Edge", EDGE),
    )


def _publish(
    topology: Topology, names: Names, settings: AwsSettings, groups: Groups, balancer: aws.lb.LoadBalancer
) -> None:
    """The names of public services in the public zone, if there is one; inside the VPC its own zone comes first."""
    for service in public_services(topology) if settings.hosted_zone else ():
        aws.route53.Record(
            service.name,
            zone_id=settings.hosted_zone,
            name=names.host(service),
            type="A",
            aliases=[{"name": balancer.dns_name, "zone_id": balancer.zone_id, "evaluate_target_health": False}],
            opts=groups.within("Service", service.name),
        )
