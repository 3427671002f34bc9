"""Every way to spoil a rendering in one place: a part less, or a value that is another one."""

from collections.abc import Iterator
from typing import Any

from infra.inputs import Hidden


def with_one_part_less(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The data without one key of a dictionary or one item of a list, at any depth, and where that was.

    What is empty says nothing, so that leaving it out changes nothing.
    """
    for key, value in _parts(data):
        if value not in ([], {}, ""):
            yield f"{path}/{key}", _with(data, key)
        yield from ((where, _with(data, key, part)) for where, part in with_one_part_less(value, f"{path}/{key}"))


def with_one_value_changed(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The data with another text, another number, the opposite, or open what was secret."""
    for key, value in _parts(data):
        inside = f"{path}/{key}"
        if isinstance(value, dict | list):
            yield from ((where, _with(data, key, part)) for where, part in with_one_value_changed(value, inside))
        elif value is not None:
            yield inside, _with(data, key, _another(value))


def _another(value: Any) -> Any:
    if isinstance(value, Hidden):
        return value.value
    if isinstance(value, bool):
        return not value
    return value + ("x" if isinstance(value, str) else 1)


def _parts(data: Any) -> list[tuple[Any, Any]]:
    if isinstance(data, dict):
        return list(data.items())
    return list(enumerate(data)) if isinstance(data, list) else []


_GONE = object()


def _with(data: Any, key: Any, value: Any = _GONE) -> Any:
    pairs = [
        (other, value if other == key else old) for other, old in _parts(data) if other != key or value is not _GONE
    ]
    return dict(pairs) if isinstance(data, dict) else [part for _, part in pairs]
