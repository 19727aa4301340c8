"""Routes of the API: what each takes and answers, said once, and used for parsing and for the OpenAPI document.

A view gets its path parameters, and `query` and `body` as checked models where it declares them; it returns a model,
None (204), an Answer with another status, or a whole Response.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flask import Blueprint, Response, request
from pydantic import BaseModel

from moorage_web.arguments import no_body, read_body, read_query

MEGABYTE = 1024 * 1024
Method = Literal["GET", "POST", "PUT", "DELETE"]
View = Callable[..., Any]


@dataclass(frozen=True)
class Answer:
    """An answer whose status or headers are not the usual ones of its route."""

    value: BaseModel | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Operation:
    """One method of one address; what Flask calls."""

    def __init__(
        self,
        view: View,
        method: Method,
        path: str,
        *,
        answer: type[BaseModel] | None = None,
        status: int | None = None,
        also: tuple[int, ...] = (),
        query: type[BaseModel] | None = None,
        body: type[BaseModel] | None = None,
        body_optional: bool = False,
        body_limit: int = MEGABYTE,
        media: str = "application/json",
    ) -> None:
        self.view = view
        self.method = method
        self.path = path
        self.answer = answer
        self.status = status or (200 if answer is not None or media != "application/json" else 204)
        self.also = also  # further statuses of success, with the same answer
        self.query = query
        self.body = body
        self.body_optional = body_optional  # nothing is as good as an empty object
        self.body_limit = body_limit
        self.media = media
        self.tag = ""
        self.__name__ = view.__name__
        self.__doc__ = view.__doc__

    def __call__(self, **arguments: Any) -> Response:
        if self.query is not None:
            arguments["query"] = read_query(self.query, request.args)
        elif request.args:
            read_query(NoParameters, request.args)
        if self.body is not None:
            raw = request.get_data()
            arguments["body"] = read_body(self.body, b"{}" if self.body_optional and not raw.strip() else raw)
        else:
            no_body(request.get_data())
        result = self.view(**arguments)
        if isinstance(result, Response):
            return result
        answer = result if isinstance(result, Answer) else Answer(result, self.status)
        if answer.value is None:
            return Response(status=204)
        text = answer.value.model_dump_json(by_alias=True)
        return Response(text, answer.status, answer.headers, content_type="application/json")


class NoParameters(BaseModel):
    """The query of a route that takes none."""


class Routes:
    """The routes of one noun: decorators that make operations, and the blueprint that holds them."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.blueprint = Blueprint(f"api_{noun}", __name__)

    def get(self, path: str, **options: Any) -> Callable[[View], View]:
        return self._route("GET", path, options)

    def post(self, path: str, **options: Any) -> Callable[[View], View]:
        return self._route("POST", path, options)

    def put(self, path: str, **options: Any) -> Callable[[View], View]:
        return self._route("PUT", path, options)

    def delete(self, path: str, **options: Any) -> Callable[[View], View]:
        return self._route("DELETE", path, options)

    def _route(self, method: Method, path: str, options: dict[str, Any]) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            operation = Operation(view, method, path, **options)
            operation.tag = self.noun
            self.blueprint.add_url_rule(path, view.__name__, operation, methods=[method])
            return view

        return decorate
