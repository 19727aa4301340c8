"""Tokens that programs show once the server has a password."""

from __future__ import annotations

from moorage.models.base import Model, Time


class AccessToken(Model):
    """A token as people see it, without its secret."""

    id: str
    name: str
    created_at: Time


class NewAccessToken(AccessToken):
    """A token just made; `token` is the text to send as `Authorization: Bearer …`, shown this once."""

    token: str
