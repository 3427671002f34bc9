"""The way in: a load balancer with a host for each public service; to every other host it answers 404."""

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.lower import hosts, public_services
from infra.aws.names import EDGE, Names
from infra.aws.parts import Edge, Network
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.settings import SettingError
from infra.spec import Service, Topology

# TLS 1.3, and 1.2 with forward secrecy.
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
# The longest that AWS takes: whoever follows a job's log has a connection on which nothing may be said for long.
IDLE_S = 4000


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
        internal=False,
        subnets=[subnet.id for subnet in network.public_subnets],
        security_groups=[network.groups[EDGE].id],
        drop_invalid_header_fields=True,
        desync_mitigation_mode="strictest",
        idle_timeout=IDLE_S,
        enable_deletion_protection=settings.protected,
        access_logs={"enabled": True, "bucket": logs, "prefix": EDGE},
        tags=names.tags(EDGE),
        opts=groups.within("Edge", EDGE),
    )
    targets = {service.name: _targets(service, names, groups, network) for service in public_services(topology)}
    unknown = f"There is no such host; there are {', '.join(hosts(topology, names))}."
    certificate = None
    if settings.plain_http:
        listener = _listener(names, groups, balancer, unknown, port=80, protocol="HTTP")
    else:
        arn, certificate = _certificate(names, settings, groups)
        secure = {"certificate_arn": arn, "ssl_policy": TLS_POLICY}
        listener = _listener(names, groups, balancer, unknown, port=443, protocol="HTTPS", **secure)
        _to_https(names, groups, balancer)
    rules = tuple(
        aws.lb.ListenerRule(
            name,
            listener_arn=listener.arn,
            priority=priority,
            conditions=[{"host_header": {"values": [names.host(topology.service(name))]}}],
            actions=[{"type": "forward", "target_group_arn": group.arn}],
            tags=names.tags(name),
            opts=groups.within("Service", name),
        )
        for priority, (name, group) in enumerate(sorted(targets.items()), start=1)
    )
    return Edge(load_balancer=balancer, target_groups=targets, rules=rules, certificate=certificate)


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
        health_check={
            "path": service.health.path if service.health else "/",
            "matcher": "200",
            "interval": 10,
            "timeout": 5,
            "healthy_threshold": 2,
            "unhealthy_threshold": 3,
        },
        tags=names.tags(service.name),
        opts=groups.within("Service", service.name),
    )


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


def _certificate(names: Names, settings: AwsSettings, groups: Groups) -> tuple[pulumi.Input[str], str | None]:
    """The certificate's ARN, and the text of its authority where clients have to be given it."""
    if settings.certificate_arn:
        return settings.certificate_arn, None
    config = pulumi.Config()
    key, certificate, authority = config.get_secret("tlsKey"), config.get("tlsCertificate"), config.get("tlsAuthority")
    if key is None or certificate is None or authority is None:
        raise SettingError(
            f"tlsKey, tlsCertificate or tlsAuthority is not set in {pulumi.get_stack()}; `make stack "
            f"STACK={pulumi.get_stack()}` makes them, or certificateArn names a certificate of yours in ACM."
        )
    imported = aws.acm.Certificate(
        EDGE,
        private_key=key,
        certificate_body=certificate,
        certificate_chain=authority,
        tags=names.tags(EDGE),
        opts=groups.within("Edge", EDGE),
    )
    return imported.arn, authority
