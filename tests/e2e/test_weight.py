"""What a page weighs, that nothing in it is inline, and that its first bytes wait for nobody else."""

from __future__ import annotations

import re
import socket
import time
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.fakes.faults import Fault
from tests.screenshots import fill
from tests.site import Site
from tests.world import World

LIMIT = 100_000
INLINE = re.compile(r"<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|<script(?![^>]*\ssrc=)|javascript:", re.IGNORECASE)
FILES = re.compile(r'(?:href|src)="(/static/(?:css|js)/[^"#?]+)')
IMPORTS = re.compile(r'from "(\./[^"]+)"')
SOON = 0.5


def files_of(client: httpx.Client, html: str) -> dict[str, int]:
    """The style sheets and modules that a page loads, also through one another, and their sizes."""
    found: dict[str, int] = {}
    wanted = FILES.findall(html)
    while wanted:
        path = wanted.pop()
        if path in found:
            continue
        text = client.get(path).raise_for_status().text
        found[path] = len(text.encode())
        wanted += [urljoin(path, name) for name in IMPORTS.findall(text)]
    return found


@pytest.mark.engine
def test_every_page_is_small_and_has_nothing_inline(running: Site, world: World) -> None:
    pages = fill(running.host, world)
    with httpx.Client(base_url=running.url, timeout=30) as client:
        for path in pages.values():
            html = client.get(path).raise_for_status().text
            files = files_of(client, html)
            assert any(name.endswith("base.css") for name in files)
            assert len(html.encode()) + sum(files.values()) <= LIMIT, (path, len(html.encode()), files)
            assert not INLINE.search(html), (path, INLINE.search(html))


def first_bytes(url: str, needle: bytes, seconds: float) -> tuple[float, bytes]:
    """How long it took until `needle` had come over a raw socket, and all that had come by then."""
    address = urlsplit(url)
    began = time.monotonic()
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=seconds) as line:
        line.sendall(f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        body = b""
        while needle not in body:
            piece = line.recv(65536)
            assert piece, body[-500:]
            body += piece
        return time.monotonic() - began, body


@pytest.fixture
def warm(running: Site) -> Site:
    """Templates are compiled once, at their first use."""
    for path in ("/", "/models"):
        httpx.get(running.url + path, timeout=30).raise_for_status()
    return running


@pytest.mark.parametrize("path", ["/", "/models"])
def test_the_form_is_there_before_a_slow_hub_has_answered(warm: Site, world: World, path: str) -> None:
    world.hub.faults.append(Fault(path="/api/models.*", times=None, delay=3.0))
    seconds, body = first_bytes(f"{warm.url}{path}?q=skiff", b'name="q"', 10)
    assert seconds < SOON
    assert b"</head>" in body
    assert b'id="results-list"' not in body
    began = time.monotonic()
    assert 'id="results-list"' in httpx.get(f"{warm.url}{path}?q=skiff", timeout=30).text
    assert time.monotonic() - began > 1.0, "the Hub was not slow, so nothing was proved"


def test_local_models_do_not_wait_for_a_dead_server(warm: Site, world: World) -> None:
    """A server that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        warm.host.providers.create("Silent", "ollama", {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        seconds, body = first_bytes(f"{warm.url}/models", b"<h1>Local models</h1>", 10)
        assert seconds < SOON
        assert b"</head>" in body
        began = time.monotonic()
        page = httpx.get(f"{warm.url}/models", timeout=30).text
        assert "Silent" in page
        assert 'name="q"' in page
        assert "It has not answered yet." in page
        assert time.monotonic() - began < 8.0, "one dead server holds up the page"
