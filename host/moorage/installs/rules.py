"""What `when` of an install means at a moment: whether it may run, and when that changes. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from moorage.errors import FieldError, InvalidInput
from moorage.models import When, WhenUpdated, WhenWindow, Window
from moorage.schedule import Span, span_at

NIGHTS = 8
LAST_YEAR = 9000  # beyond it a time zone can lead out of the calendar


@dataclass(frozen=True, slots=True)
class Place:
    """`starts_at` is None where it may run now; `ends_at` is when it must rest again, None for never."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None


def place(when: When, moment: datetime) -> Place:
    if isinstance(when, datetime):
        return Place(starts_at=when if when > moment else None)
    if isinstance(when, WhenWindow):
        span = window_at(when.window, moment)
        return Place(ends_at=span.changes_at) if span.inside else Place(starts_at=span.changes_at)
    return Place()


def window_at(window: Window, moment: datetime) -> Span:
    return span_at(window.from_, window.to, ZoneInfo(window.time_zone or "UTC"), moment, window.days)


def checked(when: When, moment: datetime, time_zone: str) -> When:
    """`when` with its time zone filled in; InvalidInput where it can never come."""
    if isinstance(when, datetime) and when <= moment:
        raise InvalidInput(
            "This time has passed.", errors=(FieldError("when", "must be in the future"),), hint="Give a later time."
        )
    if isinstance(when, datetime) and when.year > LAST_YEAR:
        raise InvalidInput("This time is too far away.", errors=(FieldError("when", "must be sooner"),))
    if isinstance(when, WhenWindow):
        return WhenWindow(window=_checked(when.window, time_zone))
    if isinstance(when, WhenUpdated) and when.window is not None:
        if when.on_update == "tell":
            raise InvalidInput(
                "A window is for installing, and this only tells.",
                errors=(FieldError("when.window", "belongs to onUpdate install"),),
            )
        return when.model_copy(update={"window": _checked(when.window, time_zone)})
    return when


def has_time_beside(window: Window, quiet: Callable[[datetime], Span | None], moment: datetime) -> bool:
    """Whether the window, in one of the nights of a week, has time that the quiet hours leave."""
    for _ in range(2 * NIGHTS):
        span = window_at(window, moment)
        if not span.inside:
            moment = span.changes_at
            continue
        rest = quiet(moment)
        if rest is None or not rest.inside:
            return True
        moment = min(span.changes_at, rest.changes_at)
        if moment == span.changes_at:
            continue
        if window_at(window, moment).inside:
            return True
    return False


def _checked(window: Window, time_zone: str) -> Window:
    if window.from_ == window.to:
        raise InvalidInput(
            "This window has no length.",
            errors=(FieldError("when.window.to", "must differ from the time at which it begins"),),
        )
    zone = window.time_zone or time_zone
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # not found, no name at all, a directory such as Europe
        wrong = FieldError("when.window.timeZone", "is not a time zone name; use one such as Europe/Berlin or UTC")
        raise InvalidInput("The time zone is not known.", errors=(wrong,)) from None
    return window.model_copy(update={"time_zone": zone})
