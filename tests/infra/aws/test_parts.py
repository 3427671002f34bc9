"""The plain data under the AWS program: who reaches whom, how many workers, certificates, tags, what runs."""

import re
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from infra.aws.commands import differences
from infra.aws.compute.ecs import USERS
from infra.aws.compute.scaling import steps
from infra.aws.data.images import tag
from infra.aws.network import certificate
from infra.aws.network.firewall import Opening, openings
from infra.settings import ROOT
from infra.topology import IMAGES, on_aws, project_of, topology
from tests.contract.ecs_facts import lowered

WHOLE = lowered(topology(login=True))


def test_who_reaches_whom_is_what_the_topology_says():
    ways = {(one.to, one.source, one.first, one.last) for one in openings(WHOLE, endpoints=False)}
    assert ways == {
        ("database", "mlflow", 5432, 5432),
        *(("mlflow", source, 5000, 5000) for source in ("edge", "ray-head", "ray-worker", "webapp")),
        *(("ray-head", "model-training", port, port) for port in (6379, 8265)),
        ("ray-head", "edge", 8265, 8265),
        ("webapp", "edge", 8080, 8080),
        ("ray-head", "ray-worker", 1024, 65535),
        ("ray-worker", "ray-head", 1024, 65535),
        ("ray-worker", "ray-worker", 1024, 65535),
    }


def test_a_service_that_nobody_may_reach_is_closed():
    shut = replace(WHOLE, services=tuple(replace(one, reached_by=(), ports=()) for one in WHOLE.services))
    assert openings(shut, endpoints=False) == [
        Opening("database", "mlflow", 5432, 5432, "mlflow keeps its records there")
    ]


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("most", [1, 4, 20, 21, 64])
def test_as_many_workers_as_are_wanted_come_and_never_more_than_the_most(least: int, most: int):
    found = steps(least, most)
    assert len(found) <= 20
    assert "metric_interval_upper_bound" not in found[-1]
    for wanted in range(1, most + 10):
        above = wanted - 1  # the alarm's threshold is one worker
        [step] = [
            step
            for step in found
            if float(step["metric_interval_lower_bound"]) <= above < float(step.get("metric_interval_upper_bound", 1e9))
        ]
        assert min(wanted, most) <= step["scaling_adjustment"] <= most
        assert most > 20 or step["scaling_adjustment"] == min(wanted, most)


def test_a_certificate_is_for_the_three_hosts_and_verified_by_its_authority():
    made = certificate.make("hm-mlflow.local")
    [leaf] = x509.load_pem_x509_certificates(made.certificate.encode())
    [authority] = x509.load_pem_x509_certificates(made.authority.encode())
    for host in ("mlflow", "app", "ray"):
        policy = (
            PolicyBuilder().store(Store([authority])).build_server_verifier(x509.DNSName(f"{host}.hm-mlflow.local"))
        )
        assert policy.verify(leaf, [])[0] == leaf
    stranger = PolicyBuilder().store(Store([authority])).build_server_verifier(x509.DNSName("www.hm-mlflow.local"))
    with pytest.raises(x509.verification.VerificationError):
        stranger.verify(leaf, [])
    assert "PRIVATE KEY" in made.key
    assert not certificate.is_due(made.certificate, "hm-mlflow.local")
    assert certificate.is_due(made.certificate, "hm-mlflow-try.local")


def test_a_certificate_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(certificate, "VALID_DAYS", certificate.RENEWED_DAYS - 1)
    assert certificate.is_due(certificate.make("hm-mlflow.local").certificate, "hm-mlflow.local")


def test_the_authorities_of_rds_sign_themselves_and_are_named_by_region():
    text = (ROOT / "compose" / "images" / "rds-authorities.pem").read_text()
    regions = re.findall(r"^# (\S+), until", text, re.MULTILINE)
    found = x509.load_pem_x509_certificates(text.encode())
    assert len(found) == len(regions) > 20
    for region, authority in zip(regions, found, strict=True):
        authority.verify_directly_issued_by(authority)
        assert f"Amazon RDS {region} Root CA RSA2048 G1" in authority.subject.rfc4514_string()
    assert len(ssl.create_default_context(cadata=text).get_ca_certs()) == len(found)


def test_every_image_has_the_user_that_its_dockerfile_makes():
    for image in IMAGES:
        if image.name in USERS:
            made = (ROOT / "compose" / "images" / image.dockerfile).read_text()
            stage = made.split(f" AS {image.target}")[-1] if image.target else made
            assert re.search(r"useradd --uid (\d+)", stage)[1] == USERS[image.name]


def test_a_tag_follows_the_content_of_the_image_and_the_commit(tmp_path: Path):
    image = IMAGES[0]
    folder = tmp_path / "compose" / "images"
    folder.mkdir(parents=True)
    (folder / image.dockerfile).write_text("FROM scratch")
    (folder / f"{image.dockerfile}.dockerignore").write_text("*\n!code\n**/__pycache__\n")
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "a.py").write_text("a")
    (tmp_path / "other").write_text("not seen by the build")

    def now(commit: str = "0123456789abcdef") -> str:
        return tag(image, commit, tmp_path)

    first = now()
    (tmp_path / "other").write_text("another")
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("compiled")
    assert now() == first
    assert first.startswith("0123456789ab-")
    assert now("fedcba9876543210") != first
    (tmp_path / "code" / "a.py").write_text("b")
    second = now()
    (folder / image.dockerfile).write_text("FROM other")
    assert len({first, second, now()}) == 3


def test_stacks_of_aws_are_told_by_their_names():
    assert [name for name in ("aws", "aws-try", "local", "awsome", "prod") if on_aws(name)] == ["aws", "aws-try"]
    assert [project_of(name) for name in ("aws", "local", "aws-try", "try")] == [
        "hm-mlflow",
        "hm-mlflow",
        "hm-mlflow-try",
        "hm-mlflow-try",
    ]


def running(task: str = "task:2", **other) -> dict:
    primary = {"status": "PRIMARY", "taskDefinition": task}
    return {
        "serviceName": "web",
        "status": "ACTIVE",
        "taskDefinition": task,
        "runningCount": 2,
        "desiredCount": 2,
        "deployments": [primary],
    } | other


def test_what_runs_is_what_was_meant():
    assert differences({"web": "task:2"}, [running()]) == []


@pytest.mark.parametrize(
    ("described", "line"),
    [
        ([], "web is not there."),
        ([running(status="INACTIVE")], "web is not there."),
        ([running("task:1")], "web runs task:1, not task:2: the new one did not get healthy and was rolled back."),
        ([running(runningCount=1)], "web has 1 of 2 containers, with 0 older deployments"),
        (
            [running(deployments=[{"status": "PRIMARY"}, {"status": "ACTIVE"}])],
            "web has 2 of 2 containers, with 1 older",
        ),
    ],
)
def test_what_was_rolled_back_or_is_not_there_yet_is_said(described: list, line: str):
    [said] = differences({"web": "task:2"}, described)
    assert said.startswith(line)
