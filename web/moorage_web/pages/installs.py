"""Installs: what runs, what waits, what is planned, and what was; asking for one is in pages/plans.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from moorage.errors import MoorageError
from moorage.models import Install, State, WhenUpdated
from moorage_web.current import host
from moorage_web.pages import fragment
from moorage_web.pages.night import Night, night_of

pages = Blueprint("installs", __name__)
SECTIONS: tuple[tuple[str, str, tuple[State, ...]], ...] = (
    ("running", "Running", ("running",)),
    ("attention", "Needs attention", ("waiting", "failed")),
    ("queue", "Queue", ("queued", "paused")),
    ("scheduled", "Scheduled", ("scheduled",)),
    ("history", "History", ("installed", "cancelled")),
)
RULES: tuple[Literal["tell", "install"], ...] = ("tell", "install")
HISTORY, OTHERS = 20, 200  # how many rows a section shows


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one heading; `count` is how many there are in all, `next` the cursor of older ones."""

    key: str
    title: str
    items: Sequence[Install]
    count: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a queued install stands: its neighbours."""

    above: Install | None
    below: Install | None


@pages.get("/installs")
def installs() -> ResponseReturnValue:
    if fragment() == "row":
        return _row(host().installs.get(request.args.get("id", "")))
    return _page(template="fragments/install_sections.html" if fragment() == "sections" else "pages/installs.html")


@pages.get("/installs/<id>")
def install(id: str) -> ResponseReturnValue:
    found = host().installs.get(id)
    return render_template(
        "fragments/install_details.html" if fragment() == "details" else "pages/install.html",
        active="installs",
        install=found,
        timeline=host().installs.timeline(id),
        night=_night([] if found.ended else [found]),
        target_names=host().providers.names(),
    )


@pages.post("/installs/<id>/<any(pause, resume, cancel, retry, start, move):act>")
def change(id: str, act: str) -> ResponseReturnValue:
    service, generation = host().installs, _generation()
    try:
        if act == "move":
            changed = service.move(id, before=request.form.get("before") or None, generation=generation)
        else:
            changed = getattr(service, act)(id, generation=generation)
    except MoorageError as error:
        return _refused(id, error), error.status
    if fragment() == "row":
        return _row(changed)
    if fragment() == "sections":
        return _page(template="fragments/install_sections.html", answers=True)
    return redirect("/installs", 303)


@pages.post("/installs/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    try:
        host().installs.remove(id)
    except MoorageError as error:
        return _page(error), error.status
    return redirect("/installs", 303)


@pages.post("/installs/<id>/on-update")
def on_update(id: str) -> ResponseReturnValue:
    """What happens when a newer revision appears; a window that the rule has already is kept."""
    chosen = request.form.get("rule", "")
    held = host().installs.get(id).when
    window = held.window if isinstance(held, WhenUpdated) else None
    rule = (
        WhenUpdated.model_validate({"on_update": chosen, "window": window}) if chosen in ("tell", "install") else None
    )
    changed = host().installs.on_update(id, rule)
    if fragment() == "row":
        return render_template("fragments/on_update.html", install=changed)
    return redirect("/models", 303)


def places(queue: Sequence[Install]) -> dict[str, Place]:
    """The neighbours of each install of a queue."""
    around = [None, *queue, None]
    return {item.id: Place(around[index], around[index + 2]) for index, item in enumerate(queue)}


def _generation() -> int | None:
    given = request.form.get("generation", "")
    return int(given) if given.isdigit() else None


def _page(error: MoorageError | None = None, template: str = "pages/installs.html", *, answers: bool = False) -> str:
    cursor = request.args.get("cursor")
    queue, counts = host().installs.queue(), host().installs.counts()
    sections = []
    for key, title, states in SECTIONS:
        history = key == "history"
        if cursor and not history:
            continue
        page = host().installs.list(states, limit=HISTORY if history else OTHERS, cursor=cursor if history else None)
        items = list(page.items)
        count = sum(counts.get(state, 0) for state in states)
        if key == "queue":  # the queue in its order, then what is paused
            items = [*queue, *(item for item in items if item.state == "paused")]
            count = len(queue) + counts.get("paused", 0)
        elif key == "attention":
            items = [item for item in items if not item.rests]
            count = host().installs.needing_attention()
        elif key == "scheduled":
            items.sort(key=lambda item: item.starts_at or item.created_at)
        sections.append(Section(key, title, items, count, page.next if history else None))
    return render_template(
        template,
        active="installs",
        sections=sections,
        places=places(queue),
        night=_night([item for section in sections if section.key == "scheduled" for item in section.items]),
        target_names=host().providers.names(),
        error=error,
        cursor=cursor,
        answers=answers,
    )


def _refused(id: str, error: MoorageError) -> str:
    """The page, or the part of it that a script asked for, as it is now; and why nothing was done."""
    if fragment() == "row":
        return _row(host().installs.get(id), error)
    if fragment() == "sections":
        return _page(error, "fragments/install_sections.html", answers=True)
    return _page(error)


def _row(install: Install, error: MoorageError | None = None) -> str:
    place = places(host().installs.queue()).get(install.id) if install.state == "queued" or install.rests else None
    name = host().providers.names().get(install.target, install.target)
    return render_template("fragments/install.html", install=install, target_name=name, place=place, error=error)


def _night(installs: Sequence[Install]) -> Night | None:
    now = host().preferences.current
    return night_of(installs, now.quiet_hours, ZoneInfo(now.time_zone), datetime.now(UTC))
