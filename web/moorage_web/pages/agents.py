"""Agents, and Agent / LLM: a saved provider, or a type and model inline with the same search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from moorage.errors import InvalidInput, MoorageError
from moorage.models import Agent, Install, ProviderView
from moorage_web import forms
from moorage_web.current import host
from moorage_web.pages import finding, records

pages = Blueprint("agents", __name__)
DEFAULT_TYPE = "huggingface"


@pages.get("/agents")
def agents() -> ResponseReturnValue:
    page = host().agents.list(limit=100, cursor=request.args.get("cursor"))
    labels = {agent.id: model_label(agent) for agent in page.items}
    return render_template("pages/agents.html", active="agents", agents=page.items, next=page.next, labels=labels)


@pages.get("/agents/new")
def new() -> ResponseReturnValue:
    llm = {key: request.args[key] for key in ("provider", "type", "model") if request.args.get(key)}
    return _form(None, {"llm": llm, "tools": []})


@pages.post("/agents")
def create() -> ResponseReturnValue:
    return _save(None)


@pages.get("/agents/<id>")
def edit(id: str) -> ResponseReturnValue:
    agent = host().agents.get(id)
    return _form(agent, agent.model_dump(mode="json", by_alias=True))


@pages.post("/agents/<id>")
def update(id: str) -> ResponseReturnValue:
    return _save(host().agents.get(id))


@pages.post("/agents/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    host().agents.delete(id)
    return redirect("/agents", 303)


def model_label(agent: Agent) -> str:
    """What answers for an agent, in words."""
    llm = agent.llm
    if llm.provider is not None:
        try:
            provider = host().providers.get(llm.provider)
        except MoorageError:
            return "its provider was removed"
        return f"{provider.name}, {llm.model or provider.model or 'no model'}"
    label = {item.type: item.label for item in host().providers.types()}.get(llm.type or "", llm.type or "")
    return f"{label}, {llm.model}"


def _save(agent: Agent | None) -> ResponseReturnValue:
    values = _submitted()
    if request.form.get("_action") == "fields" or request.form.get("_use") or finding.pressed():
        return _form(agent, values)
    version = request.form.get("version", "")
    try:
        if agent is None:
            made = host().agents.create(values)
            return redirect(f"/chat/new?agent={made.id}", 303)
        host().agents.update(agent.id, values, int(version) if version.isdigit() else agent.version)
    except MoorageError as error:
        return _form(agent, values, error=error), error.status
    return redirect("/agents", 303)


def _submitted() -> dict[str, Any]:
    """What the form holds, in the shape of the API."""
    form: MultiDict[str, str] = request.form
    llm: dict[str, Any]
    if form.get("llm.kind") == "inline":
        type_name = form.get("llm.type", "")
        type = next((item for item in host().providers.types() if item.type == type_name), None)
        form = finding.sent(type, "llm.config") if type else form
        config = forms.parse(type.schema_, form, prefix="llm.config") if type else {}
        model = config.pop("model", None) or form.get("llm.config.model", "").strip()
        llm = {"type": type_name, "model": model or None, "config": config}
        options_schema = type.options_schema if type else None
    else:
        llm = {"provider": form.get("llm.provider", ""), "model": form.get("llm.model", "").strip() or None}
        options_schema = _options_schema(llm["provider"])
    return {
        "name": form.get("name", ""),
        "instructions": form.get("instructions", "").replace("\r\n", "\n"),
        "llm": llm,
        "options": forms.parse(options_schema, form, prefix="options") if options_schema else {},
        "tools": form.getlist("tools"),
    }


def _options_schema(provider: str) -> dict[str, Any] | None:
    try:
        return host().providers.type(host().providers.get(provider).type).options_schema
    except MoorageError:
        return None


def _form(
    agent: Agent | None,
    values: dict[str, Any],
    *,
    error: MoorageError | None = None,
) -> str:
    types = host().providers.types()
    providers = host().providers.list(limit=200).items
    llm: dict[str, Any] = values.get("llm") or {}
    inline = bool(llm.get("type"))
    chosen = llm.get("type") or (
        DEFAULT_TYPE if any(t.type == DEFAULT_TYPE for t in types) else types[0].type if types else ""
    )
    type = next((item for item in types if item.type == chosen), None)
    provider = llm.get("provider") or (providers[0].id if providers else "")
    errors = error.errors if isinstance(error, InvalidInput) else ()
    placed = [type_error(item) for item in errors]
    config = {**(llm.get("config") or {}), **({"model": llm["model"]} if inline and llm.get("model") else {})}
    saved = agent.llm.config if agent is not None and agent.llm.type == chosen else {}
    config = {**saved, **config}
    config_fields = (
        forms.fields(type.schema_, config, prefix="llm.config", errors=placed, search_source=type.search_source)
        if type
        else []
    )
    schema = (type.options_schema if type else None) if inline else _options_schema(provider)
    option_fields = forms.fields(schema, values.get("options") or {}, prefix="options", errors=placed) if schema else []
    own = {
        item.field: item.message for item in placed if item.field in ("name", "llm.model", "llm.provider", "llm.type")
    }
    return render_template(
        "pages/agent.html",
        active="agents",
        agent=agent,
        values=values,
        inline=inline,
        types=types,
        chosen=chosen,
        providers=providers,
        provider=provider,
        llm_model="" if inline else llm.get("model") or "",
        proven=None if inline else _proven(providers, provider, llm.get("model")),
        config_fields=config_fields,
        option_fields=option_fields,
        tools=list(host().tools.known().values()),
        own_errors=own,
        errors=[item for item in forms.unplaced([*config_fields, *option_fields], placed) if item.field not in own],
        problem=error if error is not None and not errors else None,
        find=finding.in_form(type, finding.sent(type, "llm.config"), config, "llm.config") if type else None,
    )


def _proven(providers: Sequence[ProviderView], provider: str, model: str | None) -> Install | None:
    """The install that brought the chosen model onto this machine or server, with what it showed then."""
    if provider not in host().local.names():
        return None
    name = model or next((item.model for item in providers if item.id == provider), None)
    return records(provider, [name] if name else []).get(name or "")


def type_error(item: Any) -> Any:
    """An inline model is a field of the config in the form, and stands beside it in the API."""
    inline = request.form.get("llm.kind") == "inline" and item.field == "llm.model"
    return type(item)("llm.config.model", item.message) if inline else item
