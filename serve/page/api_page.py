"""The OpenAPI description as something to read: it needs no script, so `/docs` works offline and under our policy."""

from dataclasses import dataclass
from typing import Any

_EXAMPLES = {
    "/example": "curl {base}/example -o xray.jpeg",
    "/predict": "curl -F file=@xray.jpeg {base}/predict",
    "/explain": "curl -F file=@xray.jpeg {base}/explain -o evidence.png",
    "/predictions/{prediction_id}/feedback": """curl --json '{"label": "NORMAL"}' {base}/predictions/ID/feedback""",
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of an answer."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer of an operation; `models` holds each schema's name with its fields."""

    status: str
    meaning: str
    media_types: tuple[str, ...]
    models: tuple[tuple[str, tuple[Field, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method on one path."""

    method: str
    path: str
    summary: str
    description: str
    example: str
    body_types: tuple[str, ...]
    replies: tuple[Reply, ...]


def describe(document: dict[str, Any]) -> list[Operation]:
    """Every operation of an OpenAPI document, in its order."""
    schemas = document.get("components", {}).get("schemas", {})
    return [
        Operation(
            method=method.upper(),
            path=path,
            summary=operation.get("summary", ""),
            description=operation.get("description", ""),
            example=_EXAMPLES.get(path, "curl {base}" + path),
            body_types=tuple(operation.get("requestBody", {}).get("content", {})),
            replies=tuple(_reply(status, reply, schemas) for status, reply in sorted(operation["responses"].items())),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _reply(status: str, reply: dict[str, Any], schemas: dict[str, Any]) -> Reply:
    content = reply.get("content", {})
    names = dict.fromkeys(name for entry in content.values() for name in _references(entry.get("schema", {})))
    models = tuple((name, _fields(schemas[name])) for name in names if name != "Problem")
    return Reply(status=status, meaning=reply["description"], media_types=tuple(content), models=models)


def _references(schema: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        return [schema["$ref"].rsplit("/", 1)[-1]]
    return [name for option in schema.get("anyOf", []) for name in _references(option)]


def _fields(schema: dict[str, Any]) -> tuple[Field, ...]:
    return tuple(
        Field(name=name, type=_type(field), meaning=field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    )


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if schema.get("type") == "array":
        return f"[{_type(schema['items'])}, …]" if "items" in schema else "array"
    return str(schema.get("format") or schema.get("type") or "any")
