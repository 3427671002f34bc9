"""The topology as containers of one machine: what references become, who stands where, and what is left out."""

import copy
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.local.lower import lower, networks
from infra.settings import ROOT
from infra.spec import Bucket, Database, Image, Port, Ref, Service, Topology, Value
from infra.topology import topology
from infra.validate import TopologyError

ALL = frozenset({"jupyter"})


def small(**fields) -> Topology:
    """One service that uses a bucket and a database, and says what the test wants of it."""
    return Topology(
        images=(Image(name="mlflow", dockerfile="mlflow.Dockerfile"),),
        services=(
            Service(
                name="app",
                image="mlflow",
                cpu=256,
                memory=512,
                ports=(Port(name="http", number=80, public=True), Port(name="gcs", number=81)),
                buckets=("objects",),
                databases=("records",),
                **fields,
            ),
        ),
        buckets=(Bucket(name="objects"),),
        databases=(Database(name="records", user="owner", password="key"),),
        secrets=("key",),
    )


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        (Ref("app", "url"), "http://app:80"),
        (Ref("app", "hosts"), "app:80,localhost:80,127.0.0.1:80"),
        (Ref("app", "gcs"), "app:81"),
        (Ref("app", "http"), "app:80"),
        (Ref("objects", "uri"), "s3://hm-mlflow-objects"),
        (Ref("records", "uri"), "postgresql+psycopg2://owner@postgres:5432/owner"),
    ],
    ids=str,
)
def test_a_reference_becomes_the_address_among_containers_in_environment_and_command_alike(ref: Ref, text: str):
    app = lower(small(environment={"WHERE": ref}, command=("go", ref))).service("app")
    assert app.environment["WHERE"] == text
    assert app.command == ("go", text)


@pytest.mark.parametrize(
    ("service", "variable", "text"),
    [
        ("mlflow", "MLFLOW_BACKEND_STORE_URI", "postgresql+psycopg2://mlflow@postgres:5432/mlflow"),
        ("mlflow", "MLFLOW_ARTIFACTS_DESTINATION", "s3://hm-mlflow-artefacts"),
        ("mlflow", "MLFLOW_SERVER_ALLOWED_HOSTS", "mlflow:5000,localhost:5000,127.0.0.1:5000"),
        ("webapp", "MLFLOW_TRACKING_URI", "http://mlflow:5000"),
        ("webapp", "MLFLOW_PAGE_URL", "http://localhost:5000"),
        ("ray-head", "DATA_URI", "s3://hm-mlflow-data"),
        ("ray-head", "WEBAPP_URI", "http://webapp:8080"),
        ("ray-worker", "STATE_URI", "s3://hm-mlflow-state"),
        ("jupyter", "RAY_ADDRESS", "http://ray-head:8265"),
    ],
)
def test_the_services_find_each_other(service: str, variable: str, text: str):
    assert lower(topology()).service(service).environment[variable] == text


def test_a_worker_joins_the_head():
    command = lower(topology()).service("ray-worker").command
    assert command[command.index("--address") + 1] == "ray-head:6379"


@pytest.mark.parametrize("login", [False, True], ids=["no login", "login"])
def test_no_reference_is_left(login: bool):
    assert [ref for service in lower(topology(login=login)).services for ref in service.refs()] == []


def without_proxies(environment: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in environment.items() if name.upper() != "NO_PROXY"}


def test_containers_ask_each_other_past_the_proxy_that_docker_sets_in_them(monkeypatch):
    whole = lower(topology())
    for service in whole.services:
        if whole.image(service.image).public:
            continue
        monkeypatch.undo()
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://proxy.example:3128")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, str(service.environment[name]))
        for host in ("127.0.0.1", "localhost", *(other.name for other in whole.services)):
            assert urllib.request.proxy_bypass(f"{host}:80"), f"{service.name} asks {host} through the proxy"
        assert not urllib.request.proxy_bypass("pypi.example:443")


def test_a_health_check_asks_its_own_container_past_any_proxy(monkeypatch):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        command = [sys.executable, str(ROOT / "compose" / "images" / "healthy")]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{server.server_port}/health"], capture_output=True, text=True, check=False
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr


def test_who_uses_a_bucket_gets_the_store_s_address_and_a_file_of_credentials_and_waits_for_the_buckets():
    app = lower(small()).service("app")
    assert without_proxies(app.environment) == {
        "AWS_ENDPOINT_URL_S3": "http://minio:9000",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": "/run/secrets/object-store-credentials",
    }
    assert app.secrets == {"object-store-credentials": "/run/secrets/object-store-credentials"}
    assert app.after == ("minio-buckets", "postgres")


def test_who_uses_no_bucket_gets_nothing_of_the_object_store():
    whole = topology()
    environment = {"MLFLOW_TRACKING_URI": Ref("mlflow", "url")}
    services = tuple(
        replace(service, buckets=(), environment=environment) if service.name == "webapp" else service
        for service in whole.services
    )
    webapp = lower(replace(whole, services=services)).service("webapp")
    assert webapp.secrets == {}
    assert without_proxies(webapp.environment) == {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    assert webapp.after == ("mlflow",)


def test_the_bucket_setup_makes_every_bucket_once_and_ends():
    setup = lower(topology()).service("minio-buckets")
    assert setup.command == ("make-buckets", "hm-mlflow-data", "hm-mlflow-artefacts", "hm-mlflow-state")
    assert setup.once


def test_the_stores_know_their_users():
    whole = lower(topology())
    assert whole.service("postgres").reached_by == ("mlflow",)
    assert set(whole.service("minio").reached_by) == {
        *("mlflow", "ray-head", "ray-worker", "webapp", "jupyter", "minio-buckets"),
    }


def test_each_service_stands_behind_all_that_it_waits_for():
    whole = lower(topology(workers=3, login=True))
    names = [service.name for service in whole.services]
    assert sorted(names) == [
        *("jupyter", "minio", "minio-buckets", "mlflow", "postgres"),
        *("ray-head", "ray-worker", "webapp"),
    ]
    for place, service in enumerate(whole.services):
        assert set(service.after) <= set(names[:place]), service.name


def test_order_follows_the_waiting_and_else_the_order_given():
    def plain(name: str, *after: str) -> Service:
        return Service(name=name, image="", cpu=0, memory=0, after=after)

    services = (plain("last", "middle", "first"), plain("other"), plain("middle", "first"), plain("first"))
    whole = Topology(images=(), services=services, buckets=(), databases=(), secrets=())
    assert [service.name for service in whole.in_order()] == ["first", "middle", "last", "other"]


@pytest.mark.parametrize("wanted", [frozenset(), ALL], ids=["no jupyter", "jupyter"])
def test_only_postgres_and_its_one_user_share_a_network_of_their_own(wanted: frozenset[str]):
    on = networks(lower(topology().with_only(wanted)))
    assert on.pop("postgres") == ("postgres",)
    assert on.pop("mlflow") == ("common", "postgres")
    assert set(on.values()) == {("common",)}
    assert on.keys() == {"minio", "minio-buckets", "ray-head", "ray-worker", "webapp"} | wanted


def test_the_topology_stays_as_it_was():
    given = topology(workers=2, login=True)
    before = copy.deepcopy(given)
    lower(given)
    networks(lower(given))
    given.with_only(frozenset())
    assert given == before


def test_another_stack_has_buckets_of_its_own():
    setup = lower(topology(stack="try")).service("minio-buckets")
    assert setup.command[1:] == ("hm-mlflow-try-data", "hm-mlflow-try-artefacts", "hm-mlflow-try-state")


def test_lowering_twice_gives_the_same():
    assert lower(topology(login=True)) == lower(topology(login=True))


def test_an_optional_service_goes_with_its_image_its_secret_and_every_mention():
    whole, left = topology(), topology().with_only(frozenset())
    assert {service.name for service in whole.services} - {service.name for service in left.services} == {"jupyter"}
    assert {image.name for image in whole.images} - {image.name for image in left.images} == {"jupyter"}
    assert set(whole.secrets) - set(left.secrets) == {"jupyter-token"}
    assert any("jupyter" in service.reached_by for service in whole.services)
    assert not any("jupyter" in service.reached_by for service in left.services)
    assert "jupyter" not in repr(left)


def test_an_optional_service_that_is_wanted_stays_with_all_that_is_its():
    assert topology(login=True).with_only(ALL) == topology(login=True)


def test_what_others_use_too_stays_when_an_optional_service_goes():
    left = topology(login=True).with_only(frozenset())
    assert set(left.secrets) == {
        *("database-password", "ray-token", "mlflow-admin-password", "mlflow-jobs-password"),
        *("mlflow-serving-password", "mlflow-session-key"),
    }


def test_a_topology_that_cannot_be_built_is_refused_before_and_after_lowering():
    with pytest.raises(TopologyError, match=r"app wants the service 'nobody'"):
        lower(small(after=("nobody",)))
    clash = Service(
        name="other", image="mlflow", cpu=256, memory=512, ports=(Port(name="http", number=9000, public=True),)
    )
    with pytest.raises(TopologyError, match=r"Port 9000 is public for minio and other"):
        lower(replace(small(), services=(*small().services, clash)))


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(LookupError, match=r"There is no service 'beck'; there are app\."):
        small().service("beck")
    with pytest.raises(LookupError, match=r"There is no image 'x'; there are mlflow\."):
        small().image("x")
    with pytest.raises(LookupError, match=r"There is no database 'x'; there are records\."):
        small().database("x")
