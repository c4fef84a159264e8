"""Describe a node's routes as an OpenAPI 3.1 document, made from their table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from ledgercore.node.guard import OPEN
from ledgercore.node.limits import Limits
from ledgercore.node.table import Parameter, RouteRow

__all__ = ["document"]

_REFUSAL: dict[str, Any] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "remedy": {"type": "string"},
        "record": {"type": "string", "description": "The id of the record at fault, in hex."},
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        **_REFUSAL["properties"],
        "index": {"type": "integer"},
        "indices": {"type": "array", "items": {"type": "integer"}},
    },
}
_OUTCOMES = {
    "type": "object",
    "required": ["outcomes"],
    "properties": {
        "outcomes": {
            "type": "array",
            "items": {
                "oneOf": [
                    {"type": "integer", "description": "The record's index."},
                    {"$ref": "#/components/schemas/Refusal"},
                ]
            },
        },
        "receipts": {
            "type": "array",
            "description": "Where the records end the key that asked: their receipts, in base64.",
            "items": {"type": "string", "contentEncoding": "base64"},
        },
    },
}
_REFUSALS = {
    400: "malformed, or a signature that does not verify",
    408: "the request took too long",
    413: "the body is too large",
    429: "too many requests; retry-after says when",
    500: "the node has found damage, and its operator must look",
    503: "the node cannot answer now; to ask again is safe",
    507: "the node's disk is full",
}
"""What any request may be answered with."""
_WARRANTED = {
    401: "no warrant of this network, node, request and time",
    403: "the key is not an active member's",
}
"""What one that needs a warrant may be answered with beside."""


def document(routes: Sequence[RouteRow], limits: Limits) -> dict[str, Any]:
    """The document; the bounds are those of this node."""
    paths: dict[str, dict[str, Any]] = {}
    for row in routes:
        path = row.path.replace(":path}", "}")
        paths.setdefault(path, {})[row.method.lower()] = _operation(row, limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ledgercore node",
            "version": version("ledgercore"),
            "description": "What is answered is verified against the trust anchor by who asks.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, "Outcomes": _OUTCOMES, "Refusal": _REFUSAL},
            "securitySchemes": {
                "warrant": {
                    "type": "http",
                    "scheme": "ledgercore",
                    "description": "A signed warrant of this request; docs/spec/node.md.",
                },
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


def _operation(row: RouteRow, limits: Limits) -> dict[str, Any]:
    member = row.path.startswith("/v1/") and row.path not in OPEN
    answers: dict[str, Any] = {"200": _content("what was asked for", row.answers)}
    refusals = _REFUSALS | (_WARRANTED if member else {})
    if row.absent:
        refusals |= {404: "it is not there"}
    for status, reason in sorted({**refusals, **row.refuses}.items()):
        schema = {"$ref": "#/components/schemas/Error"}
        error = {"description": reason, "content": {"application/json": {"schema": schema}}}
        told = status in row.refuses
        answers[str(status)] = _content(reason, row.answers) if told else error
    name = row.answer.__name__ + ("_of" if "{" in row.path else "")
    operation: dict[str, Any] = {
        "operationId": f"{row.method.lower()}_{name}",
        "summary": row.summary,
        "security": [{"certificate": [], "warrant": []}] if member else [{"certificate": []}],
        "parameters": [_parameter(each, row.path) for each in row.parameters],
        "responses": answers,
    }
    if row.takes:
        operation["requestBody"] = {
            "required": True,
            "description": f"At most {row.body_bytes(limits)} bytes.",
            "content": {row.takes: {"schema": {"type": "string", "format": "binary"}}},
        }
    return operation


def _content(description: str, kind: str) -> dict[str, Any]:
    media = kind.partition(";")[0]
    schema: dict[str, Any] = {"type": "string"}
    if media == "application/json":
        schema = {"type": "object"}
    elif media == "application/octet-stream":
        schema = {"type": "string", "format": "binary"}
    return {"description": description, "content": {media: {"schema": schema}}}


def _parameter(parameter: Parameter, path: str) -> dict[str, Any]:
    inside = f"{{{parameter.name}" in path
    return {
        "name": parameter.name,
        "in": "path" if inside else "query",
        "required": inside or parameter.required,
        "description": parameter.meaning,
        "schema": {"type": parameter.kind},
    }
