"""The network: a VPC over two zones, what is public, what is private, and how private things reach AWS."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws import zones
from infra.aws.names import DATABASE, EDGE, ENDPOINTS, Names
from infra.aws.network import firewall
from infra.aws.network.firewall import Opening, openings
from infra.aws.parts import Network
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.spec import Topology

ANYWHERE = "0.0.0.0/0"
# The addresses from which CloudFront asks what stands behind it; AWS keeps the list.
_CLOUDFRONT = "com.amazonaws.global.cloudfront.origin-facing"
_CIDR = "10.20.0.0/16"
_IN_EVERY_ACCOUNT: Any = {"name": "opt-in-status", "values": ["opt-in-not-required"]}  # no local zones
# What the services and the notebook call, where they reach AWS without the internet.
_CALLED = ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "sts", "sagemaker.api", "monitoring")


def build(topology: Topology, names: Names, settings: AwsSettings, groups: Groups) -> Network:
    """Declare the network of a lowered topology. A security group stands with what it guards."""
    opts = groups.within("Network", "network")
    stands = _zones(settings)
    vpc = aws.ec2.Vpc(
        "vpc", cidr_block=_CIDR, enable_dns_hostnames=True, enable_dns_support=True, tags=names.tags("vpc"), opts=opts
    )
    # The group that AWS makes with the VPC lets its members talk to one another; emptied, nothing can use it unawares.
    aws.ec2.DefaultSecurityGroup("unused", vpc_id=vpc.id, ingress=[], egress=[], tags=names.tags("unused"), opts=opts)
    public, private = (
        tuple(
            aws.ec2.Subnet(
                f"{kind}-{n + 1}",
                vpc_id=vpc.id,
                availability_zone=zone,
                cidr_block=cidr.format(first + step * n),
                map_public_ip_on_launch=False,
                tags=names.tags(f"{kind}-{n + 1}"),
                # One that stands stays where it is, whatever AWS offers elsewhere later.
                opts=groups.within("Network", "network", ignore_changes=["availabilityZone"]),
            )
            for n, zone in enumerate(stands)
        )
        for kind, cidr, first, step in (("public", "10.20.{}.0/24", 0, 1), ("private", "10.20.{}.0/20", 16, 16))
    )
    gateway = aws.ec2.InternetGateway("internet", vpc_id=vpc.id, tags=names.tags("internet"), opts=opts)
    tables, ways = _routes(names, settings, groups, gateway, vpc=vpc, public=public, private=private)
    guarded = firewall.groups(topology, endpoints=settings.egress == "endpoints")
    owners = {name: _owner(topology, name) for name in guarded}
    by_group = {
        name: aws.ec2.SecurityGroup(
            name,
            name=names.of(name),
            description=f"{names.project}: {name}",
            vpc_id=vpc.id,
            tags=names.tags(name),
            opts=groups.within(*owner, delete_before_replace=True),
        )
        for name, owner in owners.items()
    }
    ways += _endpoints(names, settings, groups, vpc=vpc, private=private, tables=tables, by_group=by_group)
    for opening in openings(topology, endpoints=settings.egress == "endpoints"):
        _open(names, groups, opening, by_group, owners)
    _outside(names, settings, groups, by_group, owners)
    namespace = aws.servicediscovery.PrivateDnsNamespace(
        "zone",
        name=names.domain,
        description="Where the services of the stack are found inside its VPC",
        vpc=vpc.id,
        tags=names.tags("zone"),
        opts=opts,
    )
    return Network(
        vpc=vpc,
        gateway=gateway,
        public_subnets=public,
        private_subnets=private,
        service_subnets=public if settings.egress == "public" else private,
        public_addresses=settings.egress == "public",
        groups=by_group,
        namespace=namespace,
        ways=tuple(ways),
    )


def _zones(settings: AwsSettings) -> list[str]:
    """Two zones that have the database's machine, and are such that people reach what stands in them."""
    there = aws.get_availability_zones(state="available", filters=[_IN_EVERY_ACCOUNT])
    offered = aws.ec2.get_instance_type_offerings(
        location_type="availability-zone",
        filters=[{"name": "instance-type", "values": [zones.machine(settings.environment)]}],
    )
    reached = zones.behind_cloudfront(there.names, there.zone_ids) if settings.by_cloudfront else there.names
    return zones.chosen(reached, offered.locations)


def _owner(topology: Topology, group: str) -> tuple[str, str]:
    """The kind and the name of what a security group guards."""
    if any(group == service.name for service in topology.services):
        return "Service", group
    return {EDGE: ("Edge", EDGE), DATABASE: ("Database", topology.databases[0].name)}.get(group, ("Network", "network"))


def _routes(
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    internet: aws.ec2.InternetGateway,
    *,
    vpc: aws.ec2.Vpc,
    public: tuple[aws.ec2.Subnet, ...],
    private: tuple[aws.ec2.Subnet, ...],
) -> tuple[list[aws.ec2.RouteTable], list[pulumi.Resource]]:
    """The tables of both kinds of subnet; gives those of services, and what makes them lead somewhere."""
    opts = groups.within("Network", "network")
    to_public, to_private = (
        aws.ec2.RouteTable(name, vpc_id=vpc.id, tags=names.tags(name), opts=opts) for name in ("public", "private")
    )
    ways: list[pulumi.Resource] = []
    for number, (outer, inner) in enumerate(zip(public, private, strict=True), start=1):
        outward = aws.ec2.RouteTableAssociation(
            f"public-{number}", subnet_id=outer.id, route_table_id=to_public.id, opts=opts
        )
        ways += [outward] if settings.egress == "public" else []
        ways.append(
            aws.ec2.RouteTableAssociation(
                f"private-{number}", subnet_id=inner.id, route_table_id=to_private.id, opts=opts
            )
        )
    anywhere: Any = {"destination_cidr_block": ANYWHERE, "opts": opts}
    outside = aws.ec2.Route("public", route_table_id=to_public.id, gateway_id=internet.id, **anywhere)
    if settings.egress == "nat":
        reached = groups.within("Network", "network", depends_on=[internet])
        address = aws.ec2.Eip("nat", domain="vpc", tags=names.tags("nat"), opts=reached)
        nat = aws.ec2.NatGateway(
            "nat", allocation_id=address.id, subnet_id=public[0].id, tags=names.tags("nat"), opts=opts
        )
        ways.append(aws.ec2.Route("private", route_table_id=to_private.id, nat_gateway_id=nat.id, **anywhere))
    if settings.egress == "public":
        return [to_private, to_public], [*ways, outside]
    return [to_private], ways


def _endpoints(
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    *,
    vpc: aws.ec2.Vpc,
    private: tuple[aws.ec2.Subnet, ...],
    tables: list[aws.ec2.RouteTable],
    by_group: dict[str, aws.ec2.SecurityGroup],
) -> list[pulumi.Resource]:
    """Ways to AWS that leave the internet out: to S3 always, since it costs nothing; to the rest by setting."""
    opts = groups.within("Network", "network")
    storage = aws.ec2.VpcEndpoint(
        "s3",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{settings.region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id for table in tables],
        tags=names.tags("s3"),
        opts=opts,
    )
    made: list[pulumi.Resource] = [storage]
    for called in _CALLED if settings.egress == "endpoints" else ():
        name = called.replace(".", "-")
        made.append(
            aws.ec2.VpcEndpoint(
                name,
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{settings.region}.{called}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in private],
                security_group_ids=[by_group[ENDPOINTS].id],
                tags=names.tags(name),
                opts=opts,
            )
        )
    return made


def _open(
    names: Names,
    groups: Groups,
    opening: Opening,
    by_group: dict[str, aws.ec2.SecurityGroup],
    owners: dict[str, tuple[str, str]],
) -> None:
    """Both ends of an opening: the one lets in what the other lets out."""
    ports: dict[str, Any] = {
        "ip_protocol": "tcp",
        "from_port": opening.first,
        "to_port": opening.last,
        "description": opening.reason,
    }
    name = f"{opening.to}-from-{opening.source}-{opening.first}"
    aws.vpc.SecurityGroupIngressRule(
        name,
        security_group_id=by_group[opening.to].id,
        referenced_security_group_id=by_group[opening.source].id,
        tags=names.tags(name),
        opts=groups.within(*owners[opening.to]),
        **ports,
    )
    aws.vpc.SecurityGroupEgressRule(
        name,
        security_group_id=by_group[opening.source].id,
        referenced_security_group_id=by_group[opening.to].id,
        tags=names.tags(name),
        opts=groups.within(*owners[opening.source]),
        **ports,
    )


def _outside(
    names: Names,
    settings: AwsSettings,
    groups: Groups,
    by_group: dict[str, aws.ec2.SecurityGroup],
    owners: dict[str, tuple[str, str]],
) -> None:
    """People come in at the edge, from where the settings say; services go out by HTTPS alone."""
    for called, source in _people(settings):
        for port in settings.balancer_ports:
            name = f"{EDGE}-{port}-{called}"
            aws.vpc.SecurityGroupIngressRule(
                name,
                security_group_id=by_group[EDGE].id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                tags=names.tags(name),
                opts=groups.within(*owners[EDGE]),
                **source,
            )
    # S3's addresses are public ones, even by the gateway endpoint; without NAT nothing else answers there.
    for name, group in by_group.items():
        if name not in (EDGE, DATABASE, ENDPOINTS):
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-https",
                security_group_id=group.id,
                cidr_ipv4=ANYWHERE,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description="AWS, and with a NAT gateway the internet, by HTTPS",
                tags=names.tags(f"{name}-https"),
                opts=groups.within(*owners[name]),
            )


def _people(settings: AwsSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where people come from, by a name for each: CloudFront, which asks who they are, or their own networks."""
    if settings.by_cloudfront:
        listed = aws.ec2.get_managed_prefix_list(name=_CLOUDFRONT)
        yield "cloudfront", {"prefix_list_id": listed.id, "description": "People, by CloudFront"}
        return
    for cidr in settings.allowed_cidrs:
        yield cidr, {"cidr_ipv4": cidr, "description": "People, by the setting allowedCidrs"}
