"""Hours of the day that come again: quiet hours and nightly windows, in the person's time zone. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Span:
    """Whether a moment is within the hours, and when that changes next (UTC): their end, or their next beginning."""

    inside: bool
    changes_at: datetime


def span_at(begin: str, end: str, zone: ZoneInfo, moment: datetime, days: Collection[str] = ()) -> Span:
    """`begin` and `end` are wall-clock times, HH:MM; equal ones are a whole day. `days` (none: all) is when they begin.

    On the nights on which the clocks change, the hours are longer or shorter, begin once and end once. A time that the
    clocks skip is as long after midnight as it would have been.
    """
    first, last = time.fromisoformat(begin), time.fromisoformat(end)
    today = moment.astimezone(zone).date()
    # From yesterday, whose night may still go on, to a day of next week: one of them may be skipped by the clocks.
    for day in (today + timedelta(days=offset) for offset in range(-1, 2 * len(WEEK))):
        if days and WEEK[day.weekday()] not in days:
            continue
        opens = _utc(day, first, zone)
        closes = _utc(day if last > first else day + timedelta(days=1), last, zone)
        if opens < closes and moment < closes:
            return Span(True, closes) if opens <= moment else Span(False, opens)
    raise ValueError(f"{begin} to {end} on {days} never comes")


def _utc(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, tzinfo=zone).astimezone(UTC)
