"""Bars: how much of something there is, and how much is wanted."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_SVG = Markup(
    '<svg class="picture" viewBox="0 0 100 4" preserveAspectRatio="none"{}>'
    '<rect class="track" width="100" height="4"/>{}</svg>'
)
_SPEAKS = Markup(' role="img" aria-label="{}"')
_SILENT = Markup(' aria-hidden="true"')  # what stands beside it says the same
_RECT = Markup('<rect class="{}" x="{}" width="{}" height="4"/>')


def fit_bar(needs: int | None, has: int | None, label: str, verdict: str | None = None) -> Markup:
    """What a model needs against what a machine has, in bytes. Nothing is drawn where one of them is not known.

    A model that is too big fills the bar, with a mark where the machine's memory ends. The `verdict` of a Fit colours
    it, as memory in two places is not as good as the same in one.
    """
    if needs is None or not has:
        return Markup("")
    share = needs / has
    if share <= 1:
        tight = share > 0.8 if verdict is None else verdict == "tight"
        return _SVG.format(_label(label), _RECT.format("tight" if tight else "used", 0, _percent(share)))
    end = _percent(1 / share)
    mark = Markup('<line class="mark-line" x1="{0}" x2="{0}" y2="4" vector-effect="non-scaling-stroke"/>').format(end)
    return _SVG.format(_label(label), _RECT.format("over", 0, 100) + mark)


def disk_bar(used: int, free: int | None, label: str) -> Markup:
    """What models take of a disk against what is free, in bytes. Nothing where the free space is not known."""
    if free is None or used + free <= 0:
        return Markup("")
    return share_bar(used / (used + free), label)


def parts_bar(parts: Sequence[tuple[int, str]], whole: int, label: str) -> Markup:
    """Amounts one after another against `whole`, each with the class that colours it. Nothing where all is nothing."""
    if whole <= 0:
        return Markup("")
    bars, at = [], 0
    for amount, look in parts:
        bars.append(_RECT.format(look, _percent(at / whole), _percent(amount / whole)))
        at += amount
    return _SVG.format(_label(label), Markup("").join(bars))


def share_bar(share: float, label: str) -> Markup:
    """A plain bar filled to `share`, 0 to 1."""
    return _SVG.format(_label(label), _RECT.format("used", 0, _percent(share)))


def _label(text: str) -> Markup:
    return _SPEAKS.format(text) if text else _SILENT


def _percent(share: float) -> str:
    return f"{max(0.0, min(1.0, share)) * 100:.1f}"
