"""What routes say of themselves in `/openapi.json` beyond their schemas: bodies of pictures, and problems."""

from typing import Any

from serve.http import problems
from serve.http.uploads import RAW_TYPES

_BINARY = {"type": "string", "format": "binary"}


def picture_body(*, most: int | None = None) -> dict[str, Any]:
    """The body of a route that takes pictures, in a form or raw."""
    files = {"type": "array", "items": _BINARY, "minItems": 1, **({} if most is None else {"maxItems": most})}
    form = {"type": "object", "required": ["file"], "properties": {"file": files}}
    raw = {media_type: {"schema": _BINARY} for media_type in RAW_TYPES}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that answers problems of these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": "; ".join(kind.title for kind in problems.KINDS.values() if kind.status == status),
            "content": {problems.MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
