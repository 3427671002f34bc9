"""Which names a request may address this server by, and from which pages of a browser it may be sent.

A page elsewhere can make its own name point at 127.0.0.1 and then asks a server on loopback as if it were its own (DNS
rebinding), or send a form to it. The browser of who looks at that page tells on it by the headers `Host` and `Origin`.
"""

import ipaddress
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.settings import Settings, SettingsError
from serve.http.problems import refuse

# A load balancer's and a container's probes name the server as they please, and learn nothing from the answers.
_PROBES = {"/healthz", "/readyz"}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:(?P<port>[0-9]{0,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_PATTERN = re.compile(r"(\*|(\*\.)?[a-z0-9_.-]+|\[[0-9a-f:.]+\])(:([0-9]{1,5}|\*))?")


@dataclass(frozen=True)
class AllowedHosts:
    """The `patterns` of ALLOWED_HOSTS, with a port where only that port is meant, and what the server is called itself.

    `addresses` says that any IP address is taken: nobody can make one point elsewhere, so none is a name to be misused.
    A server on loopback is only asked by loopback's.
    """

    patterns: tuple[str, ...]
    own: str
    addresses: bool

    def named(self, host: str) -> bool:
        """Whether ALLOWED_HOSTS has a host, given with or without a port."""
        found = _HOST.fullmatch(host.lower())
        if not found:
            return False
        return any(_matches(found["name"].rstrip("."), found["port"] or "", p) for p in self.patterns)

    def takes(self, host: str) -> bool:
        """Whether a `Host` is one of this server's."""
        found = _HOST.fullmatch(host.lower())
        if not found:
            return False
        name = found["name"].rstrip(".")
        if name in ("localhost", self.own) or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            pass
        else:
            if self.addresses or address.is_loopback:
                return True
        return self.named(host)


def allowed_hosts(settings: Settings) -> AllowedHosts | None:
    """The hosts that ALLOWED_HOSTS names and the server's own; None, for any, where it listens beyond loopback unasked.

    Raises
    ------
    SettingsError
        If ALLOWED_HOSTS holds something that is not a host.
    """
    given = [item.strip().lower() for item in (settings.allowed_hosts or "").split(",") if item.strip()]
    for item in given:
        if not _PATTERN.fullmatch(item):
            raise SettingsError(
                f"ALLOWED_HOSTS holds {item!r}, which is not a host; it takes names with commas between, each with or "
                "without a port, such as xray.example.org,*.clinic.example:8080, or * for any"
            )
    own = settings.http_host.lower()
    loopback = is_loopback(own)
    if "*" in given or (not given and not loopback):
        return None
    return AllowedHosts(patterns=tuple(given), own=own, addresses=not loopback)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class HostGuard:
    """Answers 403 to a foreign `Host`, and to whatever changes something and comes from a page of another origin."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers.getlist("host"), headers.getlist("origin"), scope["method"])
        if refusal is None:
            await self.app(scope, receive, send)
            return
        code, detail = refusal
        await refuse(scope, receive, send, code, detail, close=True)

    def _refusal(self, named: list[str], origins: list[str], method: str) -> tuple[str, str] | None:
        if len(named) > 1:
            return "foreign-host", "The request names its host more than once; send one Host header."
        host = named[0] if named else ""
        if named and self.hosts is not None and not self.hosts.takes(host):
            return (
                "foreign-host",
                f"This server is not {_quoted(host)}; whoever runs it can add the name to ALLOWED_HOSTS.",
            )
        if method in _SAFE_METHODS:
            return None
        foreign = [origin for origin in origins if not self._is_own(origin, host)]
        if not foreign:
            return None
        return (
            "foreign-origin",
            f"A page of {_quoted(foreign[0])} sent this; only this server's own pages may, and those whose host is in "
            "ALLOWED_HOSTS.",
        )

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page of this origin was sent by the host that is asked, or by one in ALLOWED_HOSTS.

        A browser leaves out its scheme's own port; a proxy in front may write it into `Host` all the same.
        """
        scheme, _, of_page = origin.lower().partition("://")
        port = _DEFAULT_PORTS.get(scheme)
        if port is None or not of_page:
            return False
        same = of_page.removesuffix(f":{port}") == host.lower().removesuffix(f":{port}")
        whole = of_page if _has_port(of_page) else f"{of_page}:{port}"
        return same or (self.hosts is not None and self.hosts.named(whole))


def _has_port(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and bool(found["port"])


def _matches(name: str, port: str, pattern: str) -> bool:
    wanted, colon, wanted_port = pattern.rpartition(":") if not pattern.endswith("]") else (pattern, "", "")
    # A browser leaves out its scheme's own port.
    if colon and wanted_port not in ("*", port) and not (port == "" and wanted_port in _DEFAULT_PORTS.values()):
        return False
    return _same(name, wanted if colon else pattern)


def _same(name: str, wanted: str) -> bool:
    if not wanted.startswith("["):
        return fnmatchcase(name, wanted)
    try:  # an IPv6 address has many spellings
        return ipaddress.ip_address(name.strip("[]")) == ipaddress.ip_address(wanted.strip("[]"))
    except ValueError:
        return False


def _quoted(host: str) -> str:
    return repr(host[:80])
