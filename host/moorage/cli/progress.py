"""Watching an install until it ends, with a progress bar on a terminal."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from moorage.cli.connection import Api, Output

POLL_SECONDS = 0.25
ENDED = ("installed", "failed", "cancelled")
EXIT = {"installed": 0, "scheduled": 0}  # of a command that watched; in every other state the model is not there


def watch(api: Api, out: Output, install: Any) -> Any:
    """Poll until the install has ended or waits for a person; the last record."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out.errors, disable=out.as_json, transient=True) as progress:
        task = progress.add_task(install["model"], total=install["total"])
        while not settled(install):
            time.sleep(POLL_SECONDS)
            install = api.get(f"/api/installs/{install['id']}")
            words = install["phase"] or install["state"]
            progress.update(task, description=words, completed=install["completed"], total=install["total"])
    return install


def settled(install: Any) -> bool:
    """Whether nothing will change without a person or a later time."""
    waits = install["state"] == "waiting" and install["reason"] in ("sign-in", "disk")
    return install["state"] in (*ENDED, "paused", "scheduled") or waits
