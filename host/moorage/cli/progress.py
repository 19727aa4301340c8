"""Watching installs until they end, with a bar for each on a terminal."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from moorage.cli.connection import Api, Output
from moorage.cli.install_words import problem_of, state_of

POLL_SECONDS = 0.25
ENDED = ("installed", "failed", "cancelled")
EXIT = {"installed": 0, "scheduled": 0}  # of a command that watched; in every other state the model is not there


def watch(api: Api, out: Output, install: Any) -> Any:
    """Stay with one; its last record."""
    return watch_all(api, out, [install])[0]


def watch_all(api: Api, out: Output, installs: list[Any]) -> list[Any]:
    """Poll until each has ended, or waits for a person or a later time; their last records."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    latest = {install["id"]: install for install in installs}
    told: dict[str, str] = {}
    silent = out.errors.is_terminal or out.as_json  # elsewhere each change of state is a line
    with Progress(*columns, console=out.errors, disable=out.as_json, transient=True) as progress:
        tasks = {id: progress.add_task(install["model"], total=install["total"]) for id, install in latest.items()}
        while not all(settled(install) for install in latest.values()):
            time.sleep(POLL_SECONDS)
            for id, before in latest.items():
                if settled(before):
                    continue
                install = latest[id] = api.get(f"/api/installs/{id}")
                words = state_of(install)
                name = f"{install['model']} {install['quantization'] or ''}: {words}" if len(latest) > 1 else words
                if words != told.get(id) and not silent:
                    out.errors.print(f"{install['model']}: {words}. {problem_of(install)}".rstrip(), markup=False)
                told[id] = words
                progress.update(tasks[id], description=name, completed=install["completed"], total=install["total"])
    return list(latest.values())


def settled(install: Any) -> bool:
    """Whether nothing will change without a person or a later time."""
    waits = install["state"] == "waiting" and install["reason"] in ("sign-in", "disk")
    return install["state"] in (*ENDED, "paused", "scheduled") or waits
