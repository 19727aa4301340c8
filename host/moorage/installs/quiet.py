"""Quiet hours: from when to when nothing is installed, in the person's time zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from moorage.models import QuietHours


@dataclass(frozen=True, slots=True)
class Quiet:
    """Whether it is quiet at a moment, and when that changes next (UTC)."""

    now: bool
    changes_at: datetime


def quiet_at(hours: QuietHours, zone: ZoneInfo, moment: datetime) -> Quiet:
    """Both ends are wall-clock times: on the days on which the clocks change, the hours are longer or shorter."""
    local = moment.astimezone(zone)
    begin, end = time.fromisoformat(hours.from_), time.fromisoformat(hours.to)
    if begin == end:
        return Quiet(False, moment + timedelta(days=1))
    here = local.timetz().replace(tzinfo=None)
    within = begin <= here < end if begin < end else here >= begin or here < end
    boundary = end if within else begin
    day = local.date() if here < boundary else local.date() + timedelta(days=1)
    changes = datetime.combine(day, boundary, tzinfo=zone).astimezone(UTC)
    # A time that the clocks skip names a moment that has passed already in the hour before; never wake in the past.
    return Quiet(within, max(changes, moment + timedelta(seconds=1)))
