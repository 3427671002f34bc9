"""The dashboard's queries and the alerts on a real Prometheus, which asks a real server."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import yaml

from infra.aws.watch.alarms import Watched, alarms
from infra.topology import topology
from registry.model.verified_cache import VerifiedCache
from registry.production.current import production
from registry.settings import ROOT
from registry.state import open_state
from serve.api import create_app
from serve.inference.recorder import PredictionRecorder
from serve.metrics import Metrics
from serve.production.model import Holder
from serve.production.watcher import Watcher
from tests.serve.support.live import running
from tests.serve.support.models import GeneratedXrays, Registry
from tests.serve.support.waiting import free_port, until

SHIPPED = ROOT / "compose" / "dashboards"
BOARD = json.loads((SHIPPED / "hm-mlflow.json").read_text())
RULES = yaml.safe_load((SHIPPED / "rules.yml").read_text())
QUERIES = {
    f"{panel['title']}: {target['legendFormat']}": target["expr"]
    for panel in BOARD["panels"]
    for target in panel["targets"]
}
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="no `prometheus` on the PATH; on Debian: apt-get install prometheus",
)


@dataclass
class Watch:
    """Prometheus, and what it watches."""

    url: str
    page: str
    holder: Holder
    watcher: Watcher
    image: bytes

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of a query, at this moment."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def number(self, query: str) -> float:
        """The one number of a query; NaN as long as there is none."""
        found = self.ask(query)
        return float(found[0]["value"][1]) if found else float("nan")

    def seen(self, status: str) -> None:
        """Wait for the zero of a status: a rate is of what is counted after it."""
        until(lambda: self.ask(f'hm_requests_total{{route="/predict",status="{status}"}}'))

    def predict(self, image: bytes) -> httpx.Response:
        return httpx.post(f"{self.page}/predict", content=image, headers={"content-type": "image/png"}, timeout=60)


def configuration(folder: Path, targets: dict[str, str]) -> Path:
    """The shipped configuration and rules, every second, with addresses in place of the names of containers."""
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(config["global"], "1s")
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job.pop("relabel_configs", None)
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    config["rule_files"] = [str(SHIPPED / "rules.yml")]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[str]:
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={configuration(folder, targets)}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _ready(f"http://127.0.0.1:{port}/-/ready"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory, training_set: GeneratedXrays) -> Iterator[Watch]:
    folder = tmp_path_factory.mktemp("watch")
    registry = Registry.empty(folder, training_set)
    registry.promote(registry.add(0.01))
    metrics, holder = Metrics(), Holder()
    settings = registry.settings
    watcher = Watcher(
        holder,
        lookup=lambda: production(settings),
        cache=VerifiedCache(settings, folder / "cache"),
        metrics=metrics,
        poll_s=0.05,
    )
    watcher.start()
    assert watcher.wait(60)
    state = open_state(settings.state_uri)
    recorder = PredictionRecorder(lambda: state, metrics, flush_s=0.05)
    app = create_app(holder, settings=settings, metrics=metrics, recorder=recorder)
    port = free_port()
    try:
        with running(app) as page:
            targets = {"webapp": page.removeprefix("http://"), "ray": f"127.0.0.1:{port}"}
            with prometheus(folder, targets) as url:
                made = Watch(url, page, holder, watcher, training_set.images[0])
                until(lambda: made.ask('up{job="webapp"} == 1'))
                use(made, registry)
                yield made
    finally:
        watcher.stop()


def use(watch: Watch, registry: Registry) -> None:
    """A day in short: answers, people's words on them, a refusal, a warning, and a version that cannot be loaded."""
    first, *others = registry.training_set.images[:6]
    answered = [watch.predict(first).json()]
    watch.seen("200")
    answered += [watch.predict(image).json() for image in others]
    for answer in answered:
        label = "NORMAL" if answer is answered[0] else answer["label"]
        path = f"{watch.page}/predictions/{answer['id']}/feedback"
        until(lambda path=path, label=label: httpx.post(path, json={"label": label}).status_code == 200)
    grey = cv2.imdecode(np.frombuffer(watch.image, np.uint8), cv2.IMREAD_COLOR)
    grey[..., 2] = np.minimum(grey[..., 2], 245) + 10  # a tinge of red
    watch.predict(cv2.imencode(".png", grey)[1].tobytes())
    watch.predict(cv2.imencode(".png", np.full((300, 300), 90, np.uint8))[1].tobytes())
    registry.promote(registry.add_unchecked("broken", b"no estimator"))
    until(lambda: watch.holder.failure is not None)
    registry.promote(registry.versions[0])
    until(lambda: watch.holder.failure is None)


def all_show(watch: Watch, queries: set[str]) -> None:
    """Wait until each query shows something."""
    lacking = set(queries)

    def asked() -> bool:
        lacking.difference_update({query for query in lacking if watch.ask(query)})
        return not lacking

    try:
        until(asked)
    except AssertionError:
        raise AssertionError(f"these queries show nothing: {sorted(lacking)}") from None


# Of a real Ray they were not run yet.
OF_RAY = {query for query in QUERIES.values() if "ray_" in query}


@needs_prometheus
def test_every_query_of_the_dashboard_shows_something_of_the_server(watch: Watch):
    all_show(watch, set(QUERIES.values()) - OF_RAY - {'ALERTS{alertstate="firing"}'})  # nothing fires while all is well
    assert watch.number("sum(hm_judged_score_count)") == 6
    assert watch.number("hm:failed:share5m") == 0
    assert watch.number("hm:budget:left30d") == 1


@needs_prometheus
def test_failing_requests_burn_the_objective_s_budget_and_ring(watch: Watch):
    watch.watcher.stop()
    until(lambda: not watch.watcher.alive)
    watch.holder.served = None
    watch.seen("503")
    assert {watch.predict(watch.image).status_code for _ in range(10)} == {503}
    until(lambda: watch.number("hm:failed:share5m") > 0.3)
    assert watch.number("hm:budget:left30d") < 0  # ten failures in so few requests are more than 0.5 %
    firing = {"webapp-budget", "webapp-errors"}
    until(lambda: firing <= {one["metric"]["alertname"] for one in watch.ask('ALERTS{alertstate="firing"}')})


# An alert, the series that raise it, minutes to wait, and the series that do not.
CASES = {
    "webapp-budget": (
        {
            'hm_requests_total{route="/predict",status="503"}': "0+1x90",
            'hm_requests_total{route="/predict",status="200"}': "0+9x90",
        },
        {
            'hm_requests_total{route="/predict",status="503"}': "0+1x90",
            'hm_requests_total{route="/predict",status="200"}': "0+999x90",
        },
    ),
    "webapp-errors": (
        {'hm_requests_total{route="/predict",status="500"}': "0+2x90"},
        {'hm_requests_total{route="/predict",status="422"}': "0+2x90"},
    ),
    "webapp-unhealthy": ({'up{job="webapp"}': "0x90"}, {'up{job="webapp"}': "1x90"}),
    "webapp-missing": ({'up{job="ray"}': "1x90"}, {'up{job="webapp"}': "1x90"}),
    "no-ready-model": ({'hm_serving_version{pid="1"}': "0x90"}, {'hm_serving_version{pid="1"}': "3x90"}),
    "ray-head-missing": ({'up{job="webapp"}': "1x90"}, {'up{job="ray"}': "1x90"}),
}


@needs_prometheus
def test_each_alert_rings_where_it_should_and_only_there(tmp_path: Path):
    assert CASES.keys() == ALERTS.keys()
    tests = []
    for name, (raising, quiet) in CASES.items():
        labels = ALERTS[name].get("labels", {})
        for series, rings in ((raising, True), (quiet, False)):
            of_series = {"job": "webapp"} if name == "webapp-unhealthy" else {}
            told = {"exp_labels": labels | of_series, "exp_annotations": ALERTS[name]["annotations"]}
            tests.append(
                {
                    "interval": "1m",
                    "input_series": [{"series": one, "values": values} for one, values in series.items()],
                    "alert_rule_test": [{"eval_time": "80m", "alertname": name, "exp_alerts": [told] if rings else []}],
                }
            )
    file = tmp_path / "cases.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(SHIPPED / "rules.yml")], "evaluation_interval": "1m", "tests": tests})
    )
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tests[0]["alert_rule_test"][0]["exp_alerts"] = []
    file.write_text(
        yaml.safe_dump({"rule_files": [str(SHIPPED / "rules.yml")], "evaluation_interval": "1m", "tests": tests})
    )
    assert subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, check=False).returncode != 0


def test_an_alert_has_the_name_of_the_alarm_on_aws_and_one_is_of_the_objective():
    watched = Watched(
        namespace="hm-mlflow",
        balancer="balancer",
        targets={service.name: "group" for service in topology().services if service.public_port},
        own={service.name: service.alarms for service in topology().services},
        database="database",
        database_gib=20,
    )
    assert set(ALERTS) - set(alarms(watched)) == {"webapp-budget"}
    descriptions = {name: one.arguments["alarm_description"] for name, one in alarms(watched).items()}
    for name in ("webapp-errors", "no-ready-model"):
        assert ALERTS[name]["annotations"]["summary"] == descriptions[name]


def test_prometheus_asks_services_of_the_topology_on_their_ports():
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    whole = topology(dashboards=True)
    for job in config["scrape_configs"]:
        [found] = job["dns_sd_configs"]
        for name in found["names"]:
            service = whole.service(name)
            assert "prometheus" in service.reached_by
            told = [f"--metrics-export-port={found['port']}" in service.command, service.public_port == found["port"]]
            assert any(told), name
    hosts = (SHIPPED / "datasource.yaml").read_text()
    assert f"http://prometheus:{whole.service('prometheus').public_port}\n" in hosts


def test_the_dashboard_is_as_grafana_takes_it():
    """Grafana itself is in no registry here; what its documentation asks of a dashboard is checked, and no more."""
    assert BOARD["uid"]
    assert BOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        places.add((place["x"], place["y"]))
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert len(places) == len(ids)
    assert "uid: prometheus\n" in (SHIPPED / "datasource.yaml").read_text()


def test_every_metric_of_a_query_is_one_that_is_made():
    made = set(re.findall(r'"(hm_[a-z_]+)"', (ROOT / "serve/metrics.py").read_text()))
    used = {
        re.sub(r"_(total|bucket|sum|count)$", "", name) for q in QUERIES.values() for name in re.findall(r"\bhm_\w+", q)
    }
    assert used <= made | {"hm_requests_open"}
