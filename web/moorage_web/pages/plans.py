"""Asking for an install: what it would do, and when it should be done."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from moorage.errors import FieldError, InvalidInput, MoorageError
from moorage.models import When, WhenWindow
from moorage_web.current import host

pages = Blueprint("plans", __name__)
FIELDS = {"at": "at", "from": "from", "to": "to", "days": "days", "timeZone": "zone"}
WORDS = {"from": "Give a time, such as 01:00.", "to": "Give a time, such as 06:00.", "days": "Choose days of the week."}


@pages.post("/installs")
def request_install() -> ResponseReturnValue:
    try:
        host().installs.request(**_wanted(), when=_when(), asked_by="browser")
    except MoorageError as error:
        return _page(error), getattr(error, "http_status", error.status)
    return redirect("/installs", 303)


@pages.post("/installs/plan")
def plan() -> ResponseReturnValue:
    return _page()


def _wanted() -> dict[str, Any]:
    form = request.form
    wanted: dict[str, Any] = {"source": form.get("source", ""), "model": form.get("model", "")}
    for key in ("file", "target"):
        if form.get(key):
            wanted[key] = form[key]
    return wanted


def _when() -> When:
    """Now, the time that was typed, in the person's time zone, or a nightly window."""
    form = request.form
    chosen = form.get("when", "now")
    if chosen == "window":
        return _window()
    if chosen != "at":
        return "now"
    zone = ZoneInfo(host().preferences.current.time_zone)
    try:
        return datetime.fromisoformat(form.get("at", "")).replace(tzinfo=zone)
    except ValueError:
        raise _wrong([FieldError("at", "Give the date and the time.")]) from None


def _window() -> WhenWindow:
    """A nightly window; what it means is checked by the service."""
    form = request.form
    values = {
        "from": form.get("from", ""),
        "to": form.get("to", ""),
        "days": form.getlist("days"),
        "timeZone": form.get("zone", "").strip() or None,
    }
    try:
        return WhenWindow.model_validate({"window": values})
    except ValidationError as error:
        names = dict.fromkeys(str(item["loc"][1]) for item in error.errors())
        raise _wrong([FieldError(name, WORDS[name]) for name in names]) from None


def _wrong(errors: list[FieldError]) -> InvalidInput:
    return InvalidInput("The time is not complete.", errors=tuple(errors))


def _page(error: MoorageError | None = None) -> str:
    """The plan with its button; what went wrong above it, or beside the field of the time that it is about."""
    wanted, made = _wanted(), None
    errors = _beside(error)
    if errors:
        error = None
    try:
        made = host().installs.plan(**wanted)
    except MoorageError as failed:
        error = error or failed
    return render_template(
        "pages/plan.html", active="installs", wanted=wanted, plan=made, error=error, form=request.form, errors=errors
    )


def _beside(error: MoorageError | None) -> dict[str, str]:
    """The errors of the fields that say when, by the name of the field."""
    found: dict[str, str] = {}
    for item in error.errors if isinstance(error, InvalidInput) else ():
        name = FIELDS.get(item.field.rpartition(".")[2])
        if name is None and item.field.partition(".")[0] == "when":
            name = {"at": "at", "window": "from"}.get(request.form.get("when", ""), "when")
        if name is not None:
            found.setdefault(name, item.message)
    return found
