"""Between paths of this machine and addresses: a path is escaped where it becomes one, an address is decoded."""

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

_HERE = ("", "localhost")


def local_path(address: str) -> Path:
    """The path that a plain path or a ``file:`` address means.

    The home folder that a plain one begins with is written out, every escape of an address is decoded.

    Raises
    ------
    ValueError
        For a ``file:`` address of another machine, of no absolute path, or with a zero byte, and for a path in the home
        of a user who has none here.
    """
    if not address.startswith("file:"):
        return with_home(address)
    rest = address.removeprefix("file:")
    if rest.startswith("//"):
        host, _, below = rest[2:].partition("/")
        if host.lower() not in _HERE:
            raise ValueError(
                f"{address!r} names {host!r} as the machine; an address of a folder here has three slashes and an "
                "absolute path, such as file:///data/x-rays"
            )
        rest = f"/{below}"
    if not rest.startswith("/"):
        raise ValueError(f"{address!r} holds no absolute path, such as file:///data/x-rays")
    path = os.fsdecode(unquote_to_bytes(os.fsencode(rest)))
    if "\0" in path:
        raise ValueError(f"{address!r} holds a zero byte (%00), which no path may")
    return Path(path)


def with_home(path: str) -> Path:
    """A path whose leading `~` or `~USER` is written out; raises ValueError where that home is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        home = path.partition("/")[0]
        raise ValueError(f"{path!r} begins with {home}, a home folder that is not known here; write it out") from None


def is_utf8(path: str) -> bool:
    """Whether all bytes of a path are text: Arrow and MLflow take no other, which the system does."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def sqlite_address(file: Path) -> str:
    """The address of a database in a file, as SQLAlchemy reads it: what would end the path or be decoded is escaped.

    For an escaped path the driver is named too, since MLflow makes the folder of what follows `sqlite:///` undecoded.
    """
    path = str(file)
    escaped = path.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{path}" if escaped == path else f"sqlite+pysqlite:///{escaped}"


def with_plain_file(address: str) -> str:
    """The same database, with no more of an SQLite file's path escaped than has to be."""
    file, (_, question, query) = database_file(address), address.partition("?")
    return address if file is None else f"{sqlite_address(file)}{question}{query}"


def database_file(address: str) -> Path | None:
    """The file that an SQLite address names; None for any other address, and for a database in memory."""
    scheme, _, rest = address.partition("://")
    path = unquote(rest.partition("?")[0].removeprefix("/"))
    return Path(path) if scheme.partition("+")[0] == "sqlite" and path not in ("", ":memory:") else None


def shown(address: str) -> str:
    """An address as it may be shown: without the password that it may hold."""
    return re.sub(r"(://[^/:@]*:).*@", r"\1***@", address)


def is_ipv6(host: str) -> bool:
    """Whether a host, given without brackets, is an IPv6 address, with or without the zone of a link."""
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def is_server(address: str) -> bool:
    """Whether an address names a server that is asked by HTTP: a host, perhaps a port and a path, and nothing else."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # a port that is none, or brackets that do not fit
        return False
    named = bool(parts.hostname) and port != 0 and not re.search(r"\s", address)
    return parts.scheme in ("http", "https") and named and not (parts.query or parts.fragment)


def url_here(host: str, port: int) -> str:
    """How this machine reaches what listens on its host and port: where that is every address, loopback is one."""
    return f"http://{host_port({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}"  # noqa: S104


def host_port(host: str, port: int) -> str:
    """A host and a port as addresses have them: IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
