"""Whether somebody answers at an address: asked within seconds and before the work, where libraries wait for minutes.

Ray, MLflow and the S3 clients try a dead address again and again, in silence or with warnings that name no setting.
"""

import contextlib
import functools
import os
import re
import socket
import ssl
import struct
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from requests.utils import get_environ_proxies, select_proxy

from registry.addresses import host_port, shown
from registry.settings import SettingsError

CONNECT_S, ANSWER_S = 3.0, 6.0
_POSTGRES_HELLO = struct.pack("!II", 8, 80_877_103)  # asks for TLS: every Postgres answers yes or no by one byte
_WITHOUT_SCHEME = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\]):\d+/?")
_AWAY = {502, 503, 504}  # a proxy or a balancer answers, and nobody behind it


class UnreachableError(SettingsError, ConnectionError):
    """Nobody answers at the address that a setting names; the message names both."""


def reach_tracking(address: str, *, variable: str = "MLFLOW_TRACKING_URI") -> None:
    """Raise UnreachableError where a tracking server, or the server of a database, does not answer."""
    parts = _parts(address, variable)
    if _WITHOUT_SCHEME.fullmatch(address):
        raise SettingsError(
            f"{variable} is {address!r}, which has no scheme; write http:// in front, such as http://127.0.0.1:5000"
        )
    with _blamed(variable, address, "start it (`make serve` or `mlflow server`), or name another one"):
        if parts.scheme in ("http", "https"):
            _ask(f"{parts.geturl().rstrip('/')}/health", authorities="MLFLOW_TRACKING_SERVER_CERT_PATH")
        elif parts.scheme.startswith(("postgresql", "mysql", "mssql")) and parts.hostname:
            postgres = parts.scheme.startswith("postgresql")
            hello = _POSTGRES_HELLO if postgres else b""
            _connect(parts.hostname, parts.port or (5432 if postgres else 3306), hello=hello)


def reach_jobs_api(address: str) -> None:
    """Raise UnreachableError where no Ray takes jobs at a `http://HOST:8265`."""
    _parts(address, "RAY_ADDRESS")
    with _blamed("RAY_ADDRESS", address, "start that Ray, or unset it to run on this machine"):
        _ask(f"{address.rstrip('/')}/api/version", authorities="SSL_CERT_FILE")


def reach_ray(address: str, *, found_as: str = "") -> None:
    """Raise UnreachableError where no Ray listens at HOST:PORT or `ray://HOST:PORT`.

    Somebody who takes connections and says nothing is found out by gRPC's greeting, which every Ray answers.
    """
    takes = "it takes HOST:PORT such as 10.0.0.5:6379, auto, or http://HOST:8265 to submit jobs"
    parts = _parts(address, "RAY_ADDRESS", scheme="ray://", takes=takes)
    if not parts.hostname or not parts.port:
        raise SettingsError(f"RAY_ADDRESS is {address!r}, which is not an address; {takes}")
    with _blamed("RAY_ADDRESS", found_as or address, "start that Ray, or unset it to run on this machine"):
        _connect(parts.hostname, parts.port)
        _greet(host_port(parts.hostname, parts.port))


def reach_s3(uri: str, *, variable: str) -> None:
    """Raise UnreachableError where a setting names `s3://` and the store that AWS_ENDPOINT_URL_S3 names is away."""
    name = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    endpoint = os.environ.get(name, "")
    if uri.startswith("s3:") and endpoint.lower().startswith(("http://", "https://")):
        parts = _parts(endpoint, name)
        with _blamed(name, endpoint, f"{variable} is {uri!r}, which is kept there; start the store, or name another"):
            # Datasets are read by boto3, which takes a proxy, the state by Arrow, which takes none.
            _ask(parts.geturl(), authorities="AWS_CA_BUNDLE", proxied=variable != "STATE_URI")


class _Dead(Exception):
    """Why an address does not answer."""


@contextlib.contextmanager
def _blamed(variable: str, address: str, remedy: str):  # type: ignore[no-untyped-def]
    try:
        yield
    except _Dead as dead:
        raise UnreachableError(f"{variable} is {shown(address)!r}, which does not answer: {dead}; {remedy}") from None


def _parts(  # type: ignore[no-untyped-def]
    address: str, variable: str, *, scheme: str = "", takes: str = "an example is http://127.0.0.1:5000"
):
    """The parts of an address, which may lack its scheme where there is one to begin with; `takes` is for a refusal."""
    try:
        parts = urlsplit(address if "://" in address else f"{scheme}{address}")
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"{variable} is {shown(address)!r}, which is not an address: {error}; {takes}") from None
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise SettingsError(f"{variable} is {address!r}, which names no host; an example is http://127.0.0.1:5000")
    return parts


@functools.cache
def _ask(url: str, *, authorities: str, proxied: bool = True) -> None:
    """Take any answer for a sign of life, asked as the library will that does the work: `proxied` says whether it
    takes the proxy that the environment names.

    `load_settings` has put loopback into NO_PROXY by then.
    """
    proxy = select_proxy(url, get_environ_proxies(url)) if proxied else None
    proxy = f"http://{proxy}" if proxy and "://" not in proxy else proxy
    try:
        _look(url, authorities, proxy)
    except _Dead as dead:
        if proxy is None:
            raise
        raise _Dead(
            f"through the proxy {shown(proxy)!r}, which the environment names, {dead} (NO_PROXY names hosts to ask "
            "without it)"
        ) from None


def _look(url: str, authorities: str, proxy: str | None) -> None:
    if proxy and not proxy.lower().startswith(("http://", "https://")):
        raise _Dead("it cannot be asked: a proxy has to be http:// or https://")
    try:
        with (
            httpx.Client(
                timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
                verify=_trusted(authorities) if url.startswith("https") else False,
                trust_env=False,
                proxy=proxy,
            ) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code in _AWAY:
                raise _Dead(f"it says {answer.status_code} {answer.reason_phrase}")
            if answer.status_code == httpx.codes.BAD_REQUEST and url.startswith("http://"):
                with contextlib.suppress(httpx.HTTPError):
                    if b"https" in answer.read().lower():
                        raise _Dead("it speaks https; write https:// in front")
    except httpx.ProxyError as error:
        raise _Dead(f"it says {error}") from None
    except httpx.ConnectTimeout:
        raise _Dead(f"no connection within {CONNECT_S:g} s") from None
    except httpx.TimeoutException:
        raise _Dead(f"it takes connections and says nothing for {ANSWER_S:g} s") from None
    except httpx.ConnectError as error:
        raise _Dead(_why(error, authorities)) from None
    except httpx.HTTPError as error:
        asks = "write https:// in front if it is meant" if url.startswith("http://") else "is it http://?"
        raise _Dead(f"its answer is not HTTP ({error or type(error).__name__}); {asks}") from None
    except (httpx.InvalidURL, ValueError, OSError) as error:
        raise _Dead(str(error)) from None


def _why(error: Exception, authorities: str) -> str:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not trusted ({text}); name who signed it in {authorities}"
    if "SSL" in text:
        return f"it does not speak https ({text}); write http:// in front if that is meant"
    if any(sign in text for sign in ("Name or service", "Temporary failure in name", "No address associated")):
        return "the name of its host is not known here"
    return "nobody listens there" if "refused" in text else text


def _trusted(authorities: str) -> ssl.SSLContext | bool:
    """Whom to trust for https: the file or folder of the library that will do the work, or of `requests` below it."""
    if authorities == "MLFLOW_TRACKING_SERVER_CERT_PATH" and os.environ.get("MLFLOW_TRACKING_INSECURE_TLS") == "true":
        return False
    name = next((name for name in (authorities, "REQUESTS_CA_BUNDLE") if os.environ.get(name)), None)
    if name is None:
        return True
    place = Path(os.environ[name])
    try:
        if place.is_dir():
            return ssl.create_default_context(capath=str(place))
        return ssl.create_default_context(cafile=str(place))
    except OSError as error:
        raise _Dead(f"{name} is {str(place)!r}, which cannot be read as certificates ({error})") from None


@functools.cache
def _connect(host: str, port: int, *, hello: bytes = b"") -> None:
    """Try every address that a name has; one that answers is enough. Where there is a `hello`, it must be answered."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
            if hello:
                connection.settimeout(ANSWER_S)
                connection.sendall(hello)
                if not _heard(connection):
                    raise _Dead(f"it takes connections and does not answer as Postgres does within {ANSWER_S:g} s")
    except socket.gaierror:
        raise _Dead("the name of its host is not known here") from None
    except TimeoutError:
        raise _Dead(f"no connection within {CONNECT_S:g} s") from None
    except (OSError, UnicodeError, OverflowError) as error:
        raise _Dead("nobody listens there" if isinstance(error, ConnectionRefusedError) else str(error)) from None


def _heard(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1))
    except TimeoutError:
        return False


def _greet(target: str) -> None:
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return  # the greeting would need Ray's certificates
    import grpc  # noqa: PLC0415 - Ray brings it, and only a cluster needs it

    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=ANSWER_S)
        except grpc.FutureTimeoutError:
            raise _Dead("something takes connections there that is not Ray") from None
