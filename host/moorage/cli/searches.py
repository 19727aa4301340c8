"""`moorage searches`: searches that are kept, and what they find."""

from __future__ import annotations

import re
import sys
from typing import Any

import click

from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.names import search_id, target_id, target_names
from moorage.cli.search_options import search_options
from moorage.cli.searches_words import finds_table, search_text, searches_table
from moorage.cli.tables import moment, table
from moorage.cli.when import when_of

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
PATH = "/api/saved-searches"


@click.group(cls=Noun)
def command() -> None:
    """Saved searches: list, save, show, run, read, remove; and the news of all of them."""


@command.command("list")
@api_command
def list_searches(*, api: Api, out: Output) -> None:
    """All saved searches."""
    out.show(api.all(PATH, "savedSearches"), searches_table)


@command.command("save")
@click.argument("name")
@search_options
@click.option("--daily/--not-daily", default=True, help="Run it once a day, or only when told to. [--daily]")
@click.option("--install", is_flag=True, help="Install what is found and fits, on the default target.")
@click.option("--install-on", metavar="TARGET", help="The same on this target: its id, slug or name.")
@click.option("--per-day", type=click.IntRange(1, 20), help="Install so many a day at most. [1]")
@click.option("--max-size", metavar="SIZE", help="Install only files up to this size, such as 8GB.")
@click.option("--tight", is_flag=True, help="Install also what fits only tightly.")
@click.option("--window", help="Install only between these times, night by night: 01:00-06:00.")
@click.option("--days", help="On which days the window opens: mon,tue,… [every day]")
@click.option("--time-zone", help="Of the window, such as Europe/Berlin. [the one of the settings]")
@api_command
def save(name: str, query: dict[str, Any], daily: bool, *, api: Api, out: Output, **rule: Any) -> None:
    """Save a search as NAME, with WORDS and filters as in `moorage search`. All that is there now is old."""
    body = {"name": name, "query": query, "daily": daily, "rule": _rule(api, **rule)}
    names = target_names(api)
    made = api.post(PATH, body)
    if made["lastError"]:
        out.errors.print(made["lastError"], markup=False)
    if daily and not api.serving:
        out.errors.print("It is run daily only while Moorage runs: moorage serve", markup=False)
    out.show(made, lambda value: f"{value['name']} was saved as {value['id']}.\n{search_text(value, names)}")


@command.command("show")
@click.argument("search")
@api_command
def show(search: str, *, api: Api, out: Output) -> None:
    """What SEARCH (its id or name) asks for, how it went, and what it found."""
    found = api.get(f"{PATH}/{search_id(api, search)}")
    names = target_names(api)
    if not out.as_json:
        out.show(found, lambda value: search_text(value, names))
    out.show(found if out.as_json else found["news"], finds_table)


@command.command("run")
@click.argument("search")
@api_command
def run(search: str, *, api: Api, out: Output) -> None:
    """Look now for what is new, and install what its rule allows."""
    found = api.post(f"{PATH}/{search_id(api, search)}/run")
    if found["lastError"]:
        out.errors.print(found["lastError"], markup=False)
    if any(find["install"] for find in found["news"]) and not api.serving:
        out.errors.print("What was queued begins when Moorage runs: moorage serve", markup=False)
    out.show(found, lambda value: finds_table([find for find in value["news"] if not find["read"]]))
    sys.exit(3 if found["lastError"] else 0)


@command.command("read")
@click.argument("search")
@api_command
def read(search: str, *, api: Api, out: Output) -> None:
    """Mark what SEARCH found as read."""
    done = api.post(f"{PATH}/{search_id(api, search)}/read")
    out.show(done, lambda value: f"All that {value['name']} found is marked as read.")


@command.command("remove")
@click.argument("search")
@api_command
def remove(search: str, *, api: Api, out: Output) -> None:
    """Remove SEARCH; installs that its rule has asked for stay."""
    id = search_id(api, search)
    api.delete(f"{PATH}/{id}")
    out.show({"removed": id}, lambda _: f"{search} was removed.")


@command.command("news")
@api_command
def news(*, api: Api, out: Output) -> None:
    """What nobody has read of all searches, and newer revisions of installed models."""
    out.show(
        api.all("/api/news", "news"),
        lambda items: table(
            ("model", "found", "what"),
            ((_model(item), moment(item["foundAt"]), _what(item)) for item in items),
            whole="model",
            empty="Nothing new.",
        ),
    )


def _model(item: Any) -> str:
    return str(item["find"]["id"] if item["find"] else item["install"]["model"])


def _what(item: Any) -> str:
    return f"new, by {item['searchName']}" if item["find"] else "a newer revision of an installed model"


def _rule(
    api: Api,
    *,
    install: bool,
    install_on: str | None,
    per_day: int | None,
    max_size: str | None,
    tight: bool,
    window: str | None,
    days: str | None,
    time_zone: str | None,
) -> dict[str, Any] | None:
    hours = when_of(window=window, days=days, time_zone=time_zone)
    given = {
        "target": target_id(api, install_on) if install_on is not None else None,
        "maxPerDay": per_day,
        "maxBytes": _bytes(max_size) if max_size is not None else None,
        "tightToo": tight or None,
        "window": hours["window"] if hours else None,
    }
    rule = {key: value for key, value in given.items() if value is not None}
    return rule if rule or install else None


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter("must be a size, such as 8GB or 700MB", param_hint="--max-size")
    return int(float(found[1]) * _UNITS[found[2].upper()])
