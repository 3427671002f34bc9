"""The webapp as a job asks it: at each address that its host has, which is one a container."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from registry.addresses import host_port
from registry.api_keys import key_entries
from registry.errors import FixableError
from registry.settings import Settings

_TIMEOUT = httpx.Timeout(15.0, connect=3.0)
_VERSION, _CANDIDATE = "hm_serving_version", "hm_candidate_version"


class NotAskableError(FixableError):
    """Somebody answers there who is not our webapp, or does not let us ask; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one address says: the version of each of its replicas, 0 for none, and what `/model` tells, if anything.

    `failure` is why what answers is not what is in Production; empty where it is. `candidates` are the
    versions that the replicas have beside Production, 0 for none.
    """

    address: str
    versions: tuple[int, ...]
    card: Mapping[str, Any]
    failure: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[int, ...] = ()


class WebappClient:
    """Asks every address of WEBAPP_URI, past any proxy, since proxies do not know the addresses of containers."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.webapp_url
        self._parts = urlsplit(self.url)
        self._headers = {"Host": self._parts.netloc} | ({"X-API-Key": key} if (key := _key(settings)) else {})
        self._trusted = ssl.create_default_context()

    def look(self) -> list[Sight]:
        """What each address says that answers; raises NotAskableError."""
        return [sight for address in self._addresses() if (sight := self._look_at(address))]

    def answer(self, address: str, image: bytes) -> tuple[int, float] | None:
        """The version and the probability that an address answers for a picture; None for any other answer.

        It is asked to explain, because what it predicts goes on record as a patient's.
        """
        headers = {"Accept": "application/json", "Content-Type": "application/octet-stream"}
        try:
            answer = self._ask(address, "POST", "/explain", headers=headers, content=image)
            document = answer.json()
            return int(document["model"]["version"]), float(document["probability"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    def send(self, path: str, image: bytes, *, accept: str) -> httpx.Response:
        """What the first address that answers says of an encoded picture.

        Raises NotAskableError where none answers, or it does not let us ask.
        """
        headers = {"Accept": accept, "Content-Type": "application/octet-stream"}
        for address in self._addresses():
            try:
                answer = self._ask(address, "POST", path, headers=headers, content=image)
            except httpx.HTTPError:
                continue
            _check_allowed(answer)
            return answer
        raise NotAskableError(f"no webapp answers at {self.url}; start it (`make serve`), or name it in WEBAPP_URI")

    def _addresses(self) -> list[str]:
        try:
            found = socket.getaddrinfo(self._parts.hostname, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        return sorted({str(entry[4][0]) for entry in found})

    @property
    def _port(self) -> int:
        return self._parts.port or (443 if self._parts.scheme == "https" else 80)

    def _look_at(self, address: str) -> Sight | None:
        try:
            metrics, model = self._ask(address, "GET", "/metrics"), self._ask(address, "GET", "/model")
        except httpx.HTTPError:  # nobody is there, or not yet, or no more
            return None
        _check_allowed(metrics)
        if metrics.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return None
        versions = tuple(_versions(metrics.text, _VERSION))
        if not versions:
            raise NotAskableError("what answers there is no webapp of this project; WEBAPP_URI names it")
        return Sight(
            address=address,
            versions=versions,
            card=model.json() if model.is_success else {},
            failure=_failure(model),
            candidates=tuple(_versions(metrics.text, _CANDIDATE)),
        )

    def _ask(self, address: str, method: str, path: str, **given: Any) -> httpx.Response:
        headers = self._headers | given.pop("headers", {})
        url = f"{self._parts.scheme}://{host_port(address, self._port)}{self._parts.path.rstrip('/')}{path}"
        # A connection a request, so that a balancer in front is free to choose each time.
        with httpx.Client(trust_env=False, timeout=_TIMEOUT, verify=self._trusted) as client:
            names = {"sni_hostname": self._parts.hostname}
            return client.request(method, url, headers=headers, extensions=names, **given)


def _check_allowed(answer: httpx.Response) -> None:
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise NotAskableError(f"it says {answer.status_code}; name an API key of it in API_KEYS")


def _failure(model: httpx.Response) -> Mapping[str, Any]:
    """Why Production is not followed; `/model` tells it with a model as well as without one."""
    try:
        return dict(model.json().get("failure") or {})
    except (ValueError, AttributeError, TypeError):  # somebody in between answered
        return {}


def _versions(metrics: str, name: str) -> Iterator[int]:
    try:
        for family in text_string_to_metric_families(metrics):
            if family.name == name:
                yield from (int(sample.value) for sample in family.samples)
    except ValueError:  # no metrics at all
        return


def _key(settings: Settings) -> str:
    """The first of the keys that API_KEYS or API_KEYS_FILE holds, as NAME:KEY; empty where there is none."""
    text = settings.api_keys.get_secret_value() if settings.api_keys else ""
    if settings.api_keys_file and settings.api_keys_file.is_file():
        text += "\n" + settings.api_keys_file.read_text()
    keys = (entry.partition(":")[2].strip() for entry in key_entries(text))
    return next(filter(None, keys), "")
