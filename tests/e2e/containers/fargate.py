"""What ECS is asked for, run under Docker as Fargate would: secrets as variables, folders in memory, no /dev/shm.

Moto stands for AWS, at the gateway of the containers' own network; a Postgres with a certificate stands for RDS.
"""

import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3

from infra.addresses import database_uri
from infra.aws.compute import demand
from infra.aws.compute.ecs import Supplied, container_definition, task_definition
from infra.aws.lower import AUTHORITIES, lower
from infra.aws.names import Names
from infra.aws.network import certificate
from infra.spec import Ref, Service
from infra.topology import project_of, topology
from tests.e2e.containers.stack import healthy, inspect, run, wait_for

STACK = "aws-fargate"
PROJECT = project_of(STACK)
NAMES = Names(project=PROJECT, stack=STACK, environment="dev", account="123456789012", region="eu-west-1")
DATABASE = f"database.{NAMES.domain}"


class Fargate:
    """The topology as it was lowered for AWS, on a network of its own with a simulated AWS."""

    def __init__(self, address: str, folder: Path) -> None:
        self.variables = {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        self._folder = folder
        self._secrets, self._s3 = self.client("secretsmanager"), self.client("s3")
        self._database_secret = self._secrets.create_secret(Name="rds!db", SecretString=_login("first"))["ARN"]
        self._whole = lower(
            topology(login=True, stack=STACK),
            names=NAMES,
            replicas=1,
        )
        self._arns = {
            name: self._secrets.create_secret(Name=NAMES.secret(name), SecretString=self.secret(name))["ARN"]
            for name in self._whole.secrets
        }
        for bucket in self._whole.buckets:
            region = {"LocationConstraint": NAMES.region}
            self._s3.create_bucket(Bucket=NAMES.bucket(bucket.name), CreateBucketConfiguration=region)
        self._images = {
            image.name: run(
                *("docker", "build", "--quiet", "--file", f"compose/images/{image.dockerfile}"),
                *(("--target", image.target) if image.target else ()),
                ".",
                seconds=1800,
            ).stdout.strip()
            for image in self._whole.images
        }

    def client(self, service: str) -> Any:
        """Boto3's client of the simulated AWS."""
        return boto3.client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name=NAMES.region,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    @staticmethod
    def secret(name: str) -> str:
        """What Secrets Manager holds under a name."""
        return f"{name} of this test"

    def start(self, name: str) -> None:
        """Start the task of a service, and what runs beside it, and wait until it is healthy."""
        service = self._whole.service(name)
        run(*self._command(service, "--detach"))
        if name == "ray-head":
            beside = demand.container(service, self._whole.service("ray-worker"), self._supplied(service))
            run(*self._run(beside, service, "--network", f"container:{container(name)}", "--detach"))
        one = container(name)
        wait_for(lambda: healthy(one) or not inspect(one)["State"]["Running"], f"{name} healthy", seconds=240)
        log = run("docker", "logs", one)
        assert healthy(one), f"{name} ended:\n{log.stdout[-3000:]}\n{log.stderr[-6000:]}"

    def run_task(self, name: str) -> str:
        """Run a task to its end, which has to be a good one; gives what it said."""
        return run(*self._command(self._whole.service(name)), seconds=900).stdout

    def url(self, name: str) -> str:
        """Where the load balancer would find a service."""
        [network] = inspect(container(name))["NetworkSettings"]["Networks"].values()
        [port] = [port.number for port in self._whole.service(name).ports if port.public]
        return f"http://{network['IPAddress']}:{port}"

    def start_database(self) -> None:
        """A Postgres that lets nobody in from outside but by TLS and a password."""
        made = certificate.make(NAMES.domain, [DATABASE])
        image = "postgres:15-bookworm"
        user = run("docker", "run", "--rm", "--entrypoint", "id", image, "-u", "postgres").stdout.strip()
        files = {
            "server.crt": made.certificate,
            "server.key": made.key,
            "hba": "local all all trust\nhostssl all all all scram-sha-256\n",
        }
        for name, text in files.items():
            (self._folder / name).write_text(text)
            (self._folder / name).chmod(0o600)
            run("chown", user, str(self._folder / name))
        (self._folder / "authority.pem").write_text(made.authority)
        self._folder.chmod(0o755)
        options = {"ssl": "on", "ssl_cert_file": "/tls/server.crt", "ssl_key_file": "/tls/server.key"}
        run(
            *("docker", "run", "--detach", "--name", container("database"), "--network", PROJECT),
            *("--network-alias", DATABASE, "--volume", f"{self._folder}:/tls:ro"),
            *("--env", "POSTGRES_USER=mlflow", "--env", "POSTGRES_PASSWORD=first", image, "postgres"),
            *(word for option in (options | {"hba_file": "/tls/hba"}).items() for word in ("-c", "=".join(option))),
        )
        ready = ("docker", "exec", container("database"), "pg_isready", "--host", "127.0.0.1")
        wait_for(lambda: run(*ready, check=False).returncode == 0, "the database")

    def host(self, name: str) -> str:
        """The host name of a service, as people and other services know it."""
        return NAMES.host(self._whole.service(name))

    def change_the_databases_password(self) -> None:
        """Do what RDS does every week, telling Secrets Manager alone; and let everybody have to log in anew."""
        psql = ("docker", "exec", container("database"), "psql", "--username", "mlflow", "--command")
        run(*psql, "alter user mlflow password 'second'")
        self._secrets.put_secret_value(SecretId=self._database_secret, SecretString=_login("second"))
        run(*psql, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")

    def _command(self, service: Service, *more: str) -> Iterator[str]:
        definition = container_definition(service, self._supplied(service))
        return self._run(definition, service, "--network", PROJECT, "--network-alias", NAMES.host(service), *more)

    def _supplied(self, service: Service) -> Supplied:
        return Supplied(
            image=self._images[service.image],
            user=self._whole.image(service.image).user,
            secrets={name: self._arns[name] for name in service.secrets},
            log_group=NAMES.log_group(service.name),
            region=NAMES.region,
            known={
                Ref("database", "uri"): database_uri("mlflow", DATABASE),
                Ref("database", "secret"): self._database_secret,
            },
        )

    def _run(self, definition: dict[str, Any], service: Service, *more: str) -> Iterator[str]:
        """`docker run` as a container definition asks for it."""
        linux = definition["linuxParameters"]
        assert definition["readonlyRootFilesystem"]
        assert linux["initProcessEnabled"]
        yield from ("docker", "run", "--name", container(definition["name"]), "--read-only", "--init", "--ipc", "none")
        yield from ("--memory", f"{task_definition(service, family='')['memory']}m", "--user", definition["user"])
        yield from ("--stop-timeout", str(definition["stopTimeout"]))
        yield from (word for name in linux["capabilities"]["drop"] for word in ("--cap-drop", name))
        for folder in linux["tmpfs"]:
            options = ",".join((f"size={folder['size']}m", *folder["mountOptions"]))
            yield from ("--tmpfs", f"{folder['containerPath']}:{options}")
        variables = self.variables | {one["name"]: one["value"] for one in definition["environment"]}
        for secret in definition.get("secrets", ()):
            found = self._secrets.get_secret_value(SecretId=secret["valueFrom"])
            variables[secret["name"]] = found["SecretString"]
        yield from (word for variable in variables.items() for word in ("--env", "=".join(variable)))
        if service.databases:
            yield from ("--volume", f"{self._folder}/authority.pem:{AUTHORITIES}:ro")
        if check := definition.get("healthCheck"):
            yield from ("--health-cmd", shlex.join(check["command"][1:]), "--health-retries", str(check["retries"]))
            yield from ("--health-interval", f"{check['interval']}s", "--health-timeout", f"{check['timeout']}s")
            yield from ("--health-start-period", f"{check['startPeriod']}s")
        yield from (*more, definition["image"], *definition.get("command", ()))


@contextmanager
def fargate(folder: Path) -> Iterator[Fargate]:
    """A simulated AWS with buckets, secrets and a database, on a network on which nothing of the topology runs yet."""
    _remove()
    run("docker", "network", "create", PROJECT)
    [config] = json.loads(run("docker", "network", "inspect", PROJECT).stdout)[0]["IPAM"]["Config"]
    with closing(socket.create_server((config["Gateway"], 0))) as free:
        host, port = free.getsockname()
    aws = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", host, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: _answers(host, port), "the simulated AWS")
        made = Fargate(f"http://{host}:{port}", folder)
        made.start_database()
        yield made
    finally:
        aws.terminate()
        aws.wait()
        _remove()


def container(name: str) -> str:
    """The container of a service."""
    return f"{PROJECT}-{name}"


def _answers(host: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0


def _login(password: str) -> str:
    return json.dumps({"username": "mlflow", "password": password})


def _remove() -> None:
    """Remove what there is, of an interrupted run too."""
    there = run("docker", "ps", "--all", "--quiet", "--filter", f"name=^{PROJECT}-").stdout.split()
    if there:
        run("docker", "rm", "--force", "--volumes", *there)
    run("docker", "network", "rm", PROJECT, check=False)
