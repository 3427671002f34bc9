"""Folders of tiny pictures, and a real S3 server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import cv2
import numpy as np
import pytest
from moto.server import ThreadedMotoServer


def png(seed: int) -> bytes:
    """A small valid picture that differs for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write files, given as path=bytes, below a folder named ``xrays``; returns that folder."""

    def written(files: dict[str, bytes], folder: str = "xrays") -> Path:
        for path, data in files.items():
            target = tmp_path / folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return tmp_path / folder

    return written


def cohort(patients: int = 40, *, above: str = "", first: int = 1) -> dict[str, bytes]:
    """One picture each of ``patients`` patients a class, enough to train on and to judge by."""
    files = {}
    for number in range(first, first + patients):
        files[f"{above}NORMAL/IM-{number:04}-0001.png"] = png(2 * number)
        files[f"{above}PNEUMONIA/person{number}_virus_{number}.png"] = png(2 * number + 1)
    return files


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on a free port of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch):
    """A client of that server, and the AWS variables by which our code finds it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL_S3": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return boto3.session.Session().client("s3")


@pytest.fixture
def bucket(s3, request: pytest.FixtureRequest) -> str:
    """An empty bucket of this test's alone."""
    name = f"b{abs(hash(request.node.nodeid)) % 10**12}"
    s3.create_bucket(Bucket=name)
    return name
