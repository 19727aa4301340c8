"""Tokens of programs, for a server that has a password."""

from __future__ import annotations

from moorage.models import AccessToken, Model, NewAccessToken
from moorage_web.arguments import Body, Name
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("tokens")


class TokenList(Model):
    tokens: tuple[AccessToken, ...]


class NewToken(Body):
    name: Name


@api.get("/api/tokens", answer=TokenList)
def list_tokens() -> TokenList:
    """All tokens, without their secrets."""
    return TokenList(tokens=host().access.tokens())


@api.post("/api/tokens", body=NewToken, answer=NewAccessToken, status=201)
def create_token(body: NewToken) -> NewAccessToken:
    """Make a token; its text is in this answer only."""
    return host().access.create_token(body.name)


@api.delete("/api/tokens/<id:token_id>")
def revoke_token(token_id: str) -> None:
    """Make a token useless."""
    host().access.revoke_token(token_id)
