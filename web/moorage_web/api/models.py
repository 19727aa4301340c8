"""Searching for models, looking at one, and asking for it to be installed."""

from __future__ import annotations

from typing import Annotated, Any, Self

from flask import request
from pydantic import Field, model_validator

from moorage.errors import FieldError, InvalidInput
from moorage.models import Install, InstallPlan, ModelDetail, Road, SearchOutcome
from moorage_web.arguments import Body, Line, Query
from moorage_web.current import host
from moorage_web.operations import Answer, Routes
from moorage_web.search_args import Search, asks_for_something
from moorage_web.when import WhenField

api = Routes("models")


Tokens = Annotated[int, Field(ge=256, le=10_000_000)]


class Which(Query):
    """`target` is the one that files are judged for, the likely one by default; `contextLength` in tokens."""

    source: Line
    id: Line
    revision: Line | None = None
    target: Line | None = None
    context_length: Tokens | None = None


class Wish(Body):
    """Without `file` and `quantization` the plan takes the recommended file; without `target` the default one."""

    source: Line
    model: Line
    file: Line | None = None
    quantization: Line | None = None
    target: Line | None = None
    road: Road | None = None

    @model_validator(mode="after")
    def _one_wish(self) -> Self:
        if self.file is not None and self.quantization is not None:
            wrong = FieldError("quantization", "cannot be given together with file")
            raise InvalidInput("Two files are named.", errors=(wrong,))
        return self

    def wish(self) -> dict[str, Any]:
        return self.model_dump(include={"source", "model", "file", "quantization", "target", "road"})


class PlanBody(Wish):
    context_length: Tokens | None = None


class ImportBody(Wish):
    when: WhenField = "now"


@api.get("/api/llm/models/search", query=Search, answer=SearchOutcome)
def search_models(query: Search) -> SearchOutcome:
    """Search all sources, or some."""
    if not asks_for_something(request.args):
        raise InvalidInput(
            "There is nothing to search for.",
            errors=(FieldError("q", "is required without another filter"),),
            hint="Give words in q, or a filter such as format=gguf.",
        )
    return host().search.search(query.as_query(), query.source)


@api.get("/api/llm/models/detail", query=Which, answer=ModelDetail)
def describe_model(query: Which) -> ModelDetail:
    """One model: files, gate, where it is served, and what each target would take of it."""
    target = host().local.known_target(query.target)
    detail = host().search.describe(query.source, query.id, query.revision)
    return host().suitability.of(detail, target=target, context_length=query.context_length)


@api.post("/api/llm/models/plan", body=PlanBody, answer=InstallPlan)
def plan_install(body: PlanBody) -> InstallPlan:
    """What an install would do; nothing is done."""
    return host().installs.plan(**body.wish(), context_length=body.context_length)


@api.post("/api/llm/models/import", body=ImportBody, answer=Install, status=202, also=(200,))
def import_model(body: ImportBody) -> Answer:
    """Install a model. 200 with the install that is there already, where the same was asked before."""
    install, new = host().installs.request(**body.wish(), when=body.when, asked_by=_asked_by())
    return Answer(install, 202 if new else 200, {"Location": f"/api/installs/{install.id}"})


def _asked_by() -> str:
    if request.headers.get("User-Agent", "").startswith("moorage-cli"):
        return "cli"
    return "browser" if "Sec-Fetch-Site" in request.headers else "api"
