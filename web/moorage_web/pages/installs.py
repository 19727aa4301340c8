"""Installs: what runs, what waits, what is planned, and what was; asking for one is in pages/plans.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from moorage.errors import MoorageError
from moorage.models import Install, WhenUpdated
from moorage_web.current import host
from moorage_web.pages import fragment, keep_status, status
from moorage_web.pages.neighbours import Neighbours, neighbours
from moorage_web.pages.night import Night, night_of
from moorage_web.pages.sections import HISTORY, KINDS, PRESENT, ROWS, Section, cut, shares, sorted_by_section

pages = Blueprint("installs", __name__)
RULES: tuple[Literal["tell", "install"], ...] = ("tell", "install")


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
        place=_place(found),
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


def _generation() -> int | None:
    given = request.form.get("generation", "")
    return int(given) if given.isdigit() else None


def _page(error: MoorageError | None = None, template: str = "pages/installs.html", *, answers: bool = False) -> str:
    """All sections with as much as fits, or one of them from a cursor on."""
    cursor = request.args.get("cursor")
    wanted = request.args.get("section", "history" if cursor else "")
    present = sorted_by_section(host().installs.list(PRESENT).items)
    keep_status(present["running"], len(present["attention"]))
    queue = [install for install in present["queue"] if install.state != "paused"]
    counts = {key: len(items) for key, items in present.items()} | {HISTORY.key: _in_history()}
    shown = {wanted: ROWS} if wanted in counts else shares(counts)
    sections = [
        _past(limit, cursor, counts[kind.key]) if kind is HISTORY else cut(kind, present[kind.key], limit, cursor)
        for kind in KINDS
        if (limit := shown.get(kind.key, 0))
    ]
    return render_template(
        template,
        active="installs",
        sections=sections,
        only=wanted if wanted in counts else None,
        cursor=cursor,
        places=neighbours(queue, present["running"], **_limits()),
        night=_night(present["scheduled"]) if "scheduled" in shown else None,
        target_names=host().providers.names(),
        error=error,
        answers=answers,
    )


def _in_history() -> int:
    counts = host().installs.counts()
    return sum(counts.get(state, 0) for state in HISTORY.states)


def _past(limit: int, cursor: str | None, count: int) -> Section:
    page = host().installs.list(HISTORY.states, limit=limit, cursor=cursor)
    return Section(HISTORY, page.items, count, page.next)


def _limits() -> dict[str, int]:
    now = host().preferences.current
    return {"limit": now.parallel_installs, "per_target": now.installs_per_target}


def _place(install: Install) -> Neighbours | None:
    if install.state != "queued" and not install.rests:
        return None
    return neighbours(host().installs.queue(), status()["installs"], **_limits()).get(install.id)


def _refused(id: str, error: MoorageError) -> str:
    """The page, or the part of it that a script asked for, as it is now; and why nothing was done."""
    if fragment() == "row":
        return _row(host().installs.get(id), error)
    if fragment() == "sections":
        return _page(error, "fragments/install_sections.html", answers=True)
    return _page(error)


def _row(install: Install, error: MoorageError | None = None) -> str:
    name = host().providers.names().get(install.target, install.target)
    place = _place(install)
    return render_template("fragments/install.html", install=install, target_name=name, place=place, error=error)


def _night(installs: Sequence[Install]) -> Night | None:
    now = host().preferences.current
    return night_of(installs, now.quiet_hours, ZoneInfo(now.time_zone), datetime.now(UTC))
