"""What is wrong with the settings of jobs on this machine: `.env`, and what it and the environment name."""

import io
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from infra.findings import Chapter, Finding

_WAIT_S = 5
_PORTS = {"http": 80, "https": 443, "ray": 10001}


def job_settings(root: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether `.env` can be read, its folder of X-rays is there, and the servers that it names answer.

    A variable of the environment counts more than the same one in `.env`, as for a job.
    """
    file, written = root / ".env", dict[str, str | None]()
    if file.is_file():
        data = file.read_bytes()
        try:
            written = dotenv_values(stream=io.StringIO(data.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            yield Finding(
                what=f"{file}, line {line}, is not written in UTF-8.",
                remedy="save it as UTF-8; no job starts until then",
                stops=False,
                chapter=Chapter.SETTING,
            )
    settings = written | dict(environment)
    yield from _folder(settings.get("DATA_URI") or "")
    tracking = (
        "MLFLOW_TRACKING_URI_CLOUD" if settings.get("EXECUTION_ENVIRONMENT") == "cloud" else "MLFLOW_TRACKING_URI"
    )
    for variable, chapter in ((tracking, Chapter.MLFLOW), ("RAY_ADDRESS", Chapter.RAY)):
        yield from _server(variable, settings.get(variable) or "", chapter)


def _folder(data: str) -> Iterator[Finding]:
    if data and ":" not in data and not Path(data).expanduser().is_dir():
        yield Finding(
            what=f"DATA_URI is {data!r}, which is no folder on this machine.",
            remedy="DATA_URI=synthetic:600 takes generated X-rays; .env.example says what else it takes",
            stops=False,
            chapter=Chapter.PICTURES,
        )


def _server(variable: str, address: str, chapter: Chapter) -> Iterator[Finding]:
    place = urlsplit(address if "://" in address else f"//{address}")
    port = None
    with suppress(ValueError):  # no number: what reads the setting says so
        port = place.port or _PORTS.get(place.scheme)
    if not place.hostname or not port:
        return  # a file, or a word such as `auto`
    try:
        socket.create_connection((place.hostname, port), timeout=_WAIT_S).close()
    except OSError as error:
        yield Finding(
            what=f"{variable} names {place.hostname}:{port}, which does not answer: {error}",
            remedy=f"start what should answer there, or remove {variable} from .env and the environment",
            stops=False,
            chapter=chapter,
        )
