"""Installs and their plans in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moorage.cli.model_words import fit_text, gate_text
from moorage.cli.tables import moment, size

RULES = {"tell": "a newer revision is told", "install": "a newer revision is installed by itself"}
REASONS = {
    "network": "the source does not answer",
    "target": "the target does not answer",
    "disk": "there is no room on the disk",
    "sign-in": "the source wants a sign-in or a licence",
    "quiet hours": "quiet hours",
}


def state_of(install: Any) -> str:
    """Its state, with when or why."""
    state = str(install["state"])
    if state == "scheduled":
        return f"scheduled, {moment(install['startsAt'])}"
    if state == "waiting":
        return f"waits: {REASONS.get(install['reason'], install['reason'])}"
    if state == "installed" and install["update"]:
        return "installed, a newer revision is there"
    return str(install["phase"] or state)


def when_of_install(install: Any) -> str:
    """Its rule: now, a time, a window, or what happens with newer revisions."""
    when = install["when"]
    if isinstance(when, str):
        return "now" if when == "now" else f"at {moment(when)}"
    window = when.get("window")
    hours = ""
    if window:
        days = f" on {', '.join(window['days'])}" if window["days"] else ""
        hours = f"between {window['from']} and {window['to']}{days} ({window['timeZone']})"
    return ", ".join(filter(None, (RULES.get(when.get("onUpdate", "")), hours)))


def problem_of(install: Any) -> str:
    """What went wrong and what to do, or nothing."""
    problem = install["error"] or install["warning"]
    return f"{problem['message']} {problem['hint'] or ''}".rstrip() if problem else ""


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
        lines.append(f"Memory: {fit_text(fit)}, at {fit['contextLength']} tokens.")
    lines.append(f"Licence: {plan['license'] or 'not said'}. Gate: {plan['gate']['state']}. Tools: {plan['tools']}.")
    if not plan["problems"] and (gate := gate_text(plan["gate"])):
        lines.append(gate)
    for problem in plan["problems"]:
        lines.append(f"Problem: {problem['message']} {problem['hint'] or ''}".rstrip())
    if plan["note"]:
        lines.append(plan["note"])
    return "\n".join(lines)


def result_text(install: Any, names: Mapping[str, str]) -> str:
    """How an install ended, or where it stands."""
    name, place = install["modelName"] or install["model"], names.get(install["target"], install["target"])
    if install["state"] != "installed":
        lines = [f"{name} onto {place}: {state_of(install)}", problem_of(install), f"Id: {install['id']}"]
        return "\n".join(filter(None, lines))
    line = f"{name} is installed on {place}."
    proof = install["proof"] or {}
    chat, tools = proof.get("chat"), proof.get("tools")
    if chat and chat["ok"] and chat["tokensPerSecond"]:
        line += f" It answers, at {chat['tokensPerSecond']} tokens/s."
    if tools and tools["ok"]:
        line += " It calls tools."
    if isinstance(install["when"], dict):
        line += f" From now on {when_of_install(install)}; its source is asked once a day."
    return "\n".join(filter(None, (line, problem_of(install))))


def story_text(install: Any, names: Mapping[str, str]) -> str:
    """All there is to know about one, and what happened to it."""
    of = f" of {size(install['total'])}" if install["total"] else ""
    road = {"pull": "the server pulls it by itself", "import": "downloaded, verified and imported"}
    facts = {
        "File": install["file"],
        "Onto": names.get(install["target"], install["target"]),
        "State": state_of(install),
        "Here": f"{size(install['completed'])}{of}",
        "When": when_of_install(install),
        "Road": ". ".join(filter(None, (road.get(install["road"]), install["roadReason"]))),
        "Commit": install["revision"],
        "Its name there": install["modelName"],
        "Attempts": str(install["attempt"]),
        "Note": install["note"],
        "Problem": problem_of(install),
    }
    lines = [install["model"], *(f"  {key}: {value}" for key, value in facts.items() if value), ""]
    lines += [f"{moment(entry['at'])}  {entry['text']}" for entry in install["timeline"]]
    return "\n".join(lines)
