"""The secrets of a stack on this machine as the files that Compose mounts.

``python -m infra.local.secrets`` makes the missing ones. It needs Python and no package, so that a container can run it
where there is no Python.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from infra.local.lower import lower
from infra.local.stores import CREDENTIALS, OBJECT_STORE_USER, PASSWORD
from infra.secrets import generate
from infra.topology import topology

FOLDER = Path(__file__).resolve().parents[3] / "compose" / "secrets"


def all_secrets() -> tuple[str, ...]:
    """The names of all that a stack on this machine can need, with everything on that has secrets."""
    return lower(topology(login=True, keys=True, dashboards=True)).secrets


def derived(name: str) -> tuple[str, Callable[[str], str]] | None:
    """For a file that only spells another secret: which one, and how."""
    return (PASSWORD, _credentials) if name == CREDENTIALS else None


def write_files(folder: Path, names: tuple[str, ...], values: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Write the files that are not there yet, with these values or new ones; gives the names of those written.

    The files can be read by every user, because a container's user is another one than ours; the folder only by us.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    written = []
    for name in sorted(names, key=lambda name: derived(name) is not None):
        file = folder / name
        source = derived(name)
        content = source[1]((folder / source[0]).read_text()) if source else values.get(name) or generate(name)
        if not file.exists() or (source and file.read_text() != content):
            scratch = folder / f".{name}"
            scratch.write_text(content)
            scratch.chmod(0o444)
            scratch.replace(file)
            written.append(name)
    return written


def _credentials(password: str) -> str:
    return f"[default]\naws_access_key_id = {OBJECT_STORE_USER}\naws_secret_access_key = {password}\n"


def main() -> None:
    """Make the missing files, and say which."""
    written = write_files(FOLDER, all_secrets())
    print(f"Wrote {', '.join(written)} in compose/secrets/." if written else "All secrets are there already.")


if __name__ == "__main__":
    main()
