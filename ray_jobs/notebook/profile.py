"""The settings of a notebook by its profile: this machine, or a stack that is reached through its load balancer."""

import logging
import os
import socket
import warnings
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from registry.settings import LOCAL, Settings, SettingsError, load_settings

_TRACKING = "https://mlflow.hm-mlflow.internal"  # as a stack has it whose `domain` was not changed
_AUTHORITY = LOCAL / "aws" / "authority.pem"  # `make token STACK=aws` writes it
# Each library reads one of these: MLflow, what is built on requests, and what is built on httpx.
_TRUST = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_KEY = "API_KEY"  # as `make token` names a key to the page
_resolve = socket.getaddrinfo


def profile_settings(profile: str, *, alb_dns_name: str = "", bucket: str = "") -> Settings:
    """The settings of "local" or "cloud", whatever EXECUTION_ENVIRONMENT says.

    The cloud is a stack behind its load balancer, with X-rays in its bucket. This process then asks the balancer for
    the stack's names, which no name server outside of AWS knows. A notebook of the stack itself needs neither argument:
    its environment has the addresses.

    Raises
    ------
    SettingsError
        If the cloud is meant and what leads there is not known, or another setting is wrong.
    """
    _without_widgets()
    if profile != "cloud":
        return load_settings(execution_environment=profile)
    given = load_settings(execution_environment="local")  # whatever is set, before it is known whether it is enough
    balancer, bucket = alb_dns_name.strip(), bucket.strip().removeprefix("s3://")
    addressed = given.mlflow_tracking_uri_cloud and (given.ray_address or "").startswith(("http://", "https://"))
    lacking = [] if balancer or addressed else ["ALB_DNS_NAME"]
    lacking += [] if bucket or given.data_uri.startswith("s3://") else ["DATASOURCE_BUCKET_NAME"]
    if lacking:
        raise SettingsError(
            f"PROFILE is 'cloud', but {' and '.join(lacking)} {'are' if lacking[1:] else 'is'} empty: write there what "
            "`pulumi stack output --stack aws` shows as loadBalancer and data, or choose PROFILE = 'local'."
        )
    addresses = _addresses(given) if balancer else {}
    if balancer:
        ask_for_names(balancer, [host for uri in addresses.values() if (host := urlsplit(uri).hostname)])
        _trust_the_stack()
    key = os.environ.get(_KEY)
    return load_settings(
        execution_environment="cloud",
        data_uri=f"s3://{bucket}" if bucket else None,
        api_keys=f"notebook:{key}" if key and not given.api_keys else None,
        **addresses,
    )


def _without_widgets() -> None:
    """Progress is told in lines; two libraries would say at length that they have no widgets for it."""
    warnings.filterwarnings("ignore", message="IProgress not found")
    logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)


def _addresses(given: Settings) -> dict[str, str]:
    """Where MLflow, Ray and the page are: as set, else beside MLflow, by the names that every stack has."""
    tracking = given.mlflow_tracking_uri_cloud or _TRACKING
    parts = urlsplit(tracking)
    domain = (parts.hostname or "").partition(".")[2]
    port = f":{parts.port}" if parts.port else ""
    beside = {name: f"{parts.scheme}://{name}.{domain}{port}" for name in ("ray", "app")}
    return {
        "mlflow_tracking_uri_cloud": tracking,
        "ray_address": given.ray_address or beside["ray"],
        "webapp_uri": given.webapp_uri or beside["app"],
    }


def ask_for_names(balancer: str, hosts: Collection[str]) -> None:
    """Let this process find some hosts at a load balancer: every library asks `socket` for addresses.

    The name stays the one that is asked for: by it the balancer knows which service is meant, and its certificate fits.
    """
    known = {host.lower() for host in hosts}

    def asked(host: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return _resolve(balancer if name and name.lower() in known else host, *rest, **named)

    socket.getaddrinfo = asked


def _trust_the_stack() -> None:
    """Trust the stack's own authority, where there is one and nobody said otherwise."""
    if _AUTHORITY.is_file():
        for name in _TRUST:
            os.environ.setdefault(name, str(_AUTHORITY))
