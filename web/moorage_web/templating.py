"""What every template may use: formats, badges, pictures and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from itertools import groupby
from operator import attrgetter
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from moorage_web import badges, formats, offers, render, search_view


def prepare(environment: Environment, *, now: Callable[[], datetime], zone: Callable[[], tzinfo]) -> None:
    """Add our filters and globals to a Jinja environment.

    `now` is the time (UTC-aware), `zone` the person's time zone from the settings; both are asked at every use.
    Filters: compact, count, size, size_text, memory, price, speed, parameters, context, duration, exact, ago, clock,
    coded, markdown.
    Globals: badge_for, key_of, keys_of, offer, all_said,
    percent, plural, query_url, fit_bar, disk_bar, parts_bar, share_bar, sparkline, night_strip,
    zone_name.
    """
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(
        compact=formats.compact,
        count=formats.count_markup,
        size=formats.size_markup,
        size_text=formats.size,
        memory=formats.memory,
        price=formats.price,
        speed=formats.speed,
        parameters=formats.parameters,
        context=formats.context,
        duration=formats.duration,
        exact=formats.exact,
        rate=formats.rate,
        ago=lambda moment: formats.time_markup(moment, now(), zone()),
        clock=lambda moment: formats.clock(moment, zone()),
        coded=formats.coded,
        sentence=lambda text: text[:1].upper() + text[1:],
        markdown=_markdown,
        groupby_order=_runs,
    )
    environment.globals.update(
        badge_for=badges.badge_for,
        key_of=search_view.key_of,
        keys_of=search_view.keys_of,
        offer=offers.offer,
        all_said=offers.all_said,
        percent=formats.percent,
        plural=formats.plural,
        query_url=formats.query_url,
        fit_bar=render.fit_bar,
        disk_bar=render.disk_bar,
        parts_bar=render.parts_bar,
        share_bar=render.share_bar,
        sparkline=render.sparkline,
        night_strip=render.night_strip,
        zone_name=lambda: str(zone()),
    )


def _markdown(text: str) -> Markup:
    from moorage_web import markdown  # the parser and the cleaner are large, and few pages need them

    return markdown.render(text)


def _runs(items: Iterable[Any], attribute: str) -> list[tuple[Any, list[Any]]]:
    """Neighbours with the same attribute, in the order in which they came; Jinja's own groupby sorts."""
    return [(key, list(run)) for key, run in groupby(items, key=attrgetter(attribute))]
