"""`moorage installs`: the queue and the history."""

from __future__ import annotations

import sys
from typing import Any

import click

from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.progress import EXIT, watch
from moorage.cli.tables import size, table


@click.group(cls=Noun)
def command() -> None:
    """What is being installed, and what was."""


@command.command("list")
@click.option("--state", multiple=True, help="Only installs in this state; may be given again.")
@api_command
def list_installs(state: tuple[str, ...] = (), *, api: Api, out: Output) -> None:
    """All installs, newest first."""
    out.show(api.all("/api/installs", "installs", state=list(state) or None), _rows)


@command.command("watch")
@click.argument("id")
@api_command
def watch_install(id: str, *, api: Api, out: Output) -> None:
    """Stay with an install until it has ended."""
    install = watch(api, out, api.get(f"/api/installs/{id}"))
    out.show(install, _row)
    sys.exit(EXIT.get(install["state"], 3))


def _action(name: str, text: str) -> None:
    @command.command(name, help=text)
    @click.argument("id")
    @api_command
    def act(id: str, *, api: Api, out: Output) -> None:
        out.show(api.post(f"/api/installs/{id}/{name}"), _row)


_action("pause", "Pause an install; what was fetched is kept.")
_action("resume", "Go on with a paused or waiting install.")
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
        ("id", "model", "file", "target", "state", "done", "of"),
        (
            (
                item["id"],
                item["model"],
                item["file"],
                item["target"],
                item["phase"] or item["reason"] or item["state"],
                size(item["completed"]),
                size(item["total"]),
            )
            for item in installs
        ),
        right=("done", "of"),
        empty="No installs yet. Start one: moorage install MODEL",
    )


def _row(install: Any) -> Any:
    return _rows([install])
