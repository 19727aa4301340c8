"""`moorage agents`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from moorage.cli.config_options import parse_settings
from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.names import agent_id, provider_id
from moorage.cli.tables import table


@click.group(cls=Noun)
def command() -> None:
    """Agents: list, create, remove."""


@command.command("list")
@api_command
def list_agents(*, api: Api, out: Output) -> None:
    """All agents."""
    out.show(api.all("/api/agents", "agents"), _rows)


@command.command("create")
@click.argument("name")
@click.option("--provider", help="A saved provider: its id, slug or name.")
@click.option("--type", "type_", help="A provider type instead, with the model inline.")
@click.option("--model", help="The model; needed unless the provider has one.")
@click.option("--instructions", default="", help="What the agent is told first.")
@click.option("--instructions-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tool", "tools", multiple=True, help="A tool it may use, such as current_time; may be repeated.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the model.")
@api_command
def create(
    name: str,
    provider: str | None,
    type_: str | None,
    model: str | None,
    instructions: str,
    instructions_file: Path | None,
    tools: tuple[str, ...],
    options: tuple[str, ...],
    *,
    api: Api,
    out: Output,
) -> None:
    """Make an agent called NAME."""
    saved = provider_id(api, provider) if provider is not None else None
    chosen = {"provider": saved, "type": type_, "model": model}
    body = {
        "name": name,
        "instructions": instructions_file.read_text() if instructions_file else instructions,
        "llm": {key: value for key, value in chosen.items() if value is not None},
        "options": parse_settings(options),
        "tools": list(tools),
    }
    out.show(api.post("/api/agents", body), lambda agent: f"{agent['name']} was made: {agent['id']}.")


@command.command("remove")
@click.argument("agent")
@api_command
def remove(agent: str, *, api: Api, out: Output) -> None:
    """Remove AGENT (its id, slug or name); its conversations stay."""
    id = agent_id(api, agent)
    api.delete(f"/api/agents/{id}")
    out.show({"removed": id}, lambda _: f"{agent} was removed.")


def _rows(agents: Any) -> Any:
    return table(
        ("id", "name", "answers with", "tools"),
        (
            (
                agent["id"],
                agent["name"],
                " ".join(
                    filter(None, (agent["llm"].get("provider") or agent["llm"].get("type"), agent["llm"]["model"]))
                ),
                ", ".join(agent["tools"]),
            )
            for agent in agents
        ),
        empty="No agents yet. Make one: moorage agents create NAME --provider builtin --model …",
    )
