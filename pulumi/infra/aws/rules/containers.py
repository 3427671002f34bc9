"""What must hold of containers, of their images and of where they run."""

from collections.abc import Iterator

from infra.aws.graph import Graph
from infra.aws.rules.common import containers, declared, each_container, expect, is_hidden


def containers_can_do_little(graph: Graph) -> Iterator[str]:
    """Containers can do little."""
    for name, container in each_container(graph):
        yield from expect(name, container, readonlyRootFilesystem=True, privileged=False)
        yield from expect(name, container["linuxParameters"], capabilities={"drop": ["ALL"]}, initProcessEnabled=True)
        task = graph.of("ecs.TaskDefinition")[name.split("/")[0]]
        inside = containers(graph)[name.split("/")[0]].values()
        if sum(one.get("memory", 0) for one in inside) != int(task["memory"]):
            yield f"{name} sees memory that its task does not have"
        in_memory = sum(one["size"] for one in container["linuxParameters"].get("tmpfs", []))
        if in_memory > int(task["memory"]) / 2 + 1:  # a MiB is for secrets
            yield f"{name} may fill its memory with {in_memory} MiB of files"
        user = container.get("user", "root")
        if not user.isdigit() or int(user) < 1000:
            yield f"{name} runs as {user}"


def containers_run_images_by_digest(graph: Graph) -> Iterator[str]:
    """Containers run images by digest."""
    for name, container in each_container(graph):
        if "@sha256:" not in container["image"]:
            yield f"{name} runs {container['image']}"


def services_are_watched_and_rolled_back(graph: Graph) -> Iterator[str]:
    """Services are watched and rolled back."""
    for name, service in graph.of("ecs.Service").items():
        breaker = {"enable": True, "rollback": True}
        yield from expect(name, service, deploymentCircuitBreaker=breaker, waitForSteadyState=True)
        if "healthCheck" not in containers(graph)[name][name]:
            yield f"{name} has no health check"
    insights = [{"name": "containerInsights", "value": "enabled" if graph.careful else "disabled"}]
    yield from expect("cluster", graph.of("ecs.Cluster")["cluster"], settings=insights)


def there_are_never_two_heads(graph: Graph) -> Iterator[str]:
    """There are never two heads."""
    yield from expect("ray-worker", graph.of("ecs.Service")["ray-worker"], availabilityZoneRebalancing="DISABLED")
    for name in ("ray-head", "mlflow"):
        yield from expect(
            name,
            graph.of("ecs.Service")[name],
            desiredCount=1,
            deploymentMinimumHealthyPercent=0,
            deploymentMaximumPercent=100,
            availabilityZoneRebalancing="DISABLED",
        )
    scaled = set(graph.of("appautoscaling.Target"))
    if scaled != {service.name for service in declared(graph).services if service.scaling}:
        yield f"autoscaling moves {scaled}"


def the_page_runs_in_both_zones(graph: Graph) -> Iterator[str]:
    """In prod; dev has one page, for its price and for the quota of a new account."""
    page = graph.of("ecs.Service")["webapp"]
    if not graph.careful:
        return
    yield from expect("webapp", page, deploymentMinimumHealthyPercent=100, availabilityZoneRebalancing="ENABLED")
    if page["desiredCount"] < 2 or graph.of("appautoscaling.Target")["webapp"]["minCapacity"] < 2:
        yield "there may be one page only"
    zones = {subnet["availabilityZone"] for name, subnet in graph.of("ec2.Subnet").items() if "private" in name}
    if len(zones) < 2:
        yield "the private subnets are in one zone"


def services_stand_where_nobody_can_connect_to_them(graph: Graph) -> Iterator[str]:
    """In private subnets; or in dev with addresses of their own, to which no group lets anybody in."""
    hidden = is_hidden(graph)
    if graph.careful and not hidden:
        yield "services have public addresses"
    kind = "private" if hidden else "public"
    for name, service in graph.of("ecs.Service").items():
        yield from expect(
            name,
            service["networkConfiguration"],
            assignPublicIp=not hidden,
            subnets=[f"id of {kind}-1", f"id of {kind}-2"],
            securityGroups=[f"id of {name}"],
        )
        yield from expect(name, service, enableExecuteCommand=False)
    for name, subnet in graph.of("ec2.Subnet").items():
        yield from expect(name, subnet, mapPublicIpOnLaunch=False)


def only_what_may_be_interrupted_runs_on_spare_capacity(graph: Graph) -> Iterator[str]:
    """Only what may be interrupted runs on spare capacity."""
    interruptible = {service.name for service in declared(graph).services if service.interruptible}
    for name, service in graph.of("ecs.Service").items():
        spare = not graph.careful and name in interruptible
        spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
        yield from expect(name, service, capacityProviderStrategies=spot if spare else None)
        yield from expect(name, service, launchType=None if spare else "FARGATE")
    there = graph.of("ecs.ClusterCapacityProviders").get("cluster", {})
    yield from expect("cluster", there, capacityProviders=["FARGATE", "FARGATE_SPOT"])


def images_are_scanned_and_can_be_pushed_again(graph: Graph) -> Iterator[str]:
    """Images are scanned; a tag can be pushed again, because containers run digests."""
    for name, repository in graph.of("ecr.Repository").items():
        yield from expect(
            name, repository, imageTagMutability="MUTABLE", imageScanningConfiguration={"scanOnPush": True}
        )
        if name not in graph.of("ecr.LifecyclePolicy"):
            yield f"{name} grows for ever"


def logs_are_kept_for_a_time(graph: Graph) -> Iterator[str]:
    """Logs are kept for a time."""
    groups = graph.of("cloudwatch.LogGroup")
    for name, group in groups.items():
        if group.get("retentionInDays") not in (30, 365):
            yield f"{name} is kept for {group.get('retentionInDays')}"
    for task, inside in containers(graph).items():
        for container in inside.values():
            log = container["logConfiguration"]
            if log["logDriver"] != "awslogs" or log["options"]["awslogs-group"] != groups[task]["name"]:
                yield f"{task} logs elsewhere"


def the_notebook_is_closed(graph: Graph) -> Iterator[str]:
    """The notebook is closed."""
    [notebook] = graph.of("sagemaker.NotebookInstance").values()
    hidden = is_hidden(graph)
    yield from expect(
        "notebook",
        notebook,
        # Without a NAT gateway SageMaker's own network leads to the internet, and in from nowhere.
        directInternetAccess="Disabled" if hidden else "Enabled",
        rootAccess="Disabled",
        instanceMetadataServiceConfiguration={"minimumInstanceMetadataServiceVersion": "2"},
        subnetId="id of private-1",
        securityGroups=["id of jupyter"],
    )


RULES = (
    containers_can_do_little,
    containers_run_images_by_digest,
    services_are_watched_and_rolled_back,
    there_are_never_two_heads,
    the_page_runs_in_both_zones,
    services_stand_where_nobody_can_connect_to_them,
    only_what_may_be_interrupted_runs_on_spare_capacity,
    images_are_scanned_and_can_be_pushed_again,
    logs_are_kept_for_a_time,
    the_notebook_is_closed,
)
