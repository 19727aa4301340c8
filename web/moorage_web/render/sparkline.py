"""A speed over time, as a line without axes."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 80, 20


def sparkline(values: Sequence[float], label: str) -> Markup:
    """The last values, oldest first, scaled to the highest; nothing for fewer than two."""
    if len(values) < 2:
        return Markup("")
    top = max(values) or 1.0
    step = WIDTH / (len(values) - 1)
    points = " ".join(
        f"{index * step:.1f},{HEIGHT - 1 - max(0.0, value) / top * (HEIGHT - 2):.1f}"
        for index, value in enumerate(values)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><polyline points="{}"/></svg>'
    ).format(WIDTH, HEIGHT, label, points)
