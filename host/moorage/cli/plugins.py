"""`moorage plugins`."""

from __future__ import annotations

from typing import Any

import click

from moorage.cli.config_options import parse_settings, prompt_secret
from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.names import plugin_name
from moorage.cli.tables import table


@click.group(cls=Noun)
def command() -> None:
    """Plugins: list, enable, disable, configure."""


@command.command("list")
@api_command
def list_plugins(*, api: Api, out: Output) -> None:
    """All plugins with their states."""
    out.show(api.get("/api/plugins")["plugins"], _rows)


def _switch(name: str, text: str) -> None:
    @command.command(name, help=text)
    @click.argument("plugin")
    @api_command
    def act(plugin: str, *, api: Api, out: Output) -> None:
        out.show(api.post(f"/api/plugins/{plugin_name(api, plugin)}/{name}"), lambda value: _rows([value]))


_switch("enable", "Switch a plugin on.")
_switch("disable", "Switch a plugin off.")


@command.command("config")
@click.argument("plugin")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option(
    "--secret",
    multiple=True,
    metavar="KEY",
    help="A secret to ask for, such as token; piped: a line of standard input each.",
)
@api_command
def config(plugin: str, settings: tuple[str, ...], secret: tuple[str, ...], *, api: Api, out: Output) -> None:
    """A plugin's own settings; with --set or --secret, change them."""
    path = f"/api/plugins/{plugin_name(api, plugin)}/config"
    view = api.get(path)
    if settings or secret:
        kept = {key: value for key, value in view["values"].items() if not isinstance(value, dict)}
        values = {**kept, **parse_settings(settings), **prompt_secret(secret)}
        view = api.put(path, {"values": values, "version": view["version"]})
    for text in view["notices"]:
        click.echo(text, err=True)
    out.show(
        view,
        lambda value: table(
            ("setting", "value", "from"),
            ((key, _shown(v), value["sources"][key]) for key, v in value["values"].items()),
            whole="setting",
            empty="This plugin has no settings.",
        ),
    )


@command.command("check-key")
@click.argument("plugin")
@api_command
def check_key(plugin: str, *, api: Api, out: Output) -> None:
    """What the key that a plugin has may do at its service."""
    answer = api.post(f"/api/plugins/{plugin_name(api, plugin)}/check-key")
    out.show(answer, lambda value: key_text(value["key"]))


def key_text(key: Any) -> str:
    if key is None:
        return "No key is saved."
    words = {True: "yes", False: "no", None: "not known"}
    lines = [f"{key['account']}, a key of the kind {key['kind']}"]
    lines += [f"  {item['name']}: {words[item['allowed']]}" for item in key["abilities"]]
    return "\n".join([*lines, *([key["notice"]] if key["notice"] else [])])


def _shown(value: Any) -> Any:
    return (value["hint"] if value["set"] else "not set") if isinstance(value, dict) else value


def _rows(plugins: Any) -> Any:
    return table(
        ("name", "state", "version", "from", "reason"),
        ((p["name"], p["state"], p["version"], p["distribution"], p["error"]) for p in plugins),
        whole="name",
        empty="No plugin was found.",
    )
