"""What the coming night looks like: quiet hours and the windows of installs, in the person's time zone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

from moorage.models import Install, QuietHours, WhenWindow, Window
from moorage_web.render import Span

WINDOWS = 6  # more lines than these nobody reads


@dataclass(frozen=True, slots=True)
class Part:
    """A span of the strip and how it was given: `zone` where it is not the person's; `count` of the installs in it."""

    span: Span
    start: str
    end: str
    kind: Literal["quiet", "window"]
    days: tuple[str, ...] = ()
    zone: str | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Night:
    """`now` is HH:MM, `more` how many installs have windows that are not shown."""

    parts: tuple[Part, ...]
    now: str
    more: int = 0

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(part.span for part in self.parts)


def night_of(installs: Iterable[Install], quiet: QuietHours | None, zone: ZoneInfo, now: datetime) -> Night | None:
    """The strip for these installs; None where none has a window. Equal windows are one; the commonest come first."""
    windows = Counter(install.when.window for install in installs if isinstance(install.when, WhenWindow))
    if not windows:
        return None
    parts = []
    if quiet is not None and quiet.from_ != quiet.to:
        parts.append(Part(Span(quiet.from_, quiet.to, "quiet"), quiet.from_, quiet.to, "quiet"))
    shown = windows.most_common(WINDOWS)
    for window, count in shown:
        foreign = window.time_zone if window.time_zone not in (None, str(zone)) else None
        span = Span(_here(window.from_, window, zone, now), _here(window.to, window, zone, now))
        parts.append(Part(span, window.from_, window.to, "window", window.days, foreign, count))
    more = windows.total() - sum(count for _, count in shown)
    return Night(tuple(parts), f"{now.astimezone(zone):%H:%M}", more)


def _here(text: str, window: Window, zone: ZoneInfo, now: datetime) -> str:
    """A wall-clock time of the window's zone as it is today in the person's."""
    there = ZoneInfo(window.time_zone) if window.time_zone else zone
    moment = datetime.combine(now.astimezone(there).date(), time.fromisoformat(text), tzinfo=there)
    return f"{moment.astimezone(zone):%H:%M}"
