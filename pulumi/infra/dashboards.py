"""Prometheus and Grafana beside the services that they watch; on AWS, CloudWatch is in their place."""

from dataclasses import replace

from infra.options import GRAFANA_PASSWORD
from infra.secret_files import files
from infra.spec import SECRETS, HealthCheck, Image, Port, Service

IMAGES = (
    Image(name="prometheus", dockerfile="dashboards.Dockerfile", target="prometheus", user=65534),
    Image(name="grafana", dockerfile="dashboards.Dockerfile", target="grafana", user=472),
)


def beside(services: tuple[Service, ...]) -> tuple[Service, ...]:
    """The services, reached by what watches them, and that."""
    return (*map(_watched, services), _prometheus(), _grafana())


def _watched(service: Service) -> Service:
    """The same, reached by Prometheus if it has something to tell."""
    tells = service.name in ("webapp", "ray-head", "ray-worker")
    return replace(service, reached_by=(*service.reached_by, "prometheus")) if tells else service


def _prometheus() -> Service:
    """What it asks, and its rules, are in compose/dashboards/."""
    return Service(
        name="prometheus",
        image="prometheus",
        cpu=512,
        memory=1024,
        command=(
            *("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
            *("--storage.tsdb.retention.time=45d", "--storage.tsdb.retention.size=8GB"),  # the objective needs 30 days
        ),
        ports=(Port(name="http", number=9090, public=True),),
        health=HealthCheck(command=("wget", "-q", "--spider", "http://127.0.0.1:9090/-/healthy")),
        kept=("/prometheus",),
        after=("webapp",),
        reached_by=("grafana",),
        optional="dashboards",
    )


def _grafana() -> Service:
    """What it shows is in compose/dashboards/ too."""
    return Service(
        name="grafana",
        image="grafana",
        cpu=512,
        memory=1024,
        environment={
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{SECRETS}/{GRAFANA_PASSWORD}",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",  # they would be fetched at every start
        },
        secrets=files(GRAFANA_PASSWORD),
        ports=(Port(name="http", number=3000, public=True),),
        health=HealthCheck(command=("wget", "-q", "--spider", "http://127.0.0.1:3000/api/health")),
        kept=("/var/lib/grafana",),
        after=("prometheus",),
        optional="dashboards",
    )
