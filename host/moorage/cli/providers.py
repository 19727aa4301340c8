"""`moorage providers`: saved endpoints."""

from __future__ import annotations

import sys
from typing import Any

import click

from moorage.cli.config_options import parse_settings, prompt_secret
from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.names import provider_id
from moorage.cli.tables import table


@click.group(cls=Noun)
def command() -> None:
    """Providers: list, add, test, remove."""


@command.command("list")
@api_command
def list_providers(*, api: Api, out: Output) -> None:
    """All saved providers."""
    out.show(api.all("/api/llm/providers", "providers"), _rows)


@command.command("types")
@api_command
def types(*, api: Api, out: Output) -> None:
    """The kinds of provider that the plugins offer."""
    answer = api.get("/api/llm/provider-types")
    out.show(
        answer,
        lambda value: table(
            ("type", "label", "plugin", "fields"),
            (
                (item["type"], item["label"], item["plugin"], ", ".join(item["schema"]["properties"]))
                for item in value["providerTypes"]
            ),
            whole="type",
            empty="No plugin offers a provider type. See: moorage plugins",
        ),
    )


@command.command("add")
@click.argument("type")
@click.option("--name", help="What to call it. [the type]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A field of its config; may be repeated.")
@click.option(
    "--secret",
    multiple=True,
    metavar="KEY",
    help="A secret field to ask for, such as apiKey; piped: a line of standard input each.",
)
@api_command
def add(
    type: str, name: str | None, settings: tuple[str, ...], secret: tuple[str, ...], *, api: Api, out: Output
) -> None:
    """Save a provider of TYPE, such as huggingface or ollama."""
    config = {**parse_settings(settings), **prompt_secret(secret)}
    made = api.post("/api/llm/providers", {"name": name or type, "type": type, "config": config})
    out.show(made, lambda item: f"{item['name']} was saved as {item['id']}.")


@command.command("test")
@click.argument("provider")
@api_command
def test(provider: str, *, api: Api, out: Output) -> None:
    """Ask PROVIDER (its id, slug or name) for one real, short answer."""
    result = api.post("/api/llm/providers/test", {"id": provider_id(api, provider)})
    out.show(result, _result)
    sys.exit(0 if result["ok"] else 3)


@command.command("models")
@click.argument("provider")
@api_command
def models(provider: str, *, api: Api, out: Output) -> None:
    """What PROVIDER (its id, slug or name) offers now."""
    out.show(
        api.get(f"/api/llm/providers/{provider_id(api, provider)}/models"),
        lambda value: table(
            ("model", "context", "can"),
            ((m["name"], m["contextLength"], ", ".join(m["capabilities"] or ())) for m in value["models"]),
            whole="model",
            empty="It offers no models now.",
        ),
    )


@command.command("remove")
@click.argument("provider")
@api_command
def remove(provider: str, *, api: Api, out: Output) -> None:
    """Remove PROVIDER (its id, slug or name) and its key."""
    id = provider_id(api, provider)
    api.delete(f"/api/llm/providers/{id}")
    out.show({"removed": id}, lambda _: f"{provider} was removed.")


def _rows(providers: Any) -> Any:
    return table(
        ("id", "name", "type", "model"),
        ((p["id"], p["name"], p["type"], p["config"].get("model")) for p in providers),
        empty="No providers yet. Add one: moorage providers add huggingface --set model=…",
    )


def _result(result: Any) -> str:
    if result["ok"]:
        return f"It works: {result['model']} answered in {result['seconds']:.1f} s: {result['reply']}"
    error = result["error"]
    return f"Failed at the {error['part']}: {error['message']} {error['hint'] or ''}".rstrip()
