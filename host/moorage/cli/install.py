"""`moorage install`: get a model onto a target."""

from __future__ import annotations

import sys
from typing import Any

import click

from moorage.cli.connection import Api, Output, api_command
from moorage.cli.names import target_id
from moorage.cli.progress import EXIT
from moorage.cli.progress import watch as watch_install
from moorage.cli.tables import moment, size
from moorage.cli.when import when_of

RULES = {
    None: "",
    "tell": " A newer revision will be shown on the Installs page.",
    "install": " A newer revision will be installed by itself.",
}


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
    type=click.Choice(("tell", "install")),
    help="For an installed model: what to do when a newer revision appears (in the window, if one is given).",
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--watch/--no-watch", default=True, help="Stay until it has ended. [--watch]")
@api_command
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
    if only_plan:
        plan = api.post("/api/llm/models/plan", body)
        place = plan["fit"]["target"] or target
        named = {item["id"]: item["name"] for item in api.all("/api/llm/providers", "providers")}
        out.show(
            plan, lambda value: plan_text(value, "the built-in engine" if place == "builtin" else named.get(place))
        )
        sys.exit(0 if plan["ok"] else 3)
    install = api.post("/api/llm/models/import", {**body, "when": when} if when else body)
    if watch:
        install = watch_install(api, out, install)
    if install["state"] == "scheduled" and not api.serving:
        out.errors.print("It starts only while Moorage runs at that time: moorage serve", markup=False)
    out.show(install, _ended)
    sys.exit(EXIT.get(install["state"], 3) if watch else 0)


def plan_text(plan: Any, place: str | None) -> str:
    place = place or "the target"
    way = f"{place} pulls it by itself" if plan["road"] == "pull" else f"Download, then import into {place}"
    lines = [f"{way}: {', '.join(part['name'] for part in plan['files'])} ({size(plan['bytes'])})"]
    if plan["roadReason"]:
        lines.append(plan["roadReason"])
    if plan["alreadyHere"]:
        lines.append(f"{size(plan['alreadyHere'])} of it are here already.")
    disk = plan["disk"]
    if disk["free"] is not None and disk["needed"] is not None:
        promised = f", {size(disk['promised'])} promised to other installs" if disk["promised"] else ""
        lines.append(f"Disk: {size(disk['needed'])} needed, {size(disk['free'])} free{promised}.")
    fit = plan["fit"]
    if fit["needs"]:
        has = f" of {size(fit['has'])}" if fit["has"] else ""
        lines.append(f"Memory: {fit['verdict']}, about {size(fit['needs'])}{has} at {fit['contextLength']} tokens.")
    lines.append(f"Licence: {plan['license'] or 'not said'}. Gate: {plan['gate']['state']}. Tools: {plan['tools']}.")
    for problem in plan["problems"]:
        lines.append(f"Problem: {problem['message']} {problem['hint'] or ''}".rstrip())
    if plan["note"]:
        lines.append(plan["note"])
    return "\n".join(lines)


def _ended(install: Any) -> str:
    name = install["modelName"] or install["model"]
    if install["state"] == "installed":
        line = f"{name} is installed on {install['target']}."
        proof = (install["proof"] or {}).get("chat")
        if proof and proof["ok"] and proof["tokensPerSecond"]:
            line += f" It answers, at {proof['tokensPerSecond']} tokens/s."
        tools = (install["proof"] or {}).get("tools")
        if tools and tools["ok"]:
            line += " It calls tools."
        line += RULES[install["when"].get("onUpdate")] if isinstance(install["when"], dict) else ""
        if install["warning"]:
            line += f"\n{install['warning']['message']} {install['warning']['hint'] or ''}".rstrip()
        return line
    line = f"{name}: {install['state']}" + (f" ({install['reason']})" if install["reason"] else "")
    if install["startsAt"]:
        line += f", starts {moment(install['startsAt'])}"
    if install["error"]:
        line += f"\n{install['error']['message']} {install['error']['hint'] or ''}".rstrip()
    return f"{line}\nId: {install['id']}"
