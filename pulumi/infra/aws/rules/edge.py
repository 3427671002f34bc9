"""What must hold of the load balancer, and of who is let in and out."""

from collections.abc import Iterator
from typing import Any

from infra.aws.graph import Graph
from infra.aws.imagined import own_name
from infra.aws.lower import public_services
from infra.aws.rules.common import containers, declared, expect
from infra.spec import Service

_TLS_POLICIES = {"ELBSecurityPolicy-TLS13-1-2-Res-2021-06"}


def the_edge_is_strict(graph: Graph) -> Iterator[str]:
    """The edge is strict."""
    kind = "private" if graph.settings.by_cloudfront else "public"
    edge = graph.of("lb.LoadBalancer")["edge"]
    yield from expect(
        "edge",
        edge,
        dropInvalidHeaderFields=True,
        desyncMitigationMode="strictest",
        accessLogs={"enabled": True, "bucket": graph.of("s3.Bucket")["logs"]["bucket"], "prefix": "edge"},
        internal=graph.settings.by_cloudfront,
        subnets=[f"id of {kind}-{number}" for number in (1, 2)],
        securityGroups=["id of edge"],
    )
    if edge["idleTimeout"] != 4000:  # the most that AWS takes
        yield f"a connection on which nothing is said is closed after {edge['idleTimeout']} s"


def listeners_speak_tls_and_know_the_public_hosts(graph: Graph) -> Iterator[str]:
    """Listeners speak tls and know the public hosts."""
    listeners = {listener["port"]: listener for listener in graph.of("lb.Listener").values()}
    ports = graph.settings.balancer_ports
    if set(listeners) != set(ports):
        yield f"there are listeners at {sorted(listeners)}"
        return
    port = max(ports)
    answering = listeners[port]
    [nothing] = answering["defaultActions"]
    if nothing["type"] != "fixed-response" or nothing["fixedResponse"]["statusCode"] != "404":
        yield "unknown hosts are answered"
    if len(ports) > 1:
        yield from _speaks_tls(graph, answering, plain=listeners[80])
    hosts = {}
    for name, one in graph.of("lb.ListenerRule").items():
        yield from expect(name, one, listenerArn=f"arn of lb.Listener edge-{port}")
        [condition], [action] = one["conditions"], one["actions"]
        hosts[tuple(condition["hostHeader"]["values"])] = (action["type"], action["targetGroupArn"])
    if hosts != {
        (_host(graph, service),): ("forward", f"arn of lb.TargetGroup {service.name}")
        for service in public_services(declared(graph))
    }:
        yield f"hosts lead to {hosts}"


def _speaks_tls(graph: Graph, secure: dict[str, Any], *, plain: dict[str, Any]) -> Iterator[str]:
    own = graph.settings.certificate_arn or "arn of acm.Certificate edge"
    yield from expect("443", secure, protocol="HTTPS", certificateArn=own)
    if secure.get("sslPolicy") not in _TLS_POLICIES:
        yield f"443 speaks {secure.get('sslPolicy')}"
    redirect = {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}
    if plain["defaultActions"] != [{"type": "redirect", "redirect": redirect}]:
        yield "plain HTTP is answered"


def _host(graph: Graph, service: Service) -> str:
    """The name by which people reach a service."""
    return own_name(service.name) if graph.settings.by_cloudfront else graph.names.host(service)


def targets_are_checked_and_drained(graph: Graph) -> Iterator[str]:
    """Targets are checked and drained."""
    paths = {service.name: service.health.path for service in declared(graph).services if service.health}
    for name, group in graph.of("lb.TargetGroup").items():
        yield from expect(name, group["healthCheck"], path=paths[name], matcher="200")
        yield from expect(name, group, targetType="ip", vpcId="id of vpc")
        check, own = group["healthCheck"], containers(graph)[name][name]["healthCheck"]
        if check["interval"] * check["unhealthyThreshold"] < own["interval"] * own["retries"]:
            yield f"{name} is replaced by the load balancer before its own check gives it up"
        if name == "ray-head" and own["interval"] * own["retries"] < 180:
            yield "a busy driver ends the cluster"
        if group["deregistrationDelay"] > containers(graph)[name][name]["stopTimeout"]:
            yield f"{name} is killed while it still has requests"


def only_the_edge_takes_outside_addresses(graph: Graph) -> Iterator[str]:
    """Only the edge takes outside addresses."""
    let_in = set()
    for name, one in graph.of("vpc.SecurityGroupIngressRule").items():
        if one.get("cidrIpv6"):
            yield f"{name} lets in addresses"
        # A list's id is another one in each region; the one that is meant is CloudFront's.
        listed = "a list" if str(one.get("prefixListId")).startswith("pl-") else None
        if source := one.get("cidrIpv4") or listed:
            let_in.add((one["securityGroupId"], source, one["fromPort"], one["toPort"], one["ipProtocol"]))
        elif not str(one.get("referencedSecurityGroupId")).startswith("id of "):
            yield f"{name} lets in somebody else"
    settings = graph.settings
    sources = ("a list",) if settings.by_cloudfront else settings.allowed_cidrs
    if let_in != {("id of edge", source, port, port, "tcp") for source in sources for port in settings.balancer_ports}:
        yield f"outside addresses come in at {let_in}"


def groups_let_out_https_and_what_others_let_in(graph: Graph) -> Iterator[str]:
    """Groups let out https and what others let in."""

    def ends(kind: str) -> set[tuple[Any, ...]]:
        return {
            (one["securityGroupId"], one["referencedSecurityGroupId"], one["fromPort"], one["toPort"])
            for one in graph.of(kind).values()
            if "referencedSecurityGroupId" in one
        }

    let_in = {(source, to, first, last) for to, source, first, last in ends("vpc.SecurityGroupIngressRule")}
    if let_in != ends("vpc.SecurityGroupEgressRule"):
        yield "what one group lets out is not what the other lets in"
    for name, one in graph.of("vpc.SecurityGroupEgressRule").items():
        if "cidrIpv4" in one and (one["fromPort"], one["toPort"], one["ipProtocol"]) != (443, 443, "tcp"):
            yield f"{name} lets out more than HTTPS"
    for kind in ("vpc.SecurityGroupIngressRule", "vpc.SecurityGroupEgressRule"):
        yield from (f"{name} says no reason" for name, one in graph.of(kind).items() if not one.get("description"))
    for name, group in graph.of("ec2.SecurityGroup").items():
        if group.get("ingress") or group.get("egress") or not group.get("description"):
            yield f"{name} has rules of its own or no description"
    yield from expect("unused", graph.of("ec2.DefaultSecurityGroup")["unused"], ingress=[], egress=[])


RULES = (
    the_edge_is_strict,
    listeners_speak_tls_and_know_the_public_hosts,
    targets_are_checked_and_drained,
    only_the_edge_takes_outside_addresses,
    groups_let_out_https_and_what_others_let_in,
)
