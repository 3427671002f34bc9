"""The way in by CloudFront: what it takes the place of, who is let in, and which names people and services use."""

import base64
import json

import pytest

from infra.aws.imagined import Imagined
from infra.aws.network.cloudfront import networks
from infra.aws.zones import behind_cloudfront
from tests.infra.support.graph import CIDRS, plain, record, recorded

PUBLIC = ("mlflow", "ray-head", "webapp")


def graph():
    return recorded("dev", edge="cloudfront")


def listed(found) -> set[str]:
    return {str(resource) for resource in found.resources}


def given(service: str) -> dict[str, str]:
    """The environment of a service's own container."""
    container, *_ = json.loads(plain(graph().of("ecs.TaskDefinition")[service]["containerDefinitions"]))
    return {one["name"]: one["value"] for one in container["environment"]}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_it_takes_the_place_of_the_certificate_and_of_peoples_networks(environment: str):
    before, behind = listed(recorded(environment)), listed(recorded(environment, edge="cloudfront"))
    ways_in = {f"vpc.SecurityGroupIngressRule edge-{port}-{cidr}" for port in (80, 443) for cidr in CIDRS}
    assert before - behind == {"acm.Certificate edge", "lb.Listener edge-443", *ways_in}
    assert behind - before == {
        *(f"cloudfront.Distribution {service}" for service in PUBLIC),
        *("cloudfront.VpcOrigin origin", "wafv2.WebAcl edge", "wafv2.IpSet edge"),
        "vpc.SecurityGroupIngressRule edge-80-cloudfront",
    }


def test_the_load_balancer_is_inside_and_each_service_has_a_name_of_its_own():
    [balancer] = graph().of("lb.LoadBalancer").values()
    assert (balancer["internal"], balancer["subnets"]) == (True, ["id of private-1", "id of private-2"])
    [listener] = graph().of("lb.Listener").values()
    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    hosts = {
        name: rule["conditions"][0]["hostHeader"]["values"] for name, rule in graph().of("lb.ListenerRule").items()
    }
    assert hosts == {service: [f"{service}.cloudfront.net"] for service in PUBLIC}
    assert "cloudfront.Distribution webapp" in graph().get("lb.ListenerRule", "webapp").needs
    assert "ec2.InternetGateway internet" in graph().get("lb.LoadBalancer", "edge").needs  # a VPC origin asks for one


def test_people_are_asked_for_by_the_networks_of_the_settings():
    assert graph().of("wafv2.IpSet")["edge"]["addresses"] == CIDRS
    assert {one["webAclId"] for one in graph().of("cloudfront.Distribution").values()} == {"arn of wafv2.WebAcl edge"}
    assert networks(["0.0.0.0/0", "203.0.113.7/32"]) == ["0.0.0.0/1", "128.0.0.0/1", "203.0.113.7/32"]


def test_services_know_the_names_by_which_people_reach_them_and_keep_those_inside():
    mlflow, page, head = given("mlflow"), given("webapp"), given("ray-head")
    inside = "mlflow.hm-mlflow.internal"
    assert mlflow["MLFLOW_SERVER_ALLOWED_HOSTS"] == f"{inside},{inside}:*,mlflow.cloudfront.net"
    assert mlflow["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://mlflow.cloudfront.net"
    assert page["ALLOWED_HOSTS"].endswith(",app.hm-mlflow.internal:*,webapp.cloudfront.net")
    assert page["MLFLOW_PAGE_URL"] == "https://mlflow.cloudfront.net"
    assert head["MLFLOW_TRACKING_URI"] == "http://mlflow.hm-mlflow.internal:5000"  # not out and in again


def test_nothing_that_holds_data_is_behind_the_way_in():
    """It would go with it, where `edge` is changed."""
    needs = {str(resource): set(resource.needs) for resource in graph().resources}
    gone = {"lb.LoadBalancer edge"}
    while more := {name for name, needed in needs.items() if needed & gone} - gone:
        gone |= more
    assert {"cloudfront.VpcOrigin origin", "cloudfront.Distribution webapp", "ecs.Service webapp"} <= gone
    held = ("s3.", "rds.", "kms.", "secretsmanager.", "sagemaker.", "ecr.")
    assert [name for name in sorted(gone) if name.startswith(held)] == []
    [script] = graph().of("sagemaker.NotebookInstanceLifecycleConfiguration").values()
    profile = base64.b64decode(plain(script["onStart"])).decode()
    assert "RAY_ADDRESS=http://ray.hm-mlflow.internal:8265" in profile
    assert "MLFLOW_PAGE_URL" not in profile


def test_the_outputs_need_no_hosts_line_and_no_authority():
    outputs = graph().outputs
    assert outputs["webapp"] == "https://webapp.cloudfront.net"
    assert outputs["mlflow"] == "https://mlflow.cloudfront.net/#/experiments"
    assert (outputs["hosts"], outputs["loadBalancer"], outputs["certificate"]) == (None, None, None)
    assert "curl -i https://webapp.cloudfront.net/healthz" in outputs["tests"]
    assert outputs["next"][-1].startswith(".venv/bin/ray job submit --address https://ray-head.cloudfront.net -- ")
    assert "authority" not in json.dumps(outputs)


def test_a_stack_without_a_certificate_needs_none():
    assert "acm.Certificate edge" not in listed(record(edge="cloudfront", tlsKey=None, tlsCertificate=None))


def test_a_stack_stands_in_zones_where_cloudfront_reaches_a_load_balancer(monkeypatch: pytest.MonkeyPatch):
    assert behind_cloudfront(["a", "b", "c"], ["use1-az2", "use1-az3", "use1-az4"]) == ["a", "c"]
    answered = Imagined.call

    def call(self: Imagined, args):
        found = answered(self, args)
        return found | {"zoneIds": ["apne2-az1", "apne2-az2", "apne2-az3"]} if "zoneIds" in found else found

    monkeypatch.setattr(Imagined, "call", call)
    stands = {edge: record(edge=edge).of("ec2.Subnet") for edge in ("balancer", "cloudfront")}
    assert {
        edge: [subnets[f"private-{n}"]["availabilityZone"][-1] for n in (1, 2)] for edge, subnets in stands.items()
    } == {"balancer": ["a", "b"], "cloudfront": ["b", "c"]}
