"""`moorage install`: get a model onto a target."""

from __future__ import annotations

import sys

import click

from moorage.cli.connection import Api, Output, working_command
from moorage.cli.install_words import plan_text, result_text
from moorage.cli.names import target_id, target_names
from moorage.cli.progress import EXIT
from moorage.cli.progress import watch as watch_install
from moorage.cli.when import when_of


@click.command()
@click.argument("model")
@click.option("--source", default="huggingface", show_default=True)
@click.option("--file", help="The file to take, as its source names it.")
@click.option("--quantization", "-q", help="Such as Q4_K_M.")
@click.option("--target", help="The target: id, slug or name; builtin, or a saved Ollama server.")
@click.option("--road", type=click.Choice(("pull", "import")), help="How it gets there. [the plan's choice]")
@click.option("--at", help="When to start: 01:00, or a time such as 2026-05-21T01:00:00Z. [now]")
@click.option("--window", help="Only between these times, night by night: 01:00-06:00.")
@click.option("--days", help="On which days the window opens: mon,tue,… [every day]")
@click.option("--time-zone", help="Of the window, such as Europe/Berlin. [the one of the settings]")
@click.option(
    "--on-update",
    type=click.Choice(("tell", "install", "nothing")),
    help="For an installed model: what to do when a newer revision appears (install: in the window, if one is given).",
)
@click.option("--context-length", type=click.IntRange(256), help="With --plan: whether it fits with so many tokens.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--watch/--no-watch", default=True, help="Stay until it has ended. [--watch]")
@working_command(lambda options: options["watch"] and not options["only_plan"])
def command(
    model: str,
    source: str,
    file: str | None,
    quantization: str | None,
    target: str | None,
    road: str | None,
    at: str | None,
    window: str | None,
    days: str | None,
    time_zone: str | None,
    on_update: str | None,
    context_length: int | None,
    only_plan: bool,
    watch: bool,
    *,
    api: Api,
    out: Output,
) -> None:
    """Install MODEL (org/name) on this machine or an Ollama server."""
    when = when_of(at=at, window=window, days=days, time_zone=time_zone, on_update=on_update)
    wanted = {"source": source, "model": model, "file": file, "quantization": quantization}
    wanted |= {"target": target, "road": road}
    if target is not None:
        target = wanted["target"] = target_id(api, target)
    body = {key: value for key, value in wanted.items() if value is not None}
    names = target_names(api)
    if only_plan:
        plan = api.post("/api/llm/models/plan", {**body, "contextLength": context_length})
        place: str = plan["fit"]["target"] or target or ""
        out.show(
            plan, lambda value: plan_text(value, "the built-in engine" if place == "builtin" else names.get(place))
        )
        sys.exit(0 if plan["ok"] else 3)
    install, new = api.ask("/api/llm/models/import", {**body, "when": when} if when else body)
    if on_update == "nothing":
        install = api.post(f"/api/installs/{install['id']}/on-update", {"when": None})
    if not new and not on_update and install["state"] != "installed":
        kept = " Its time and road were not changed." if when or road else ""
        out.errors.print(f"It was asked for before.{kept}", markup=False)
    if watch:
        install = watch_install(api, out, install)
    if not api.serving and install["state"] in ("scheduled", "queued", "running", "waiting"):
        out.errors.print("It goes on only while Moorage runs: moorage serve", markup=False)
    out.show(install, lambda value: result_text(value, names))
    sys.exit(EXIT.get(install["state"], 3) if watch else 0)
