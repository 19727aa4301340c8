"""The pages, one file per place: each view parses, makes one call on a service, and renders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, g, request

from moorage.models import Install
from moorage_web import templating
from moorage_web.current import host

THEMES = ("system", "light", "dark")
AT_ONCE = 200  # installs


def blueprints() -> list[Blueprint]:
    from moorage_web.pages import agents, chat, home, installs, llm, models, plans, plugins, searches, settings

    return [module.pages for module in (home, chat, agents, models, searches, installs, plans, llm, plugins, settings)]


def prepare(app: Flask) -> None:
    """What every page needs: formats and pictures, theme and status for the frame, and pages for errors."""
    templating.prepare(app.jinja_env, now=lambda: datetime.now(UTC), zone=_zone)
    app.jinja_env.globals.update(
        users_of=_users_of,
        records_of=lambda target: records(target.target, (model.name for model in target.models)),
        speeds_of=_speeds_of,
        news_count=lambda: host().saved_searches.count(),
        provider_options=lambda providers: [(item.id, item.name) for item in providers],
        type_options=lambda types: [(item.type, item.label) for item in types],
    )

    @app.context_processor
    def frame() -> dict[str, Any]:
        theme = request.cookies.get("theme", "system")
        back = request.full_path.removesuffix("?") if request.method == "GET" else "/"
        return {"theme": theme if theme in THEMES else "system", "back": back, "status": status()}


def _users_of(provider: str) -> dict[str, list[str]]:
    """The names of the agents that use each model of a saved provider."""
    users: dict[str, list[str]] = {}
    for agent in host().agents.using(provider):
        users.setdefault(agent.llm.model or "", []).append(agent.name)
    return users


def _speeds_of(install: Install) -> tuple[float, ...]:
    """The last speeds of what runs, for its sparkline."""
    return host().installs.speeds(install.id) if install.state == "running" else ()


def _zone() -> tzinfo:
    return ZoneInfo(host().preferences.current.time_zone)


def status() -> dict[str, Any]:
    """What runs in the background, for the strip and the count; asked once per request."""
    if "status" not in g:
        installs = host().installs
        g.status = {"installs": installs.active(), "attention": installs.needing_attention()}
    found: dict[str, Any] = g.status
    return found


def keep_status(running: Sequence[Install], attention: int) -> None:
    """For a page that has looked already: each look goes through the whole history."""
    g.status = {"installs": running, "attention": attention}


def records(target: str, names: Iterable[str | None]) -> dict[str, Install]:
    """The newest install behind each of these models of a target, by its name there; looks no further than it must."""
    missing, found = set(names), dict[str, Install]()
    cursor: str | None = None
    while missing:
        page = host().installs.list(("installed",), limit=AT_ONCE, cursor=cursor)
        for made in page.items:
            if made.target == target and made.model_name in missing:
                missing.discard(made.model_name)
                found[made.model_name or ""] = made
        cursor = page.next
        if cursor is None:
            break
    return found


class Lazy:
    """A value that a template asks for when it gets there, so that what comes before is on the screen already."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: list[Any] = []

    def __call__(self) -> Any:
        if not self._made:
            self._made.append(self._make())
        return self._made[0]


def fragment() -> str | None:
    """The part of a page that a script asks for alone."""
    return request.args.get("fragment") or request.form.get("fragment")
