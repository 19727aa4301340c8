"""`moorage settings`: what people change at run time."""

from __future__ import annotations

from typing import Any

import click

from moorage.cli.config_options import parse_settings
from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.tables import table

READ_ONLY = ("sources", "version")


@click.group(cls=Noun)
def command() -> None:
    """Proxy, bandwidth limit, quiet hours, time zone, and how many installs run at once."""


@command.command("list")
@api_command
def list_settings(*, api: Api, out: Output) -> None:
    """All settings, and where each value comes from."""
    out.show(api.get("/api/settings"), _rows)


@command.command("set")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE…")
@api_command
def change(settings: tuple[str, ...], *, api: Api, out: Output) -> None:
    """Change settings: bandwidthLimit=5000000, quietHours=08:00-18:00, or an empty value for none."""
    current = api.get("/api/settings")
    given = parse_settings(settings)
    if isinstance(hours := given.get("quietHours"), str) and hours:
        begin, _, end = hours.partition("-")
        given["quietHours"] = {"from": begin.strip(), "to": end.strip()}
    changed = {key: None if value == "" else value for key, value in given.items()}
    out.show(api.put("/api/settings", {**current, **changed}), _rows)


def _rows(view: Any) -> Any:
    return table(
        ("setting", "value", "from"),
        ((key, _value(value), view["sources"].get(key)) for key, value in view.items() if key not in READ_ONLY),
        whole="setting",
        empty="",
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['from']}-{value['to']}"
    return "" if value is None else str(value)
