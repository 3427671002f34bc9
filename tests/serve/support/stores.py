"""A real Postgres and a real S3 store as processes, which keep what they took on disk when they are killed."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
import httpx
import psutil

from tests.serve.support.waiting import free_port, until

_MINIO_IMAGE = "hm-mlflow/minio"  # the one that the stack in Docker builds from MinIO's source
_USER = "postgres"  # who runs Postgres where root runs the tests, because it refuses to be root


class Store(ABC):
    """A server over a folder of its own; its port stays the same over kills."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def ready(self) -> bool: ...

    def start(self, *, user: str | None = None, **variables: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, user=user, group=user, env=os.environ | variables, cwd="/"
            )
        until(self.ready, seconds=120)

    def kill(self) -> None:
        """SIGKILL for every process of it, as where a machine loses them all at once."""
        assert self._process
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            parent.suspend()  # or Postgres would start others meanwhile
            every = [parent, *parent.children(recursive=True)]
            for process in every:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
            psutil.wait_procs(every, timeout=30)

    def stop(self) -> None:
        """Let it end in its own way, which gives back what it holds of the machine."""
        assert self._process
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self.kill()


class Postgres(Store):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._owner = _USER if os.getuid() == 0 else None
        if self._owner:
            shutil.chown(folder, self._owner, self._owner)
        made = [_postgres("initdb"), "--pgdata", str(folder / "data"), "--username", "mlflow", "--auth", "trust"]
        subprocess.run(made, check=True, user=self._owner, group=self._owner, capture_output=True, cwd="/")
        self.address = f"postgresql+psycopg2://mlflow@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        return [
            _postgres("postgres"),
            "-D",
            str(self.folder / "data"),
            "-h",
            "127.0.0.1",
            "-k",
            "",
            "-p",
            f"{self.port}",
        ]

    def ready(self) -> bool:
        import psycopg2

        with suppress(psycopg2.OperationalError):
            psycopg2.connect(host="127.0.0.1", port=self.port, user="mlflow", dbname="postgres").close()
            return True
        return False

    def start(self, *, user: str | None = None, **variables: str) -> None:
        super().start(user=self._owner, **variables)


class ObjectStore(Store):
    """MinIO; `variables` are those by which our code, MLflow's and boto3 find it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program = shutil.which("minio") or _out_of_the_image(folder)
        self.variables = {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "testing-key",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def command(self) -> list[str]:
        return [self._program, "server", str(self.folder / "objects"), "--address", f"127.0.0.1:{self.port}"]

    def ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/minio/health/ready", trust_env=False).status_code == 200
        return False

    def start(self, *, user: str | None = None, **variables: str) -> None:
        login = {"MINIO_ROOT_USER": "testing-key", "MINIO_ROOT_PASSWORD": "testing-secret", "MINIO_BROWSER": "off"}
        super().start(user=user, **login, **variables)

    def make_bucket(self, name: str) -> None:
        """Make a bucket, by the variables of this process."""
        boto3.session.Session().client("s3").create_bucket(Bucket=name)


def missing() -> str:
    """What this machine lacks for the two of them, empty where it lacks nothing."""
    if importlib.util.find_spec("psycopg2") is None:
        return "psycopg2, the driver of Postgres, is not installed"
    if _postgres("initdb") is None or _postgres("postgres") is None:
        return "no Postgres here: neither PATH nor /usr/lib/postgresql has initdb and postgres"
    if os.getuid() == 0 and _USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return f"root runs these tests, Postgres refuses to be root, and there is no user {_USER}"
    if shutil.which("minio") is None and not _has_image():
        return f"no MinIO here: neither minio in PATH nor {_MINIO_IMAGE}, which make up builds"
    return ""


@contextmanager
def stores() -> Iterator[tuple[Postgres, ObjectStore]]:
    """Both, started, in folders that the user of Postgres can reach."""
    with (
        tempfile.TemporaryDirectory(prefix="hm-postgres-", dir="/tmp") as database,
        tempfile.TemporaryDirectory(prefix="hm-objects-", dir="/tmp") as objects,
    ):
        both = Postgres(Path(database)), ObjectStore(Path(objects))
        for number, store in enumerate(both):
            try:
                store.start()
            except BaseException:
                for started in both[: number + 1]:
                    started.kill()
                raise
        try:
            yield both
        finally:
            for store in both:
                store.stop()


def _postgres(name: str) -> str | None:
    """A program of Postgres: Debian keeps the server's out of PATH."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return shutil.which(name) or (str(newest[-1]) if newest else None)


def _has_image() -> bool:
    docker = shutil.which("docker")
    asked = docker and subprocess.run([docker, "image", "inspect", _MINIO_IMAGE], capture_output=True, check=False)
    return bool(asked) and asked.returncode == 0


def _out_of_the_image(folder: Path) -> str:
    """The program that the image consists of, which needs nothing else of it."""
    program = folder / "minio"
    made = subprocess.run(["docker", "create", _MINIO_IMAGE], capture_output=True, text=True, check=True)
    container = made.stdout.strip()
    try:
        copied = ["docker", "cp", f"{container}:/usr/local/bin/minio", str(program)]
        subprocess.run(copied, capture_output=True, check=True)
    finally:
        subprocess.run(["docker", "rm", container], capture_output=True, check=True)
    return str(program)
