"""`moorage disk`: what the data directory holds, and a clean-up."""

from __future__ import annotations

from typing import Any

import click

from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.tables import size, table


@click.group(cls=Noun)
def command() -> None:
    """What the data directory holds; remove what nothing needs."""


@command.command("list")
@api_command
def list_files(*, api: Api, out: Output) -> None:
    """Models, files on their way, and the rest."""
    storage = api.get("/api/local/storage")
    if not out.as_json:
        free = f"{size(storage['free'])} free" if storage["free"] is not None else "free space not known"
        out.errors.print(f"{storage['directory']}: {free}, {size(storage['reclaimable'])} to clean up", markup=False)
    out.show(storage, _rows)


@command.command("clean")
@api_command
def clean(*, api: Api, out: Output) -> None:
    """Remove files that no model uses and no install may want."""
    answer = api.post("/api/local/storage/clean-up")
    out.show(answer, lambda value: f"{size(value['freed'])} were freed.")


def _rows(storage: Any) -> Any:
    rows = [("model", model["name"], size(model["size"]), "") for model in storage["models"]]
    for file in storage["files"]:
        wanted = ", ".join(file["installs"]) or "nothing: moorage disk clean"  # what an install wants goes with it
        rows.append((file["kind"], file["name"] or file["key"], size(file["size"]), wanted))
    rows.append(("other", "settings, conversations, records", size(storage["other"]), ""))
    return table(("what", "name", "size", "needed by"), rows, right=("size",), whole="name", empty="Nothing.")
