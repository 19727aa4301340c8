"""Installs: what runs, what waits, what is planned, and what was."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from moorage.errors import InvalidInput, MoorageError
from moorage.models import Install, When
from moorage_web.current import host
from moorage_web.pages import fragment

pages = Blueprint("installs", __name__)
SECTIONS = (
    ("Running", ("running",)),
    ("Needs attention", ("waiting", "failed")),
    ("Queue", ("queued", "paused")),
    ("Scheduled", ("scheduled",)),
    ("History", ("installed", "cancelled")),
)


@pages.get("/installs")
def installs() -> ResponseReturnValue:
    if fragment() == "row":
        return _row(host().installs.get(request.args.get("id", "")))
    return _page(template="fragments/install_sections.html" if fragment() == "sections" else "pages/installs.html")


@pages.get("/installs/<id>")
def install(id: str) -> ResponseReturnValue:
    found = host().installs.get(id)
    return render_template(
        "pages/install.html", active="installs", install=found, target_names=host().providers.names()
    )


@pages.post("/installs")
def request_install() -> ResponseReturnValue:
    try:
        wanted = _wanted()
        host().installs.request(**wanted, when=_when(), asked_by="browser")
    except MoorageError as error:
        return _plan_page(error), getattr(error, "http_status", error.status)
    return redirect("/installs", 303)


@pages.post("/installs/plan")
def plan() -> ResponseReturnValue:
    return _plan_page()


@pages.post("/installs/<id>/<any(pause, resume, cancel, retry, front, remove):act>")
def change(id: str, act: str) -> ResponseReturnValue:
    service = host().installs
    try:
        if act == "remove":
            service.remove(id)
        else:
            changed = service.move(id) if act == "front" else getattr(service, act)(id)
            if fragment() == "row":
                return _row(changed)
    except MoorageError as error:
        return _page(error), error.status
    return redirect("/installs", 303)


def _page(error: MoorageError | None = None, template: str = "pages/installs.html") -> str:
    sections = []
    for title, states in SECTIONS:
        page = host().installs.list(states, limit=50, cursor=request.args.get("cursor") if title == "History" else None)
        items = sorted(page.items, key=lambda item: item.order) if title == "Queue" else page.items
        sections.append((title, items, page.next))
    return render_template(
        template, active="installs", sections=sections, target_names=host().providers.names(), error=error
    )


def _row(install: Install) -> str:
    name = host().providers.names().get(install.target, install.target)
    return render_template("fragments/install.html", install=install, target_name=name)


def _wanted() -> dict[str, Any]:
    form = request.form
    wanted: dict[str, Any] = {"source": form.get("source", ""), "model": form.get("model", "")}
    for key in ("file", "target"):
        if form.get(key):
            wanted[key] = form[key]
    return wanted


def _when() -> When:
    """Now, or the time that was typed, in the person's time zone."""
    if request.form.get("when", "now") != "at":
        return "now"
    zone = ZoneInfo(host().preferences.current.time_zone)
    try:
        return datetime.fromisoformat(request.form.get("at", "")).replace(tzinfo=zone)
    except ValueError:
        raise InvalidInput("Give the date and the time at which it should start.") from None


def _plan_page(error: MoorageError | None = None) -> str:
    """The plan with its button, and what went wrong above it."""
    wanted, made = _wanted(), None
    try:
        made = host().installs.plan(**wanted)
    except MoorageError as failed:
        error = error or failed
    return render_template(
        "pages/plan.html", active="installs", wanted=wanted, plan=made, error=error, form=request.form
    )
