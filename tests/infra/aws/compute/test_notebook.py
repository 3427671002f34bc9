"""The notebook instance: what SageMaker is asked for, what it may do, and its start, run in a folder of the test."""

import ast
import base64
import functools
import getpass
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from dotenv import dotenv_values

from infra.aws.compute import notebook
from infra.aws.compute.project import archive, constraints
from infra.aws.data import key
from infra.aws.lower import NOTEBOOK, lower
from infra.aws.watch.monitoring import key_statement
from infra.settings import ROOT
from infra.spec import Service
from infra.topology import topology
from tests.infra.support.given import ACCOUNT, Given, added, names

SECRETS = ("ray-token", "mlflow-jobs-password", "jobs-api-key")
SCRIPTS = ROOT / "notebooks" / "sagemaker"
IDLE = runpy.run_path(str(SCRIPTS / "stop_when_idle.py"))

# The two commands of AWS's own client that the scripts use, by boto3.
AWS = f"""#!{sys.executable}
import sys
import boto3
words = sys.argv[1:]
if words[:2] == ["s3", "cp"]:
    bucket, _, key = words[-2].removeprefix("s3://").partition("/")
    boto3.client("s3").download_file(bucket, key, words[-1])
elif words[:2] == ["secretsmanager", "get-secret-value"]:
    name = words[words.index("--secret-id") + 1]
    print(boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
else:
    sys.exit(f"aws {{' '.join(words)}} is not expected here")
"""


def service(*, login: bool = True, keys: bool = True) -> Service:
    """The notebook as the backend hands it over."""
    return lower(topology(login=login, keys=keys, stack="aws"), names=names(), replicas=2).service(NOTEBOOK)


@functools.cache
def declared(environment: str = "dev") -> dict[str, dict[str, Any]]:
    def module(given: Given) -> None:
        made = key.build(given.names, given.settings, given.groups, others=[key_statement(given.names)])
        notebook.build(
            given.names,
            given.settings,
            given.groups,
            network=given.network,
            stores=given.stores,
            service=service(),
            key=made.arn,
        )

    return added(module, environment)


def policy() -> list[dict[str, Any]]:
    return json.loads(declared()["RolePolicy notebook"]["policy"])["Statement"]


def script() -> str:
    return base64.b64decode(declared()["NotebookInstanceLifecycleConfiguration notebook"]["onStart"]).decode()


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_instance_is_closed(environment: str):
    made = declared(environment)["NotebookInstance notebook"]
    assert made["name"] == "hm-mlflow-notebook"
    assert made["directInternetAccess"] == "Disabled"
    assert made["rootAccess"] == "Disabled"
    assert made["instanceMetadataServiceConfiguration"] == {"minimumInstanceMetadataServiceVersion": "2"}
    assert made["kmsKeyId"] == "arn of key"
    assert made["subnetId"] == "id of private-1"
    assert made["securityGroups"] == ["id of jupyter"]
    assert made["roleArn"] == "arn of notebook"
    assert made["platformIdentifier"] == "notebook-al2023-v1"


def test_the_key_is_renewed_and_used_by_cloudwatch_and_nobody_of_another_account():
    made = declared()["Key key"]
    assert made["enableKeyRotation"] is True
    statements = json.loads(made["policy"])["Statement"]
    assert [statement["Principal"] for statement in statements] == [
        {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        {"Service": "cloudwatch.amazonaws.com"},
    ]
    assert made["deletionWindowInDays"] == 7
    assert declared("prod")["Key key"]["deletionWindowInDays"] == 30


def test_it_may_read_what_it_shows_and_stop_itself_and_nothing_else():
    data, state = (f"arn:aws:s3:::hm-mlflow-{bucket}-{ACCOUNT}-us-east-1" for bucket in ("data", "state"))
    allowed = {action: statement["Resource"] for statement in policy() for action in statement["Action"]}
    project = declared()["BucketObjectv2 notebook-project"]["key"]
    log = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/sagemaker/NotebookInstances"
    assert allowed == {
        "s3:ListBucket": [data],
        "s3:GetBucketLocation": [data],
        "s3:GetObject": [f"{data}/*", f"{state}/{project}"],
        **{f"logs:{action}": [log, f"{log}:*"] for action in ("CreateLogGroup", "CreateLogStream", "PutLogEvents")},
        "sagemaker:StopNotebookInstance": [
            f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:notebook-instance/hm-mlflow-notebook"
        ],
        "secretsmanager:GetSecretValue": [f"arn of {name}" for name in SECRETS],
    }


def test_only_sagemaker_takes_its_role_for_this_account():
    (statement,) = json.loads(declared()["Role notebook"]["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}


@pytest.mark.parametrize(("login", "keys"), [(True, True), (False, False)], ids=["login and keys", "neither"])
def test_its_profile_trains_on_the_cluster_and_asks_the_page_by_names_of_the_zone(login: bool, keys: bool):
    profile = notebook.profile(service(login=login, keys=keys))
    account = {
        "MLFLOW_TRACKING_USERNAME": "jobs",
        "MLFLOW_TRACKING_PASSWORD_FROM_FILE": "/run/secrets/mlflow-jobs-password",
    }
    assert profile == {
        "EXECUTION_ENVIRONMENT": "cloud",
        "MLFLOW_TRACKING_URI_CLOUD": "http://mlflow.hm-mlflow.internal:5000",
        "RAY_ADDRESS": "http://ray.hm-mlflow.internal:8265",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": "/run/secrets/ray-token",
        "WEBAPP_URI": "http://app.hm-mlflow.internal:8080",
        "MLFLOW_PAGE_URL": "https://mlflow.hm-mlflow.internal",
        "DATA_URI": f"s3://hm-mlflow-data-{ACCOUNT}-us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        **(account if login else {}),
        **({"API_KEYS_FILE": "/run/secrets/jobs-api-key"} if keys else {}),
    }


def test_a_script_that_sagemaker_would_not_take_is_refused_here():
    assert len(base64.b64encode(script().encode())) < 4_000
    assert notebook.encoded("x" * 12_288)
    with pytest.raises(ValueError, match="16,388 characters in base64 and SageMaker takes 16,384"):
        notebook.encoded("x" * 12_289)


def test_the_archive_has_what_the_notebook_imports_and_the_same_bytes_each_time():
    first = archive()
    assert archive() == first
    assert base64.b64decode(declared()["BucketObjectv2 notebook-project"]["contentBase64"]) == first
    inside = set(zipfile.ZipFile(io.BytesIO(first)).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "features", "registry", "ray_jobs", "notebooks", "pyproject.toml"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert set(tracked) <= inside
    assert {name.split("/")[0] for name in inside} == {
        *("features", "registry", "ray_jobs", "notebooks"),
        *("pyproject.toml", "constraints.txt"),
    }
    assert not [name for name in inside if "__pycache__" in name or name.endswith((".env", ".pyc"))]


def test_constraints_are_the_lock_without_its_hashes():
    lock = (
        "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\nb==2 ; sys_platform == 'win32' \\\n    --hash=sha256:3\n"
    )
    assert constraints(lock) == "a==1\nb==2 ; sys_platform == 'win32'\n"


@pytest.fixture
def cloud(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 with the project and Secrets Manager with the secrets, as moto has them, for this process and its children."""
    urllib.request.urlopen(f"{aws_server}/moto-api/reset", data=b"").close()  # other tests left theirs
    for name, value in {
        "AWS_ENDPOINT_URL": aws_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    made = declared()["BucketObjectv2 notebook-project"]
    s3, secrets = boto3.client("s3"), boto3.client("secretsmanager")
    s3.create_bucket(Bucket=made["bucket"])
    s3.put_object(Bucket=made["bucket"], Key=made["key"], Body=base64.b64decode(made["contentBase64"]))
    for name in SECRETS:
        secrets.create_secret(Name=f"hm-mlflow/{name}", SecretString=f"value of {name}")


def start(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the lifecycle script as SageMaker would, in a folder; what would change this machine is written down."""
    tools = root / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    said = f'echo "$(basename "$0") $*" >>{root}/called\n'
    written = {
        "aws": AWS,
        "systemctl": f"#!/bin/sh\n{said}",
        "systemd-run": f"#!/bin/sh\n{said}",
        "sudo": '#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec env "$@"\n',
    }
    for name, text in written.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = variables(root) | {"OWNER": getpass.getuser()}
    return subprocess.run(["bash"], input=script(), env=environment, capture_output=True, text=True, check=False)


def variables(root: Path) -> dict[str, str]:
    """The environment of a shell there: no region is set in it."""
    inherited = {name: value for name, value in os.environ.items() if name != "AWS_DEFAULT_REGION"}
    return inherited | {"PATH": f"{root / 'tools'}:{os.environ['PATH']}", "ROOT": str(root)}


def test_a_start_leaves_project_profile_secrets_and_a_timer(cloud: None, tmp_path: Path):
    done = start(tmp_path)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "home/ec2-user/SageMaker/hm-mlflow"
    here, there = ((place / "notebooks/train.ipynb").read_text() for place in (ROOT, home))
    assert there == here.replace('PROFILE = \\"local\\"', 'PROFILE = \\"cloud\\"') != here
    assert (home / ".env").readlink() == Path("/run/hm-mlflow/profile")
    token, profile = tmp_path / "run/secrets/ray-token", tmp_path / "run/hm-mlflow/profile"
    assert token.read_text() == "value of ray-token"
    assert [path.stat().st_mode & 0o777 for path in (token, profile, token.parent)] == [0o600, 0o600, 0o700]
    found = dotenv_values(profile)
    assert found["MLFLOW_TRACKING_PASSWORD"] == "value of mlflow-jobs-password"
    assert found["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray-token"
    assert found["EXECUTION_ENVIRONMENT"] == "cloud"
    assert not [name for name in found if name.endswith("_FROM_FILE")]
    assert (tmp_path / "called").read_text().splitlines() == [
        "systemctl daemon-reload",
        "systemctl enable --now hm-mlflow-idle.timer",
        f"systemd-run --unit=hm-mlflow-packages bash {tmp_path}/opt/hm-mlflow/notebooks/sagemaker/packages "
        f"{home.parent} {getpass.getuser()}",
    ]


def test_no_secret_is_on_the_disk(cloud: None, tmp_path: Path):
    assert start(tmp_path).returncode == 0
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and "run" not in path.relative_to(tmp_path).parts]
    assert len(kept) > 50
    values = [f"value of {name}" for name in SECRETS]
    assert not [path for path in kept for value in values if value.encode() in path.read_bytes()]
    assert not [value for value in values if value in script()]


def test_a_second_start_leaves_the_copy_of_the_project_to_who_edited_it(cloud: None, tmp_path: Path):
    assert start(tmp_path).returncode == 0
    edited = tmp_path / "home/ec2-user/SageMaker/hm-mlflow/notebooks/train.ipynb"
    edited.write_text("mine")
    boto3.client("secretsmanager").put_secret_value(SecretId="hm-mlflow/ray-token", SecretString="another")
    assert start(tmp_path).returncode == 0
    assert edited.read_text() == "mine"
    assert (tmp_path / "run/secrets/ray-token").read_text() == "another"


def test_who_logs_in_finds_the_profile_with_the_secrets_of_today(cloud: None, tmp_path: Path):
    assert start(tmp_path).returncode == 0
    boto3.client("secretsmanager").put_secret_value(SecretId="hm-mlflow/mlflow-jobs-password", SecretString="another")
    command = f". {tmp_path}/etc/profile.d/hm-mlflow.sh && env"
    done = subprocess.run(["bash", "-c", command], env=variables(tmp_path), capture_output=True, text=True, check=True)
    assert "MLFLOW_TRACKING_PASSWORD=another" in done.stdout.splitlines()
    assert "RAY_ADDRESS=http://ray.hm-mlflow.internal:8265" in done.stdout.splitlines()


def test_a_secret_that_is_refused_leaves_a_notebook_and_the_last_profile(cloud: None, tmp_path: Path):
    assert start(tmp_path).returncode == 0
    boto3.client("secretsmanager").delete_secret(SecretId="hm-mlflow/ray-token", ForceDeleteWithoutRecovery=True)
    done = start(tmp_path)
    assert done.returncode == 0
    assert "ResourceNotFoundException" in done.stderr
    assert (tmp_path / "run/secrets/ray-token").read_text() == "value of ray-token"


def test_the_units_are_what_systemd_takes(cloud: None, tmp_path: Path):
    if not shutil.which("systemd-analyze"):
        pytest.skip(reason="systemd-analyze is not on this machine")
    assert start(tmp_path).returncode == 0
    units = sorted(str(path) for path in (tmp_path / "etc/systemd/system").iterdir())
    assert [Path(unit).name for unit in units] == ["hm-mlflow-idle.service", "hm-mlflow-idle.timer"]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "hm-mlflow-idle" in line]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.parametrize("name", ["start", "secrets", "packages"])
def test_the_scripts_are_shell(name: str):
    checks = [["bash", "-n"]] + ([["shellcheck"]] if shutil.which("shellcheck") else [])
    for check in checks:
        done = subprocess.run([*check, str(SCRIPTS / name)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_stops_it_is_in_the_python_of_the_instance():
    source = (SCRIPTS / "stop_when_idle.py").read_text()
    assert ast.parse(source, feature_version=(3, 9))
    assert not re.search(r"import .*UTC|match |: .* \| None", source)


def kernel(state: str, at: str) -> dict[str, str]:
    return {"execution_state": state, "last_activity": at}


@pytest.mark.parametrize(
    ("started", "kernels", "terminals", "idle"),
    [
        (1_000.0, [], [], 9_000.0),
        (1_000.0, [kernel("idle", "1970-01-01T01:00:00.000000Z")], [], 6_400.0),
        (1_000.0, [kernel("busy", "1970-01-01T01:00:00.000000Z")], [], 0.0),
        (1_000.0, [kernel("idle", "1970-01-01T01:00:00Z")], [{"last_activity": "1970-01-01T02:00:00Z"}], 2_800.0),
        (9_900.0, [kernel("idle", "1970-01-01T01:00:00Z")], [], 100.0),
    ],
    ids=["nobody came", "a kernel at rest", "a cell runs", "somebody types in a terminal", "it has just started"],
)
def test_idle_is_since_the_last_that_anybody_did(started: float, kernels: list, terminals: list, idle: float):
    assert IDLE["idle_seconds"](10_000.0, started, kernels, terminals) == pytest.approx(idle)


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[str]:
    """A Jupyter server of this environment, asked as SageMaker's may be: without a token, from this machine."""
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
    options = ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={tmp_path}"]
    environment = os.environ | {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    server = subprocess.Popen([*command, *options], env=environment, stderr=subprocess.DEVNULL)
    try:
        while not (found := list((tmp_path / "runtime").glob("jpserver-*.json"))):
            assert server.poll() is None, "Jupyter ended"
            time.sleep(0.2)
        yield json.loads(found[0].read_text())["url"].rstrip("/")
    finally:
        server.terminate()
        server.wait()


def test_a_real_jupyter_answers_what_it_is_asked(jupyter: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JUPYTER_URL", jupyter)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # of a place behind a proxy
    asked, idle = IDLE["_asked"], IDLE["idle_seconds"]
    assert asked("kernels") == asked("terminals") == []
    opened = urllib.request.Request(f"{jupyter}/api/kernels", data=b"{}", method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(opened) as answer:
        assert answer.status == 201
    kernels = asked("kernels")
    assert len(kernels) == 1
    since = idle(time.time(), 0.0, kernels, asked("terminals"))
    assert 0 <= since < 300
    assert idle(time.time(), 0.0, asked("kernels"), []) >= since  # asking is not working
