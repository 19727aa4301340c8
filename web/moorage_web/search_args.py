"""A search as a query string has it, for pages and API alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from moorage.errors import FieldError, InvalidInput
from moorage.models import SearchQuery

FILTERS = (
    "format",
    "app",
    "task",
    "author",
    "license",
    "language",
    "gated",
    "minParameters",
    "maxParameters",
    "servedBy",
)
ALLOWED = frozenset({"q", "source", "limit", "cursor", "sort", *FILTERS})
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kmbt]?)", re.IGNORECASE)
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def parameter_count(text: str) -> int:
    """`3B`, `350M`, `1.5b` as a number of weights; ValueError for anything else."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a number such as 3B or 350M")
    return int(float(match[1]) * _SCALE[match[2].lower()])


def read_search(args: MultiDict[str, str]) -> tuple[SearchQuery, Sequence[str]]:
    """The query and the sources to ask. InvalidInput names every wrong parameter."""
    errors: list[FieldError] = []
    values: dict[str, Any] = {"text": args.get("q", "").strip()}
    for key in ("cursor", "sort", "limit", *FILTERS):
        given = [value for value in args.getlist(key) if value.strip()]
        if len(given) > 1:
            errors.append(FieldError(key, "is given more than once"))
        elif given:
            values[key] = given[0].strip()
    for key in ("minParameters", "maxParameters"):
        if key in values:
            try:
                values[key] = parameter_count(values[key])
            except ValueError as error:
                errors.append(FieldError(key, str(error)))
                del values[key]
    if "gated" in values and values["gated"] not in ("true", "false"):
        errors.append(FieldError("gated", "must be true or false"))
        del values["gated"]
    if values.get("minParameters", 0) > values.get("maxParameters", float("inf")):
        errors.append(FieldError("minParameters", "must not be above maxParameters"))
    try:
        query = SearchQuery.model_validate(values)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            name = str(item["loc"][0])
            errors.append(FieldError("q" if name == "text" else name, item["msg"]))
        query = SearchQuery()
    if errors:
        raise InvalidInput("The search is not valid.", errors=tuple(errors))
    return query, [source for source in args.getlist("source") if source]


def asks_for_something(args: MultiDict[str, str]) -> bool:
    """Whether there is anything to search for: words, or at least one filter."""
    return any(args.get(key, "").strip() for key in ("q", *FILTERS))
