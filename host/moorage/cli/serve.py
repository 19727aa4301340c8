"""`moorage serve`: the server and its web page."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import webbrowser
from pathlib import Path

import click

from moorage.cli.application import load_application
from moorage.host import Host
from moorage.http import RedactingFilter
from moorage.server import Server, check_port, free_port
from moorage.settings import DEFAULT_PORT, Settings, load_settings
from moorage.store.tinydb import read_holder


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port to listen on; 0 takes a free one. [{DEFAULT_PORT}]")
@click.option("--host", help="Address to listen on. Anything but this machine needs a password. [127.0.0.1]")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Data directory.")
@click.option("--safe-mode", is_flag=True, help="Start with Moorage's own plugins only.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser, where there is one.")
def command(port: int | None, host: str | None, home: Path | None, safe_mode: bool, open_page: bool) -> None:
    """Start the server and its web page."""
    settings = load_settings(port=port, host=host, home=home, safe_mode=safe_mode or None)
    settings.check_bind()
    settings = settings.model_copy(update={"port": settings.port or free_port(settings.host)})
    if read_holder(settings.home) is None:  # the one that runs already is a better thing to name than its port
        check_port(settings.host, settings.port)
    _log_to_stderr(settings.log_level)
    run(settings, open_page=open_page)
    # Everything is closed. The server's own threads may still be ending, and an interpreter that ends before they do
    # aborts with a message that helps nobody.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def run(settings: Settings, *, open_page: bool = False) -> None:
    """Open the host, serve until stopped, and close it again."""
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    shown = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else name  # noqa: S104 - compared, not bound
    url = f"http://{shown}:{settings.port}"
    with Host.open(settings, url=url) as host:
        for handler in logging.getLogger().handlers:
            handler.addFilter(RedactingFilter(host.secrets.known_values))
        app = load_application(host, settings.port)
        gc.freeze()  # what is loaded now stays: no collection needs to go through it again
        server = Server(app, settings.host, settings.port)

        def ready() -> None:
            click.echo(f"Moorage is at {url}")
            for notice in host.store.notices:
                click.echo(notice, err=True)
            for plugin in host.plugins.list():
                if plugin.state in ("failed", "incompatible"):
                    click.echo(f"Plugin {plugin.name}: {plugin.state}. {plugin.error}", err=True)
            if open_page and _has_display():
                webbrowser.open(url)
            threading.Thread(target=_check_sources, args=(host,), daemon=True, name="check-sources").start()

        server.run(ready)
    click.echo("Moorage has stopped.")


def _check_sources(host: Host) -> None:
    """Say in the console when a source cannot be reached; the pages say it too."""
    for status in host.search.check():
        if not status.ok:
            click.echo(f"{status.source}: {status.error} {status.hint or ''}".rstrip(), err=True)


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
