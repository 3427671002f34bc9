"""What the settings of a stack give its services: keys to the page, abstention, and a team's key pair for versions."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from infra import stack
from infra.commands import keys
from infra.local.lower import lower
from infra.options import Options
from infra.secrets import GIVEN, first_key, generate, renewed
from infra.settings import SettingError, read_options
from infra.topology import topology
from ray_jobs.tracking.webapp import WebappClient
from registry.settings import Settings
from serve.http.keys import read_keys
from tests.infra.support.recorded import configure

LOADERS = {"ray-head", "ray-worker", "webapp", "jupyter"}


def with_variable(whole, variable: str) -> set[str]:
    return {service.name for service in whole.services if variable in service.environment}


def test_what_abstains_is_what_answers():
    assert with_variable(topology(abstain=True), "ABSTAIN") == LOADERS
    assert with_variable(topology(), "ABSTAIN") == set()


def test_only_the_page_records_and_not_where_that_is_off():
    assert with_variable(topology(records=False), "PREDICTION_RECORDS") == {"webapp"}
    assert topology(records=False).service("webapp").environment["PREDICTION_RECORDS"] == "off"
    assert with_variable(topology(), "PREDICTION_RECORDS") == set()


def test_what_answers_and_what_runs_jobs_send_their_traces_to_the_collector_that_is_named():
    collector = "https://collector.example.org:4317"
    whole = topology(traces=collector)
    assert with_variable(whole, "OTEL_EXPORTER_OTLP_ENDPOINT") == LOADERS
    assert whole.service("webapp").environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == collector
    assert with_variable(topology(), "OTEL_EXPORTER_OTLP_ENDPOINT") == set()


def test_everybody_who_loads_a_model_checks_it_and_only_a_driver_signs():
    whole = topology(signing=True, trusted=True)
    assert with_variable(whole, "TRUSTED_KEY") == LOADERS
    assert with_variable(whole, "SIGNING_KEY") == {"ray-head"}
    assert {service.name for service in whole.services if "signing-key" in service.secrets} == {"ray-head"}
    assert {service.name for service in whole.services if "trusted-key" in service.secrets} == LOADERS


def test_jobs_and_notebooks_have_a_key_of_their_own_to_the_page_and_nobody_elses():
    whole = topology(keys=True)
    assert {service.name for service in whole.services if "api-keys" in service.secrets} == {"webapp"}
    holders = {service.name for service in whole.services if "jobs-api-key" in service.secrets}
    assert holders == {"ray-head", "webapp", "jupyter"}


def test_the_page_takes_the_keys_that_are_made_and_jobs_ask_with_theirs(tmp_path: Path):
    """As the entrypoint hands them over: one as a file, the other as a variable."""
    people, jobs = generate("api-keys"), generate("jobs-api-key")
    (tmp_path / "api-keys").write_text(people)
    (tmp_path / "jobs").write_text(jobs)
    page = read_keys(Settings(http_host="0.0.0.0", api_keys=jobs, api_keys_file=tmp_path / "api-keys"))
    assert page is not None
    assert page.holder(first_key(people)) == "team"
    asking = WebappClient(Settings(api_keys_file=tmp_path / "jobs", webapp_uri="http://app.test:8080"))
    assert page.holder(asking._headers["X-API-Key"]) == "jobs"


def test_a_new_list_of_keys_has_the_same_holders_with_others():
    before = "ana:0123456789abcdef,# gone,\n# to the ward, too\nclinic:fedcba9876543210"
    after = renewed("api-keys", before)
    assert [pair.split(":")[0] for pair in after.split(",")] == ["ana", "clinic"]
    assert not {pair.split(":")[1] for pair in after.split(",")} & set(before.replace(",\n", ":").split(":"))
    assert renewed("api-keys", "").startswith("team:")
    assert ":" not in renewed("ray-token", "a token")
    assert first_key(before) == "0123456789abcdef"
    assert first_key("") == ""


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, Options(approval=True, keys=True)),
        ({"keys": "off", "approval": "off"}, Options()),
        ({"abstain": "near-threshold"}, Options(approval=True, keys=True, abstain=True)),
        (
            {"tracesEndpoint": "http://collector:4317"},
            Options(approval=True, keys=True, traces="http://collector:4317"),
        ),
        ({"predictionRecords": "off"}, Options(approval=True, keys=True, records=False)),
        ({"signingKey": "a key"}, Options(approval=True, keys=True, signing=True)),
        ({"trustedKey": "a key"}, Options(approval=True, keys=True, trusted=True)),
    ],
)
def test_a_setting_that_says_nothing_leaves_it_to_the_platform(settings: dict[str, str], options: Options):
    configure(**settings)
    assert read_options(login=False, approval=True, keys=True) == options


def test_another_word_is_refused_with_those_that_are_taken():
    configure(abstain="yes")
    with pytest.raises(SettingError, match="abstain is 'yes'; it takes near-threshold or off, for example: pulumi con"):
        read_options(login=False, approval=False, keys=False)


def test_a_collector_without_its_scheme_is_refused_with_an_example():
    configure(tracesEndpoint="collector:4317")
    with pytest.raises(SettingError, match=r"tracesEndpoint is 'collector:4317'; it takes .* http://collector\."):
        read_options(login=False, approval=False, keys=False)


def test_only_a_team_supplies_its_key_pair():
    made = set(lower(topology(login=True, keys=True)).secrets)
    asked = set(lower(topology(login=True, keys=True, signing=True, trusted=True)).secrets)
    assert asked - made == set(GIVEN)


def pair(key) -> dict[str, str]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"signingKey": private.decode().strip(), "trustedKey": public.decode().strip()}  # as Pulumi keeps them


CURVE = pair(ec.generate_private_key(ec.SECP256R1()))
OTHER = pair(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, []),
        (CURVE, []),
        (OTHER, ["signingKey", "trustedKey"]),
        (CURVE | {"trustedKey": CURVE["signingKey"]}, ["trustedKey"]),
        (CURVE | {"signingKey": CURVE["trustedKey"]}, ["signingKey"]),
        ({"trustedKey": "hm-mlflow.pub.pem"}, ["trustedKey"]),
    ],
)
def test_a_key_that_is_none_is_told_before_anything_starts(settings, wrong: list[str], monkeypatch):
    monkeypatch.setattr(stack, "read_setting", lambda name, _: settings.get(name))
    told = list(keys.wrong_keys("local"))
    assert [line.split(" ")[0] for line in told] == wrong
    assert all(f"{name} --stack local < hm-mlflow" in line for name, line in zip(wrong, told, strict=True))
