"""`moorage installs`: the queue and the history."""

from __future__ import annotations

import sys
from typing import Any

import click

from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.progress import EXIT, watch_all
from moorage.cli.tables import duration, moment, size, table


@click.group(cls=Noun)
def command() -> None:
    """What is being installed, and what was."""


@command.command("list")
@click.option("--state", multiple=True, help="Only installs in this state; may be given again.")
@api_command
def list_installs(state: tuple[str, ...] = (), *, api: Api, out: Output) -> None:
    """All installs, newest first."""
    out.show(api.all("/api/installs", "installs", state=list(state) or None), _rows)


@command.command("show")
@click.argument("id")
@api_command
def show_install(id: str, *, api: Api, out: Output) -> None:
    """One install, and what happened to it."""
    install = api.get(f"/api/installs/{id}")
    entries = api.get(f"/api/installs/{id}/timeline")["entries"]
    out.show({**install, "timeline": entries}, _story)


@command.command("watch")
@click.argument("ids", nargs=-1)
@api_command
def watch_installs(ids: tuple[str, ...], *, api: Api, out: Output) -> None:
    """Stay with installs until they have ended: with those that are named, else with all that run or wait."""
    states = ["running", "queued", "waiting"]
    found = [api.get(f"/api/installs/{id}") for id in ids] or api.all("/api/installs", "installs", state=states)
    installs = watch_all(api, out, found)
    out.show(installs[0] if len(ids) == 1 else installs, lambda value: _rows(value if len(ids) != 1 else [value]))
    sys.exit(max((EXIT.get(install["state"], 3) for install in installs), default=0))


@command.command("move")
@click.argument("id")
@click.option("--before", help="The id of the queued install to go before. [to the front]")
@api_command
def move(id: str, before: str | None, *, api: Api, out: Output) -> None:
    """Change the order of the queue."""
    out.show(api.post(f"/api/installs/{id}/move", {"before": before} if before else {"to": "front"}), _row)


def _action(name: str, text: str) -> None:
    @command.command(name, help=text)
    @click.argument("id")
    @api_command
    def act(id: str, *, api: Api, out: Output) -> None:
        out.show(api.post(f"/api/installs/{id}/{name}"), _row)


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


def _rows(installs: Any) -> Any:
    return table(
        ("id", "model", "file", "target", "state", "done", "of", "speed", "left"),
        (
            (
                item["id"],
                item["model"],
                item["file"],
                item["target"],
                _state(item),
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


def _state(item: Any) -> str:
    if item["state"] == "scheduled":
        return f"scheduled, {moment(item['startsAt'])}"
    if item["update"]:
        return f"{item['state']}, a newer revision is there"
    return str(item["phase"] or item["reason"] or item["state"])


def _row(install: Any) -> Any:
    return _rows([install])


def _story(install: Any) -> str:
    of = f" of {size(install['total'])}" if install["total"] else ""
    lines = [
        f"{install['model']}, {install['file']}, onto {install['target']}: {_state(install)}",
        f"{size(install['completed'])}{of}, attempt {install['attempt']}, asked for by {install['askedBy']}",
    ]
    problem = install["error"] or install["warning"]
    if problem:
        lines.append(f"{problem['message']} {problem['hint'] or ''}".rstrip())
    lines += [f"{moment(entry['at'])}  {entry['text']}" for entry in install["timeline"]]
    return "\n".join(lines)
