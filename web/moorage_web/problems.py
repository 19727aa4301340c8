"""Errors as answers: RFC 9457 for the API, OpenAI's shape below /v1, a page for people. Never a stack trace."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from moorage.errors import FieldError, InvalidInput, MoorageError, RateLimited

log = logging.getLogger("moorage.web")
PROBLEM_JSON = "application/problem+json"
WAIT_SECONDS = 60  # where a service asks us to wait and does not say how long
_SENTENCES = {
    400: "The request could not be read.",
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The body is too large.",
    415: "This kind of body is not taken here.",
}
# https://platform.openai.com/docs/guides/error-codes: which `type` goes with which status.
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
ProblemPage = Callable[["Problem"], Response]


@dataclass(frozen=True)
class Problem:
    """What went wrong, in the words of API.md. `headers` go with the answer."""

    status: int
    code: str
    title: str
    detail: str
    hint: str | None = None
    errors: tuple[FieldError, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"urn:moorage:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            body["hint"] = self.hint
        if self.errors:
            body["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return body

    def as_openai(self) -> dict[str, Any]:
        """Source: the `error` object that the official client reads (openai-python, `_exceptions.py`)."""
        fields = "; ".join(f"{error.field} {error.message}" for error in self.errors)
        default = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": " ".join(filter(None, (self.detail, f"({fields})" if fields else "", self.hint))),
                "type": _OPENAI_TYPES.get(self.status, default),
                "param": self.errors[0].field if self.errors else None,
                "code": "model_not_found" if self.code == "missing" else self.code.replace("-", "_"),
            }
        }


class Refused(Exception):
    """Raised where a request is turned away before any service hears of it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refuse(status: int, code: str, detail: str, *, hint: str | None = None, **headers: str) -> Refused:
    return Refused(
        Problem(
            status,
            code,
            HTTPStatus(status).phrase,
            detail,
            hint,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
    )


def problem_of(error: Exception) -> Problem:
    """The problem that an exception stands for; what nobody expected is logged, and shows nothing of itself."""
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, MoorageError):
        headers = {}
        if isinstance(error, RateLimited):
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or WAIT_SECONDS)))
        status = error.http_status if isinstance(error, InvalidInput) else error.status
        errors = error.errors if isinstance(error, InvalidInput) else ()
        return Problem(status, error.code, error.title, str(error) or error.title, error.hint, errors, headers)
    if isinstance(error, HTTPException) and error.code is not None:
        phrase = HTTPStatus(error.code).phrase
        headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        return Problem(
            error.code,
            phrase.lower().replace(" ", "-"),
            phrase,
            _SENTENCES.get(error.code, f"{phrase}."),
            headers=headers,
        )
    log.error("a request failed: %s %s", request.method, request.path, exc_info=error)
    return Problem(
        500,
        "internal-error",
        "Moorage failed",
        "Moorage failed at this request. Nothing is known to be wrong with what you sent.",
        "Try again. The log of the server says more.",
    )


def body_for(problem: Problem, path: str) -> tuple[bytes, str]:
    """The answer's body and content type for a program."""
    if path == "/v1" or path.startswith("/v1/"):
        return orjson.dumps(problem.as_openai()), "application/json"
    return orjson.dumps(problem.as_json()), PROBLEM_JSON


def for_programs(path: str) -> bool:
    """Whether an address belongs to the API rather than to the pages."""
    return path.startswith(("/api/", "/v1/")) or path in ("/api", "/v1", "/healthz", "/readyz", "/metrics")


def respond(problem: Problem) -> Response:
    body, content_type = body_for(problem, request.path)
    return Response(body, problem.status, problem.headers, content_type=content_type)


def install(app: Flask, page: ProblemPage | None) -> None:
    """Answer every exception; `page` renders the problem for a browser."""

    def handle(error: Exception) -> Response:
        if isinstance(error, HTTPException) and (error.code is None or error.code < 400):
            return Response(error.get_response().response, error.code, error.get_headers())
        problem = problem_of(error)
        if page is None or for_programs(request.path):
            return respond(problem)
        response = page(problem)
        response.status_code = problem.status
        response.headers.extend(problem.headers)
        return response

    app.register_error_handler(Exception, handle)
