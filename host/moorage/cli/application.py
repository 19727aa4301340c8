"""Finding the web application: by its entry point, since the host imports no web code."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from moorage.errors import MoorageError
from moorage.host import Host


def load_application(host: Host, port: int) -> Any:
    """The WSGI application of this installation, for a host; `port` is the one it will be called by."""
    for point in entry_points(group="moorage.web", name="app"):
        return point.load()(host, port=port)
    raise MoorageError("The web application is not installed.", hint="Install the distribution moorage as a whole.")
