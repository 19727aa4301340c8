"""Reading what a request brings: JSON bodies and query strings become checked models, or errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar, get_origin

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel
from werkzeug.datastructures import MultiDict

from moorage.errors import FieldError, InvalidInput, field_errors

M = TypeVar("M", bound=BaseModel)
MAX_DEPTH = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DIGITS = re.compile(r"[0-9]{1,9}")


class Body(BaseModel):
    """Base of request bodies: camelCase keys, nothing unknown, no guessing of types."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, protected_namespaces=())


class Query(BaseModel):
    """Base of query strings. A field that is a tuple may be given several times."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


def _whole_number(value: Any) -> Any:
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("must be a whole number")
    return value


def _one_line(value: Any) -> Any:
    if isinstance(value, str) and _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    return value


OneLine = BeforeValidator(_one_line)
Name = Annotated[str, OneLine]
"""A name for people: its length is the service's business."""

Line = Annotated[str, OneLine, StringConstraints(min_length=1, max_length=400)]
"""An id, a model's name and the like."""

Limit = Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=200)]


class Paging(Query):
    """`limit` is the number of items on a page; `cursor` is `next` of the page before."""

    limit: Limit = 50
    cursor: Line | None = None


def read_query(model: type[M], args: MultiDict[str, str]) -> M:
    """The parameters as a model; InvalidInput for unknown and doubled ones too."""
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    errors: list[FieldError] = []
    values: dict[str, Any] = {}
    for key in args:
        given = args.getlist(key)
        if key not in fields:
            errors.append(FieldError(_CONTROL.sub("", key)[:80], "is not a known parameter"))
        elif _is_list(fields[key].annotation):
            values[key] = tuple(given)
        elif len(given) > 1:
            errors.append(FieldError(key, "is given more than once"))
        else:
            values[key] = given[0]
    try:
        result = model.model_validate(values)
    except ValidationError as error:
        errors.extend(FieldError(item.field.partition(".")[0], item.message) for item in field_errors(error))
    if errors:
        raise InvalidInput("Some parameters are not valid.", errors=tuple(errors))
    return result


def read_body(model: type[M], raw: bytes) -> M:
    """A JSON object as a model; InvalidInput for what is no JSON, too deep, unknown or of the wrong type."""
    value = _parsed(raw)
    try:
        # Through JSON again: strict about types, and yet a list is a tuple there and a text may be a time.
        return model.model_validate_json(orjson.dumps(value), strict=True)
    except ValidationError as error:
        named = tuple(FieldError(item.field or "body", item.message) for item in field_errors(error))
        raise InvalidInput("Some fields are not valid.", errors=named) from None


def no_body(raw: bytes) -> None:
    """For a route without one: an empty object may be sent."""
    for key in _parsed(raw) if raw.strip() else ():
        raise InvalidInput("This request takes no fields.", errors=(FieldError(key[:80], "is not a known field"),))


def check_unchanged(sent: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Read-only keys of a PUT may be sent, and must then be what they are."""
    changed = [key for key, value in sent.items() if not _same(value, current.get(key))]
    if changed:
        raise InvalidInput(
            "Some fields cannot be changed.",
            errors=tuple(FieldError(key, "is read-only and must stay as it is") for key in changed),
        )


def _same(sent: Any, current: Any) -> bool:
    if sent == current or not (isinstance(sent, str) and isinstance(current, str)):
        return bool(sent == current)
    try:  # one moment can be written in several ways
        return datetime.fromisoformat(sent) == datetime.fromisoformat(current)
    except (ValueError, TypeError):
        return False


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except ValueError:
        value = None
        broken = "The body is not valid JSON." if raw.strip() else "The body is missing."
        raise InvalidInput(broken, hint="Send one JSON object.") from None
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.", hint='Such as {"name": "…"}.')
    _check(value, "", 1)
    return value


def _check(value: Any, path: str, depth: int) -> None:
    """No NUL anywhere (files and C libraries end there), and no deeper than any honest request is."""
    if depth > MAX_DEPTH:
        raise InvalidInput("The body is nested too deeply.", errors=(FieldError(path[:200], "is nested too deeply"),))
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidInput(
                "The body has a NUL character.", errors=(FieldError(path, "must not contain a NUL character"),)
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, path or "body", depth)
            _check(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, path, depth + 1)
