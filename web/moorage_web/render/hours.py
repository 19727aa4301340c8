"""A nightly window as a strip of 24 hours."""

from __future__ import annotations

from markupsafe import Markup

DAY = 24 * 60


def hours_strip(start: str, end: str, label: str) -> Markup:
    """The window from `start` to `end` (HH:MM), in two parts past midnight; equal ends mean the whole day."""
    first, last = _minutes(start), _minutes(end)
    parts = [(first, last)] if first < last else [(0, last), (first, DAY)]  # equal ends cover all of it
    bars = Markup("").join(
        Markup('<rect class="on" x="{}" width="{}" height="48"/>').format(begin, finish - begin)
        for begin, finish in parts
        if finish > begin
    )
    return Markup(
        '<svg class="hours" viewBox="0 0 1440 48" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="track" width="1440" height="48"/>{}</svg>'
    ).format(label, bars)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
