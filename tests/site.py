"""A whole Moorage on a free port of this machine, in this process: host, web application, server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moorage.cli.application import load_application
from moorage.host import Host
from moorage.plugins.discovery import Discover, installed
from moorage.server import Server, free_port
from moorage.settings import Settings


@dataclass
class Site:
    host: Host
    url: str
    port: int


@contextmanager
def site(
    home: Path, environment: dict[str, str] | None = None, *, discover: Discover = installed, **settings: object
) -> Iterator[Site]:
    """Open, serve until the block ends, and close again."""
    port = free_port("127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    values = Settings.model_validate({"home": home, "port": port, **settings})
    given = {"OLLAMA_HOST": "http://127.0.0.1:1", **(environment or {})}
    with Host.open(values, url=url, discover=discover, environment=given) as host:
        server = Server(load_application(host, port), "127.0.0.1", port)
        ready = threading.Event()
        thread = threading.Thread(target=server.run, args=(ready.set,), name="site", daemon=True)
        thread.start()
        try:
            assert ready.wait(10), "the server did not start"
            yield Site(host, url, port)
        finally:
            server.stop()
            thread.join(10)
