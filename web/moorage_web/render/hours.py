"""The night as a strip of 24 hours, from noon to noon so that it stands in one piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

DAY, NOON, HEIGHT = 24 * 60, 12 * 60, 48
_BAR = Markup('<rect class="{}" x="{}" y="{:g}" width="{}" height="{:g}"/>')
_LINE = Markup('<line class="{0}" x1="{1}" x2="{1}" y2="{2}" vector-effect="non-scaling-stroke"/>')


@dataclass(frozen=True, slots=True)
class Span:
    """A part of each day, from `start` to `end` (HH:MM); equal ends mean all of it."""

    start: str
    end: str
    kind: Literal["quiet", "window"] = "window"


def night_strip(spans: Iterable[Span], now: str | None, label: str) -> Markup:
    """Quiet hours behind everything, each window in a lane of its own, the present time (HH:MM) as a line."""
    listed = list(spans)
    windows = [span for span in listed if span.kind == "window"]
    lane = HEIGHT / max(1, len(windows))
    parts = [_bar(span, 0, HEIGHT) for span in listed if span.kind == "quiet"]
    parts += [_LINE.format("hour", hour * 60, HEIGHT) for hour in (6, 12, 18)]
    parts += [_bar(span, index * lane + lane / 6, lane * 2 / 3) for index, span in enumerate(windows)]
    if now is not None:
        parts.append(_LINE.format("now", _place(now), HEIGHT))
    return Markup(
        '<svg class="hours" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img" aria-label="{2}">'
        '<rect class="track" width="{0}" height="{1}"/>{3}</svg>'
    ).format(DAY, HEIGHT, label, Markup("").join(parts))


def _bar(span: Span, top: float, height: float) -> Markup:
    first, last = _place(span.start), _place(span.end)
    parts = [(first, last)] if first < last else [(0, last), (first, DAY)]  # equal ends cover all of it
    return Markup("").join(
        _BAR.format(span.kind, begin, top, finish - begin, height) for begin, finish in parts if finish > begin
    )


def _place(text: str) -> int:
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes) - NOON) % DAY
