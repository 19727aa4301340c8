"""`moorage doctor`: is this installation well, and what can it reach?"""

from __future__ import annotations

import sys
from typing import Any

import click

from moorage.cli.connection import Api, ApiFailed, Output, api_command
from moorage.cli.tables import table

WELL = ("ready", "disabled")


@click.command()
@api_command
def command(*, api: Api, out: Output) -> None:
    """Check this installation and what it can reach."""
    checks = [*_parts(api), *_plugins(api), *_targets(api), *_sources(api), *_keys(api)]
    out.show({"checks": checks}, _rows)
    sys.exit(0 if all(check["ok"] for check in checks) else 1)


def _check(name: str, ok: bool, detail: str | None) -> dict[str, Any]:
    return {"check": name, "ok": ok, "detail": detail or ""}


def _parts(api: Api) -> list[dict[str, Any]]:
    ready = api.get("/readyz")
    return [_check(name, part["ok"], part["detail"]) for name, part in ready["parts"].items() if name != "plugins"]


def _plugins(api: Api) -> list[dict[str, Any]]:
    """All together, with the names of those that are not well, and each one with its reason."""
    plugins = api.get("/api/plugins")["plugins"]
    checks = [
        _check(f"plugin {item['name']}", item["state"] in WELL, item["error"] or item["state"]) for item in plugins
    ]
    ready = sum(item["state"] == "ready" for item in plugins)
    ill = [f"{item['name']} ({item['state']})" for item in plugins if item["state"] not in WELL]
    detail = f"{ready} ready" + (f"; not well: {', '.join(ill)}" if ill else "")
    return [_check("plugins", ready > 0 and not ill, detail), *checks]


def _targets(api: Api) -> list[dict[str, Any]]:
    return [
        _check(f"target {item['target']}", item["ok"], item["error"] or f"{len(item['models'])} models")
        for item in api.get("/api/local/models")["targets"]
    ]


def _sources(api: Api) -> list[dict[str, Any]]:
    try:
        outcome = api.get("/api/llm/models/search", format="gguf", limit=1)
    except ApiFailed as error:
        return [_check("search", False, f"{error} {error.hint or ''}".strip())]
    return [
        _check(f"source {item['source']}", item["ok"], item["error"] or f"answers in {item['seconds']} s")
        for item in outcome["sources"]
    ]


def _keys(api: Api) -> list[dict[str, Any]]:
    """Of each plugin that can tell; that none is saved is no fault."""
    checks = []
    for plugin in api.get("/api/plugins")["plugins"]:
        if plugin["state"] != "ready" or "check_key" not in plugin["hooks"]:
            continue
        try:
            key = api.post(f"/api/plugins/{plugin['name']}/check-key")["key"]
        except ApiFailed as error:
            checks.append(_check(f"key {plugin['name']}", False, f"{error} {error.hint or ''}".strip()))
            continue
        checks.append(
            _check(f"key {plugin['name']}", True, f"{key['account']}, {key['kind']}" if key else "none saved")
        )
    return checks


def _rows(value: Any) -> Any:
    return table(
        ("", "check", ""),
        (("ok" if c["ok"] else "!!", c["check"], c["detail"]) for c in value["checks"]),
        whole="check",
        empty="There was nothing to check.",
    )
