"""`--at`, `--window` and `--on-update` of a command, as `when` of the API."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"(\d{2}:\d{2})\s*(?:-|to)\s*(\d{2}:\d{2})")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def when_of(
    *,
    at: str | None = None,
    window: str | None = None,
    days: str | None = None,
    time_zone: str | None = None,
    on_update: str | None = None,
    now: datetime | None = None,
) -> Any:
    """None where nothing was said: now. Wrong use where two things were said that do not go together."""
    if at is not None and (window or on_update):
        raise click.UsageError("Give one of --at, --window and --on-update.")
    if (days or time_zone) and not window:
        raise click.UsageError("--days and --time-zone belong to --window.")
    if at is not None:
        return _time(at, now or datetime.now().astimezone())
    hours = _window(window, days, time_zone) if window else None
    if on_update == "nothing":
        return None
    if on_update:
        return {"onUpdate": on_update, **({"window": hours} if hours else {})}
    return {"window": hours} if hours else None


def _time(text: str, now: datetime) -> str:
    """A clock time is the next one, here; a time without its offset is one here too."""
    if _CLOCK.fullmatch(text):
        hour, minute = (int(part) for part in text.split(":"))
        then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return (then if then > now else then + timedelta(days=1)).isoformat()
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("must be a time such as 01:00 or 2026-05-21T01:00:00Z", param_hint="--at") from None
    return text if given.tzinfo is not None else given.astimezone().isoformat()


def _window(text: str, days: str | None, time_zone: str | None) -> dict[str, Any]:
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter("must be two times, such as 01:00-06:00", param_hint="--window")
    window: dict[str, Any] = {"from": found[1], "to": found[2]}
    if days:
        window["days"] = [day.strip().lower()[:3] for day in days.split(",")]
        if not set(window["days"]) <= set(WEEK):
            raise click.BadParameter(f"must be some of {', '.join(WEEK)}", param_hint="--days")
    if time_zone:
        window["timeZone"] = time_zone
    return window
