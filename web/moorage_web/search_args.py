"""A search as a query string has it, for pages and API alike."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from werkzeug.datastructures import MultiDict

from moorage.errors import FieldError, InvalidInput
from moorage.models import SearchQuery
from moorage_web.arguments import Limit, Line, OneLine, Query, read_query

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kmbt]?)", re.IGNORECASE)
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def parameter_count(value: object) -> object:
    """`3B`, `350M`, `1.5b` as a number of weights; ValueError for any other text."""
    if not isinstance(value, str):
        return value
    match = _NUMBER.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a number such as 3B or 350M")
    return int(float(match[1]) * _SCALE[match[2].lower()])


Count = Annotated[
    int,
    BeforeValidator(parameter_count),
    Field(json_schema_extra={"type": "string", "examples": ["3B", "350M", "1.5B"]}),
]


class Search(Query):
    """With no `q` there must be another filter; `source` may be given several times, none means all."""

    q: Annotated[str, OneLine, Field(max_length=500), AfterValidator(str.strip)] = ""
    source: tuple[Line, ...] = ()
    limit: Limit = 20
    cursor: Annotated[str, OneLine, Field(max_length=8000)] | None = None
    format: Literal["gguf"] | None = None
    app: Literal["ollama", "llama.cpp"] | None = None
    task: Line | None = None
    author: Line | None = None
    license: Line | None = None
    language: Line | None = None
    gated: Literal["true", "false"] | None = None
    min_parameters: Count | None = None
    max_parameters: Count | None = None
    served_by: Line | None = None
    sort: Literal["downloads", "likes", "trending", "created", "updated"] = "downloads"

    def as_query(self) -> SearchQuery:
        """InvalidInput where the range of parameters is empty."""
        filters = self.model_dump(exclude={"q", "source", "limit", "cursor", "sort", "gated"}, exclude_none=True)
        gated = None if self.gated is None else self.gated == "true"
        low, high = self.min_parameters, self.max_parameters
        if low is not None and high is not None and low > high:
            raise InvalidInput(
                "The range of parameters is empty.",
                errors=(FieldError("minParameters", "must not be above maxParameters"),),
            )
        return SearchQuery(text=self.q, limit=self.limit, cursor=self.cursor, gated=gated, sort=self.sort, **filters)


_NAMES = frozenset(field.alias or name for name, field in Search.model_fields.items())
_ASKING = _NAMES - {"source", "limit", "cursor", "sort"}


def search_of_page(args: MultiDict[str, str]) -> Search:
    """What a page is asked: forms send empty fields, and pages have parameters of their own; both are left out.

    InvalidInput names every wrong parameter.
    """
    given = [(key, value.strip()) for key, value in args.items(multi=True)]
    return read_query(Search, MultiDict((key, value) for key, value in given if key in _NAMES and value))


def asks_for_something(args: MultiDict[str, str]) -> bool:
    """Whether there is anything to search for: words, or at least one filter."""
    return any(args.get(key, "").strip() for key in _ASKING)
