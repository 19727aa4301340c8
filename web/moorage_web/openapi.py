"""OpenAPI 3.1 from what the routes say of themselves: the URL map, the pydantic models, the docstrings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.routing import Rule

from moorage_web.operations import Operation
from moorage_web.streams import EVENT_STREAM

REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
OPENAI_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
SchemaKey = tuple[Any, JsonSchemaMode]


def operations(app: Flask) -> Iterator[tuple[Rule, Operation]]:
    """Every route of the API with its rule."""
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        if isinstance(view, Operation):
            yield rule, view


def path_of(rule: Rule) -> str:
    """`/api/agents/{agent_id}`"""
    return _PARAMETER.sub(r"{\1}", rule.rule)


def document(app: Flask, version: str) -> dict[str, Any]:
    found = sorted(operations(app), key=lambda pair: (pair[0].rule, pair[1].method))
    refs, schemas = _schemas(operation for _, operation in found)
    paths: dict[str, dict[str, Any]] = {}
    for rule, operation in found:
        described = _operation(rule, operation, refs, schemas)
        paths.setdefault(path_of(rule), {})[operation.method.lower()] = described
    for query in {operation.query for _, operation in found if operation.query is not None}:
        schemas.pop(_name(refs[query, "validation"]), None)  # they are spelled out as parameters
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Moorage",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM, "OpenAIError": OPENAI_ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "mrg_…"}},
        },
    }


def _schemas(found: Iterator[Operation]) -> tuple[dict[SchemaKey, dict[str, Any]], dict[str, Any]]:
    wanted: dict[SchemaKey, None] = {}
    for operation in found:
        for model in (operation.query, operation.body):
            if model is not None:
                wanted[model, "validation"] = None
        if operation.answer is not None:
            wanted[operation.answer, "serialization"] = None
    refs, definitions = models_json_schema(list(wanted), by_alias=True, ref_template=REF)
    return dict(refs), definitions["$defs"]


def _operation(
    rule: Rule, operation: Operation, refs: dict[SchemaKey, dict[str, Any]], schemas: dict[str, Any]
) -> dict[str, Any]:
    summary, _, rest = (operation.__doc__ or "").strip().partition("\n")
    described: dict[str, Any] = {
        "operationId": operation.__name__,
        "tags": [operation.tag],
        "summary": summary,
        "parameters": [*_path_parameters(rule), *_query_parameters(operation, refs, schemas)],
        "responses": _responses(rule, operation, refs),
    }
    if rest.strip():
        described["description"] = rest.strip()
    if operation.body is not None:
        content = {"application/json": {"schema": refs[operation.body, "validation"]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(rule.rule):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(
    operation: Operation, refs: dict[SchemaKey, dict[str, Any]], schemas: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    schema = schemas[_name(refs[operation.query, "validation"])]
    for name, described in schema["properties"].items():
        required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": required, "schema": described}


def _responses(rule: Rule, operation: Operation, refs: dict[SchemaKey, dict[str, Any]]) -> dict[str, Any]:
    error, kind = (
        ("OpenAIError", "application/json") if rule.rule.startswith("/v1/") else ("Problem", "application/problem+json")
    )
    responses: dict[str, Any] = {}
    for status in (operation.status, *operation.also):
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if operation.answer is not None:
            content = {"application/json": {"schema": refs[operation.answer, "serialization"]}}
            responses[str(status)]["content"] = content
        elif operation.media == EVENT_STREAM:
            events = {"type": "string", "description": "Server-sent events."}
            responses[str(status)]["content"] = {EVENT_STREAM: {"schema": events}}
        elif status != 204:
            responses[str(status)]["content"] = {operation.media: {}}
    responses["default"] = {
        "description": "What went wrong.",
        "content": {kind: {"schema": {"$ref": REF.format(model=error)}}},
    }
    return responses


def _name(ref: dict[str, Any]) -> str:
    return str(ref["$ref"]).rpartition("/")[2]
