"""Settings, LLM: saved providers, and the form that a provider type's own model makes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from moorage.errors import InvalidInput, MoorageError
from moorage.models import ProviderType, ProviderView, TestResult
from moorage_web import forms
from moorage_web.current import host
from moorage_web.pages import finding, fragment
from moorage_web.search_args import asks_for_something

pages = Blueprint("llm", __name__)
PREFIX = "config"  # of the names of a provider's fields


@pages.get("/settings/llm")
def providers() -> ResponseReturnValue:
    return _page()


@pages.get("/settings/llm/new")
def new() -> ResponseReturnValue:
    types = host().providers.types()
    chosen = request.args.get("type") or ("huggingface" if request.args.get("model") else None)
    if chosen is None:
        return _page()
    type = next((item for item in types if item.type == chosen), None)
    if type is None:
        return _page()
    kind = fragment()
    if kind in finding.FRAGMENTS:
        own, wanted = bool(request.args.get("own")), asks_for_something(request.args)
        return finding.fragment(kind, finding.pick(type, request.args, own=own, wanted=wanted))
    return _form(type, None, {"model": request.args["model"]} if request.args.get("model") else {})


@pages.post("/settings/llm")
def create() -> ResponseReturnValue:
    type = host().providers.type(request.form.get("type", ""))
    form = finding.sent(type, PREFIX)
    config = forms.parse(type.schema_, form)
    pressed = _pressed(type, None, config, form)
    if pressed is not None:
        return pressed
    try:
        host().providers.create(request.form.get("name", ""), type.type, config)
    except InvalidInput as error:
        return _form(type, None, config, form, error=error), 400
    return redirect("/settings/llm", 303)


@pages.get("/settings/llm/<id>")
def edit(id: str) -> ResponseReturnValue:
    provider = host().providers.get(id)
    return _form(host().providers.type(provider.type), provider, provider.config)


@pages.post("/settings/llm/<id>")
def update(id: str) -> ResponseReturnValue:
    provider = host().providers.get(id)
    type = host().providers.type(provider.type)
    form = finding.sent(type, PREFIX)
    config = forms.parse(type.schema_, form)
    pressed = _pressed(type, provider, config, form)
    if pressed is not None:
        return pressed
    version = request.form.get("version", "")
    try:
        number = int(version) if version.isdigit() else provider.version
        host().providers.update(id, request.form.get("name", ""), config, number)
    except MoorageError as error:
        return _form(type, provider, config, form, error=error), error.status
    return redirect("/settings/llm", 303)


@pages.post("/settings/llm/<id>/test")
def test(id: str) -> ResponseReturnValue:
    result = host().providers.test(id=id)
    if fragment():
        provider = host().providers.get(id)
        return render_template("fragments/provider.html", provider=provider, labels=_labels(), test=result)
    return _page(tested=(id, result))


@pages.post("/settings/llm/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    try:
        host().providers.delete(id)
    except MoorageError as error:
        return _page(error=error), error.status
    return redirect("/settings/llm", 303)


def _page(*, error: MoorageError | None = None, tested: tuple[str, TestResult] | None = None) -> str:
    page = host().providers.list(limit=50, cursor=request.args.get("cursor"))
    return render_template(
        "pages/llm.html",
        active="llm",
        providers=page.items,
        next=page.next,
        types=host().providers.types(),
        labels=_labels(),
        drafts=host().providers.discovered(),
        error=error,
        tested=tested,
    )


def _labels() -> dict[str, str]:
    return {type.type: type.label for type in host().providers.types()}


def _pressed(
    type: ProviderType, provider: ProviderView | None, config: dict[str, Any], form: MultiDict[str, str]
) -> ResponseReturnValue | None:
    """The buttons of the form that do not save: search, take a result, test."""
    if form.get("_use") or finding.pressed():
        return _form(type, provider, config, form)
    if form.get("_action") == "test":
        try:
            result = host().providers.test(type=type.type, config=config, id=provider.id if provider else None)
        except InvalidInput as error:
            return _form(type, provider, config, form, error=error)
        return _form(type, provider, config, form, test=result)
    return None


def _form(
    type: ProviderType,
    provider: ProviderView | None,
    config: dict[str, Any],
    form: MultiDict[str, str] | None = None,
    *,
    error: MoorageError | None = None,
    test: TestResult | None = None,
) -> str:
    """The form of a provider; `form` is how it was sent, where it was."""
    if provider is not None:
        config = {**provider.config, **config}  # the masks of its secrets stay
    errors = error.errors if isinstance(error, InvalidInput) else ()
    made = forms.fields(
        type.schema_,
        config,
        submitted=form,
        errors=errors,
        search_source=type.search_source,
    )
    name = request.form.get("name") or (provider.name if provider else type.label)
    return render_template(
        "pages/provider.html",
        active="llm",
        type=type,
        provider=provider,
        fields=made,
        name=name,
        name_error=next((item.message for item in errors if item.field == "name"), None),
        errors=[item for item in forms.unplaced(made, errors) if item.field != "name"],
        problem=error if error is not None and not errors else None,
        test=test,
        find=finding.in_form(type, form or MultiDict(), config, PREFIX),
    )
