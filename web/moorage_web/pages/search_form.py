"""The form of a saved search: its name, whether it runs daily, and the rule that installs some of what it finds."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.datastructures import MultiDict

from moorage.errors import FieldError, InvalidInput
from moorage.models import SavedSearch

GB = 10**9
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_TIMES = {"rule.window.from": "Give a time, such as 01:00.", "rule.window.to": "Give a time, such as 06:00."}
PLACED = frozenset({"name", "rule.target", "rule.maxPerDay", "rule.maxBytes"}) | {
    f"rule.window.{name}" for name in ("from", "to", "days", "timeZone")
}


def blank(name: str) -> MultiDict[str, str]:
    return MultiDict({"name": name, "daily": "on", "perDay": "1"})


def filled(search: SavedSearch) -> MultiDict[str, str]:
    """What the fields show of a search as it is saved."""
    form = MultiDict({"name": search.name, "perDay": "1", **({"daily": "on"} if search.daily else {})})
    rule = search.rule
    if rule is None:
        return form
    form.update({"install": "on", "target": rule.target or "", "perDay": str(rule.max_per_day)})
    if rule.max_bytes is not None:
        form["maxSize"] = f"{rule.max_bytes / GB:.9f}".rstrip("0").rstrip(".")
    if rule.tight_too:
        form["tight"] = "on"
    if rule.window is not None:
        form.update({"when": "window", "from": rule.window.from_, "to": rule.window.to})
        form["zone"] = rule.window.time_zone or ""
        form.setlist("days", list(rule.window.days))
    return form


def submitted(form: MultiDict[str, str]) -> dict[str, Any]:
    """Name, daily and rule in the words of the API. InvalidInput for what is no number."""
    return {"name": form.get("name", ""), "daily": "daily" in form, "rule": _rule(form) if "install" in form else None}


def in_words(error: FieldError) -> str:
    """What is wrong with a field, as the form says it."""
    return _TIMES[error.field] if error.field in _TIMES and "pattern" in error.message else error.message


def _rule(form: MultiDict[str, str]) -> dict[str, Any]:
    errors: list[FieldError] = []

    def number(name: str, field: str) -> float | None:
        text = form.get(name, "").strip().replace(",", ".")
        if text and not _NUMBER.fullmatch(text):
            errors.append(FieldError(field, "must be a number"))
            return None
        return float(text) if text else None

    per_day, most = number("perDay", "rule.maxPerDay"), number("maxSize", "rule.maxBytes")
    if errors:
        raise InvalidInput("Some fields are not valid.", errors=tuple(errors))
    window = {
        "from": form.get("from", ""),
        "to": form.get("to", ""),
        "days": tuple(form.getlist("days")),
        "timeZone": form.get("zone", "").strip() or None,
    }
    return {
        "target": form.get("target") or None,
        "maxPerDay": 1 if per_day is None else per_day,
        "maxBytes": None if most is None else int(most * GB),
        "tightToo": "tight" in form,
        "window": window if form.get("when") == "window" else None,
    }
