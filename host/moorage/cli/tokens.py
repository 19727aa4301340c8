"""`moorage tokens`: what programs show instead of the password."""

from __future__ import annotations

import click

from moorage.cli.connection import Api, Noun, Output, api_command
from moorage.cli.names import token_id
from moorage.cli.tables import table


@click.group(cls=Noun)
def command() -> None:
    """API tokens for programs, once a password is set."""


@command.command("list")
@api_command
def list_tokens(*, api: Api, out: Output) -> None:
    """All tokens, without their secrets."""
    out.show(
        api.get("/api/tokens")["tokens"],
        lambda tokens: table(
            ("id", "name", "made"),
            ((t["id"], t["name"], t["createdAt"]) for t in tokens),
            empty="No tokens yet. Make one: moorage tokens create NAME",
        ),
    )


@command.command("create")
@click.argument("name")
@api_command
def create(name: str, *, api: Api, out: Output) -> None:
    """Make a token; it is shown this once."""
    out.show(api.post("/api/tokens", {"name": name}), lambda made: made["token"])


@command.command("revoke")
@click.argument("token")
@api_command
def revoke(token: str, *, api: Api, out: Output) -> None:
    """Make TOKEN (its id or name) useless."""
    id = token_id(api, token)
    api.delete(f"/api/tokens/{id}")
    out.show({"revoked": id}, lambda _: f"{token} was revoked.")
