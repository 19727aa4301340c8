"""The host that this application shows."""

from __future__ import annotations

from flask import current_app

from moorage.host import Host

EXTENSION = "moorage"


def host() -> Host:
    found: Host = current_app.extensions[EXTENSION]
    return found
