"""How the parts of the host are."""

from __future__ import annotations

from moorage.models.base import Model


class HealthPart(Model):
    """One part; `detail` is a short line for people."""

    name: str
    ok: bool
    detail: str
