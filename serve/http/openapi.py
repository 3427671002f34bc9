"""What routes say of themselves in `/openapi.json` beyond their schemas: bodies of pictures, and problems."""

from typing import Any

from serve.http import problems
from serve.http.uploads import RAW_TYPES

_BINARY = {"type": "string", "format": "binary"}
# What a route that takes pictures may answer about them.
OF_PICTURES = (
    *("malformed-form", "no-file", "too-many-files", "slow-upload", "body-too-large", "image-too-large"),
    *("unsupported-image", "unsupported-media-type", "undecodable-image", "not-a-chest-xray", "no-finite-answer"),
    *("unsure", "no-model"),
)
_OF_ANY_ROUTE = ("busy", "too-slow", "no-replica", "stopping")


def picture_body(*, most: int | None = None) -> dict[str, Any]:
    """The body of a route that takes pictures, in a form or raw."""
    files = {"type": "array", "items": _BINARY, "minItems": 1, **({} if most is None else {"maxItems": most})}
    form = {"type": "object", "required": ["file"], "properties": {"file": files}}
    raw = {media_type: {"schema": _BINARY} for media_type in RAW_TYPES}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}}


def problem_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that answers problems of these codes, and those that any route answers."""
    schema = {"$ref": "#/components/schemas/Problem"}
    titles: dict[int, list[str]] = {}
    for kind in (problems.KINDS[code] for code in (*codes, *_OF_ANY_ROUTE)):
        titles.setdefault(kind.status, []).append(kind.title)
    return {
        status: {"description": "; ".join(titles[status]), "content": {problems.MEDIA_TYPE: {"schema": schema}}}
        for status in sorted(titles)
    }
