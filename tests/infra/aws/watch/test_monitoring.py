"""Alarms, dashboard and budget: what CloudWatch is asked for, and that it can tell what it is meant to tell."""

import functools
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest

from infra.aws.watch import budget, monitoring
from infra.aws.watch.alarms import Watched, alarms
from infra.aws.watch.monitoring import key_statement
from infra.topology import topology
from registry.errors import ArtefactError
from registry.model.bundle import read_bundle
from registry.model.versions import ModelVersion
from serve.logs import set_up
from serve.production.lookout import Trouble
from serve.production.model import Holder
from serve.production.watcher import _SAY_AGAIN_S, Watcher
from tests.infra.support.given import ACCOUNT, Given, added, names

OWN = topology().service("webapp").alarms
NO_MODEL, MODEL = (said["ready"] for _, said in (OWN[0].raised_by, OWN[0].ended_by))
SERVICES = ("mlflow", "ray-head", "webapp")
WATCHED = Watched(
    namespace="hm-mlflow",
    balancer="app/hm/1",
    targets={service: f"targetgroup/{service}/2" for service in SERVICES},
    own={"webapp": OWN},
    heads=("ray-head",),
    database="hm-mlflow-database",
    database_gib=20,
)


@functools.cache
def declared() -> dict[str, dict[str, Any]]:
    def module(given: Given) -> None:
        monitoring.build(
            topology(),
            given.names,
            given.settings,
            given.groups,
            stores=given.stores,
            edge=given.edge,
            compute=given.compute,
            key="arn of key",
        )
        budget.build(given.names, given.settings, given.groups, dollars=500)

    return added(module)


def of(kind: str) -> dict[str, dict[str, Any]]:
    return {name.split(" ")[1]: inputs for name, inputs in declared().items() if name.split(" ")[0] == kind}


def test_these_alarms_there_are_and_no_others():
    assert set(of("MetricAlarm")) == {
        *("balancer-errors", "no-ready-model", "database-storage", "database-processor"),
        *("version-refused", "alias-moved", "jobs-waiting", "drift"),
        *(f"{service}-{what}" for service in SERVICES for what in ("errors", "unhealthy", "missing")),
    }


def test_every_alarm_writes_to_the_topic_when_it_begins_and_when_it_ends():
    for name, inputs in of("MetricAlarm").items():
        assert inputs["alarmActions"] == inputs["okActions"] == ["arn of alarms"], name
        assert inputs["name"] == f"hm-mlflow-{name}"
        assert inputs["tags"]["Name"] == f"hm-mlflow-{name}"


def test_the_topic_is_encrypted_and_writes_to_the_address_of_the_settings():
    assert of("Topic")["alarms"]["kmsMasterKeyId"] == "arn of key"
    subscription = of("TopicSubscription")["alarms"]
    assert (subscription["topic"], subscription["protocol"], subscription["endpoint"]) == (
        "arn of alarms",
        "email",
        "team@example.com",
    )


def test_the_key_lets_cloudwatch_encrypt_for_alarms_of_this_account_only():
    statement = key_statement(names())
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:*"},
    }


def test_the_storage_alarm_is_at_a_tenth_of_the_disk():
    alarm = alarms(WATCHED)["database-storage"].arguments
    assert alarm["threshold"] == 2 * 2**30
    assert (alarm["comparison_operator"], alarm["statistic"]) == ("LessThanThreshold", "Maximum")
    assert alarm["period"] * alarm["evaluation_periods"] == 900


def test_a_service_without_any_container_is_an_alarm_and_a_quiet_one_is_not():
    found = {name: alarm.arguments for name, alarm in alarms(WATCHED).items()}
    assert {name for name, alarm in found.items() if alarm["treat_missing_data"] == "breaching"} == {
        f"{service}-missing" for service in SERVICES
    }
    assert {alarm["treat_missing_data"] for name, alarm in found.items() if name.endswith(("errors", "unhealthy"))} == {
        "notBreaching"
    }


def test_each_target_is_watched_in_its_own_group():
    for service in SERVICES:
        inputs = of("MetricAlarm")[f"{service}-unhealthy"]
        assert inputs["dimensions"] == {"LoadBalancer": "suffix of balancer", "TargetGroup": f"suffix of {service}"}
        assert (inputs["metricName"], inputs["threshold"]) == ("UnHealthyHostCount", 1)


def test_the_last_word_of_the_page_decides_each_of_its_alarms():
    filters = of("LogMetricFilter")
    logger = '$.logger = "serve.production.watcher"'
    assert {name: (inputs["pattern"], inputs["metricTransformation"]["value"]) for name, inputs in filters.items()} == {
        "ready-model": (f'{{ {logger} && $.ready = "{MODEL}" }}', "1"),
        "no-model": (f'{{ {logger} && $.ready = "{NO_MODEL}" }}', "0"),
        "accepted-version": (f'{{ {logger} && $.message = "Production is followed*" }}', "1"),
        "refused-version": (f'{{ {logger} && $.code = "refused" }}', "0"),
        "alias-in-place": (f'{{ {logger} && $.message = "Production is followed*" }}', "1"),
        "moved-alias": (f'{{ {logger} && $.code = "alias-moved" }}', "0"),
        "jobs-waiting": ("{ $.jobs_open >= 0 }", "$.jobs_open"),
        "drift": ("{ $.drift >= 0 }", "$.drift"),
    }
    for own in OWN:
        raised, ended = filters[own.raised_by[0]], filters[own.ended_by[0]]
        assert {raised["logGroupName"], ended["logGroupName"]} == {"/ecs/hm-mlflow-webapp"}
        alarm = of("MetricAlarm")[own.name]
        measured = {
            (one["metricTransformation"]["namespace"], one["metricTransformation"]["name"]) for one in (raised, ended)
        }
        assert measured == {(alarm["namespace"], alarm["metricName"])}
        assert (alarm["statistic"], alarm["threshold"], alarm["treatMissingData"]) == ("Minimum", 1, "ignore")
        assert alarm.get("dimensions", {}) == {}
        assert alarm["period"] * alarm["evaluationPeriods"] >= 2 * _SAY_AGAIN_S  # no replica is silent for so long


def test_jobs_that_wait_for_an_hour_and_a_drift_that_was_found_are_alarms():
    waiting, drift = (of("MetricAlarm")[name] for name in ("jobs-waiting", "drift"))
    assert (waiting["metricName"], waiting["statistic"], waiting["threshold"]) == ("JobsOpen", "Minimum", 3)
    assert waiting["period"] * waiting["evaluationPeriods"] == 3600
    assert (drift["metricName"], drift["threshold"], drift["treatMissingData"]) == ("Drift", 1, "ignore")
    assert {of("LogMetricFilter")[name]["logGroupName"] for name in ("jobs-waiting", "drift")} == {
        "/ecs/hm-mlflow-ray-head"
    }


class _Verified:
    """A cache in which every version is sound."""

    def __init__(self, bundle) -> None:
        self._bundle = bundle

    def obtain(self, _: ModelVersion):
        return self._bundle

    def recall(self):
        return None


def test_the_page_writes_what_the_filters_look_for(
    make_bundle, tmp_path, capfd: pytest.CaptureFixture[str], monkeypatch
):
    """The watcher itself, with the log as the container has it: first nothing is in Production, then a version is."""
    bundle = read_bundle(tmp_path / "bundle", digest=make_bundle(tmp_path / "bundle"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    set_up("json")

    def said_lines() -> list[str]:
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        return [line["ready"] for line in lines if line["logger"] == "serve.production.watcher"]

    answers: list[ModelVersion | None] = [None]
    watcher = Watcher(Holder(), lookup=lambda: answers[0], cache=_Verified(bundle))
    watcher.step()
    assert said_lines() == [NO_MODEL]
    watcher.step()
    assert said_lines() == []
    answers[0] = ModelVersion(
        name="pneumonia", version=1, run_id="r", source="s", digest="d", spec_fingerprint="f", created=datetime.now(UTC)
    )
    watcher.step()
    assert {*said_lines()} == {MODEL}


def test_the_page_says_again_how_it_stands_so_that_an_alarm_forgets_what_a_moment_ended(
    make_bundle, tmp_path, capfd: pytest.CaptureFixture[str], monkeypatch
):
    bundle = read_bundle(tmp_path / "bundle", digest=make_bundle(tmp_path / "bundle"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    set_up("json")
    version = ModelVersion(
        name="pneumonia", version=1, run_id="r", source="s", digest="d", spec_fingerprint="f", created=datetime.now(UTC)
    )
    answers: list[ModelVersion | None] = [None, None, version, version]
    watcher = Watcher(Holder(), lookup=lambda: answers[0], cache=_Verified(bundle), say_again_s=0)
    told = []
    while answers:
        watcher.step()
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        told.append(lines[-1]["ready"])
        answers.pop(0)
    assert told == [NO_MODEL, NO_MODEL, MODEL, MODEL]


def test_the_page_writes_that_it_refuses_a_version_that_the_alias_was_moved_and_that_both_are_over(
    make_bundle, tmp_path, capfd: pytest.CaptureFixture[str], monkeypatch
):
    bundle = read_bundle(tmp_path / "bundle", digest=make_bundle(tmp_path / "bundle"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    set_up("json")

    def said(fields: Mapping[str, str]) -> bool:
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        own = [line for line in lines if line["logger"] == "serve.production.watcher"]
        return any(all(fnmatchcase(str(line.get(key)), text) for key, text in fields.items()) for line in own)

    class Refusing(_Verified):
        def obtain(self, version: ModelVersion):
            if version.version == 2:
                raise ArtefactError("version 2 has another digest")
            return super().obtain(version)

    def version(number: int) -> ModelVersion:
        known = {"name": "pneumonia", "run_id": "r", "source": "s", "digest": "d", "spec_fingerprint": "f"}
        return ModelVersion(**known, version=number, created=datetime.now(UTC))

    refused, moved = (alarm for alarm in OWN if alarm.name in ("version-refused", "alias-moved"))
    now, trouble = [version(1)], [None]
    watcher = Watcher(Holder(), lookup=lambda: now[0], cache=Refusing(bundle), trouble=lambda: trouble[0])
    watcher.step()
    assert said(refused.ended_by[1])  # also the first time: a container before may have raised it
    now[0] = version(2)
    watcher.step()
    assert said(refused.raised_by[1])
    now[0] = version(1)
    watcher.step()
    assert said(refused.ended_by[1])
    trouble[0] = Trouble(code="alias-moved", detail="The alias production is at version 9.")
    watcher.step()
    assert said(moved.raised_by[1])
    trouble[0] = None
    watcher.step()
    assert said(moved.ended_by[1])


def test_the_dashboard_shows_every_alarm_and_every_service():
    document = json.loads(of("Dashboard")["dashboard"]["dashboardBody"])
    first, *graphs = document["widgets"]
    assert sorted(first["properties"]["alarms"]) == sorted(f"arn of {name}" for name in of("MetricAlarm"))
    shown = {graph["properties"]["title"]: graph["properties"]["metrics"] for graph in graphs}
    assert [metric[3:6] for metric in shown["Processor, % of what is reserved"]] == [
        ["hm-mlflow-cluster", "ServiceName", service] for service in ("mlflow", "ray-head", "ray-worker", "webapp")
    ]
    assert "Running tasks" not in shown  # in dev nobody counts them
    places = {(widget["x"], widget["y"]) for widget in document["widgets"]}
    assert len(places) == len(document["widgets"])
    assert all(widget["x"] + widget["width"] <= 24 for widget in document["widgets"])


def test_the_budget_tells_the_same_address_before_and_when_it_is_too_late():
    inputs = of("Budget")["budget"]
    assert (inputs["limitAmount"], inputs["limitUnit"], inputs["timeUnit"]) == ("500", "USD", "MONTHLY")
    assert [(told["notificationType"], told["threshold"]) for told in inputs["notifications"]] == [
        *(("ACTUAL", 125), ("ACTUAL", 250), ("ACTUAL", 400), ("ACTUAL", 500)),
        ("FORECASTED", 500),
    ]
    assert {told["thresholdType"] for told in inputs["notifications"]} == {"ABSOLUTE_VALUE"}
    assert all(told["subscriberEmailAddresses"] == ["team@example.com"] for told in inputs["notifications"])
    assert "costFilters" not in inputs
