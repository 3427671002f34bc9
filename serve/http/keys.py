"""API keys: which there are, whether serving may start without any, and the check of every request."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.api_keys import key_entries
from registry.settings import Settings, SettingsError
from serve.http.hosts import is_loopback
from serve.http.problems import refuse

OFF = "off"
OWN = "itself"
_LEAST = 16
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What a browser needs before it can ask for the key, what probes ask, and what describes the rest.
_OPEN = {("GET", path) for path in ("/", "/card", "/healthz", "/readyz", "/docs", "/openapi.json")}
_EXAMPLE = "clinic:" + "x" * 8 + "…"


@dataclass(frozen=True)
class Keys:
    """The SHA-256 digests of the keys that are taken, each under the name of whom it was given to."""

    digests: tuple[tuple[str, bytes], ...]

    def holder(self, given: str) -> str | None:
        """The name that a key belongs to. Every key is compared, in constant time."""
        digest = hashlib.sha256(given.encode("utf-8", "replace")).digest()
        found = None
        for name, known in self.digests:
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def with_own(self) -> tuple["Keys", str]:
        """These keys and one more, made now, by which the starting process asks its own server."""
        own = secrets.token_urlsafe(32)
        return replace(self, digests=(*self.digests, _digest(OWN, own))), own


def read_keys(settings: Settings) -> Keys | None:
    """The keys that API_KEYS or API_KEYS_FILE name; None where none are asked for.

    Raises
    ------
    SettingsError
        If they cannot be read, or if other machines can reach the server and it has neither keys nor API_KEYS=off.
    """
    text = settings.api_keys.get_secret_value().strip() if settings.api_keys else ""
    if text.lower() == OFF:
        return None
    if settings.api_keys_file:
        try:
            text += "\n" + settings.api_keys_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"API_KEYS_FILE is {settings.api_keys_file}, which cannot be read ({type(error).__name__}); "
                f"write one key a line into it, like {_EXAMPLE}"
            ) from error
    pairs = [_pair(entry) for entry in key_entries(text)]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise SettingsError("Two API keys have the same name; give each the name of who holds it.")
    if pairs:
        return Keys(tuple(_digest(name, key) for name, key in pairs))
    if settings.api_keys_file:
        raise SettingsError(f"API_KEYS_FILE is {settings.api_keys_file}, which holds no key; or set API_KEYS={OFF}.")
    if not is_loopback(settings.http_host):
        raise SettingsError(
            f"HTTP_HOST is {settings.http_host!r}, which other machines can reach, and there is no API key. "
            f"Name some in API_KEYS or API_KEYS_FILE, one a line like {_EXAMPLE}, or set API_KEYS={OFF}."
        )
    return None


def _pair(line: str) -> tuple[str, str]:
    name, colon, key = line.partition(":")
    key = key.strip()
    if not colon or not _NAME.fullmatch(name) or name == OWN:
        raise SettingsError(f"API_KEYS or API_KEYS_FILE holds what is not NAME:KEY; write each like {_EXAMPLE}")
    if len(key) < _LEAST or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"The API key of {name} has {len(key)} characters; it takes {_LEAST} or more, without spaces, "
            "for example from: openssl rand -hex 24"
        )
    return name, key


def _digest(name: str, key: str) -> tuple[str, bytes]:
    return name, hashlib.sha256(key.encode()).digest()


class KeyGuard:
    """Answers `no-key` to every request without a key that is taken; without keys at all it lets everything pass."""

    def __init__(self, app: ASGIApp, keys: Keys | None) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.keys is None or self._is_open(scope):
            await self.app(scope, receive, send)
            return
        given = _given(Headers(scope=scope))
        holder = self.keys.holder(given) if given else None
        if holder is None:
            detail = "Send the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'" + (
                "; the one that was sent is not taken." if given else "."
            )
            await refuse(scope, receive, send, "no-key", detail, close=True)
            return
        scope["state"]["key"] = holder
        await self.app(scope, receive, send)

    @staticmethod
    def _is_open(scope: Scope) -> bool:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return (method, scope["path"]) in _OPEN or (method == "GET" and scope["path"].startswith("/static/"))


def _given(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
