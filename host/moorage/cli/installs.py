"""`moorage installs`: the queue and the history."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from moorage.cli.connection import Api, Noun, Output, api_command, working_command
from moorage.cli.install_words import result_text, state_of, story_text
from moorage.cli.names import target_names
from moorage.cli.progress import EXIT, watch_all
from moorage.cli.tables import duration, size, table
from moorage.cli.when import when_of

UNDER_WAY = ("running", "queued", "waiting", "scheduled")


@click.group(cls=Noun)
def command() -> None:
    """What is being installed, and what was."""


@command.command("list")
@click.option("--state", multiple=True, help="Only installs in this state; may be given again.")
@api_command
def list_installs(state: tuple[str, ...] = (), *, api: Api, out: Output) -> None:
    """All installs, newest first."""
    installs = api.all("/api/installs", "installs", state=list(state) or None)
    if not api.serving and any(item["state"] in UNDER_WAY for item in installs):
        out.errors.print("Moorage does not run, so nothing goes on: moorage serve", markup=False)
    out.show(installs, lambda value: _rows(value, target_names(api)))


@command.command("show")
@click.argument("id")
@api_command
def show_install(id: str, *, api: Api, out: Output) -> None:
    """One install, and what happened to it."""
    install = api.get(f"/api/installs/{id}")
    entries = api.get(f"/api/installs/{id}/timeline")["entries"]
    out.show({**install, "timeline": entries}, lambda value: story_text(value, target_names(api)))


@command.command("watch")
@click.argument("ids", nargs=-1)
@working_command(lambda options: True)
def watch_installs(ids: tuple[str, ...], *, api: Api, out: Output) -> None:
    """Stay with installs until they have ended: with those that are named, else with all that run or wait."""
    states = ["running", "queued", "waiting"]
    found = [api.get(f"/api/installs/{id}") for id in ids] or api.all("/api/installs", "installs", state=states)
    installs = watch_all(api, out, found)
    names = target_names(api)
    if len(ids) == 1:
        out.show(installs[0], lambda value: result_text(value, names))
    else:
        out.show(installs, lambda value: _rows(value, names))
    sys.exit(max((EXIT.get(install["state"], 3) for install in installs), default=0))


@command.command("move")
@click.argument("id")
@click.option("--before", help="The id of the queued install to go before. [to the front]")
@api_command
def move(id: str, before: str | None, *, api: Api, out: Output) -> None:
    """Change the order of the queue."""
    _one(api, out, api.post(f"/api/installs/{id}/move", {"before": before} if before else {"to": "front"}))


@command.command("reschedule")
@click.argument("id")
@click.option("--at", help="When to start: 01:00, or a time such as 2026-05-21T01:00:00Z.")
@click.option("--window", help="Only between these times, night by night: 01:00-06:00.")
@click.option("--days", help="On which days the window opens: mon,tue,… [every day]")
@click.option("--time-zone", help="Of the window, such as Europe/Berlin. [the one of the settings]")
@api_command
def reschedule(
    id: str,
    at: str | None,
    window: str | None,
    days: str | None,
    time_zone: str | None,
    *,
    api: Api,
    out: Output,
) -> None:
    """Give an install that does not run another time; without one, now."""
    when = when_of(at=at, window=window, days=days, time_zone=time_zone) or "now"
    _one(api, out, api.post(f"/api/installs/{id}/reschedule", {"when": when}))


def _action(name: str, text: str) -> None:
    @command.command(name, help=text)
    @click.argument("id")
    @api_command
    def act(id: str, *, api: Api, out: Output) -> None:
        _one(api, out, api.post(f"/api/installs/{id}/{name}"))


_action("pause", "Pause an install; what was fetched is kept.")
_action("resume", "Go on with a paused or waiting install.")
_action("start", "Begin a scheduled install now.")
_action("cancel", "Stop an install and remove what was fetched.")
_action("retry", "Try a failed or cancelled install again, with the same file.")


@command.command("remove")
@click.argument("id")
@api_command
def remove(id: str, *, api: Api, out: Output) -> None:
    """Take an install that has ended out of the history."""
    api.delete(f"/api/installs/{id}")
    out.show({"removed": id}, lambda _: f"{id} was removed.")


def _rows(installs: Any, names: Mapping[str, str]) -> Any:
    return table(
        ("id", "model", "file", "target", "state", "done", "of", "speed", "left"),
        (
            (
                item["id"],
                item["model"],
                item["file"],
                names.get(item["target"], item["target"]),
                state_of(item),
                size(item["completed"]),
                size(item["total"]),
                f"{size(item['bytesPerSecond'])}/s" if item["bytesPerSecond"] else "",
                duration(item["secondsLeft"]),
            )
            for item in installs
        ),
        right=("done", "of", "speed", "left"),
        empty="No installs yet. Start one: moorage install MODEL",
    )


def _one(api: Api, out: Output, install: Any) -> None:
    out.show(install, lambda value: _rows([value], target_names(api)))
