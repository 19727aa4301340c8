"""What a page weighs, that nothing in it is inline, and that its first bytes wait for nobody else."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from moorage.clock import utc_now
from moorage.models import Install, InstallFailure, State, WhenWindow, Window
from moorage.store.files import CollectionDatabase
from moorage.store.tinydb import TinyDBStore
from tests.fakes.faults import Fault
from tests.fakes.repo import Repo, SparseFile
from tests.screenshots import fill
from tests.site import Site, site
from tests.world import TOKEN, World

LIMIT = 100_000
INLINE = re.compile(r"<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|<script(?![^>]*\ssrc=)|javascript:", re.IGNORECASE)
FILES = re.compile(r'(?:href|src)="(/static/(?:css|js)/[^"#?]+)')
IMPORTS = re.compile(r'from "(\./[^"]+)"')
ROW = re.compile(r'<li id="install-(install-[^"]+)"')
NEXT = re.compile(r'href="([^"]+)" rel="next"')
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


def too_heavy(client: httpx.Client, path: str) -> str | None:
    """What is wrong with the weight of a page, in words."""
    html = client.get(path).raise_for_status().text
    files = files_of(client, html)
    assert any(name.endswith("base.css") for name in files)
    weight = len(html.encode()) + sum(files.values())
    return f"{path}: {len(html.encode())} and {files}" if weight > LIMIT else None


@pytest.mark.engine
def test_every_page_is_small_and_has_nothing_inline(running: Site, world: World) -> None:
    pages = fill(running.host, world)
    with httpx.Client(base_url=running.url, timeout=30) as client:
        for path in pages.values():
            assert not too_heavy(client, path)
            html = client.get(path).raise_for_status().text
            assert not INLINE.search(html), (path, INLINE.search(html))


def test_a_search_is_small_with_long_names_and_many_files(running: Site, world: World) -> None:
    """Ten gated models with names as long as they get, one of them open, with forty files and their reasons."""
    running.host.providers.create("Workshop server", "ollama", {"endpoint": world.ollama.url})
    ids = [f"mistralai-community/Harbour-Instruct-24B-v0.{number:02}-GGUF" for number in range(20)]
    kinds = [f"UD-{kind}{bits}_K" for kind in ("Q", "IQ") for bits in range(2, 7)]
    labels = [f"{kind}_{size}" for kind in kinds for size in ("S", "M", "L", "XL")]
    for place, id in enumerate(ids):
        files = {
            f"Harbour-Instruct-24B-v0.3-{label}.gguf": SparseFile(2_000_000 + seed, seed, head=b"GGUF")
            for seed, label in enumerate(labels if id == ids[4] else labels[:1])
        }
        gguf = {"total": 24_000_000_000, "architecture": "llama", "context_length": 131_072}
        tags = ("gguf", "license:apache-2.0")
        world.hub.add(Repo(id, files, 120_000 - place, 3_400, tags=tags, gated="manual", gguf=gguf))
    filters = "q=harbour-instruct&format=gguf&minParameters=1B&author=mistralai-community&license=apache-2.0"
    with httpx.Client(base_url=running.url, timeout=60) as client:
        for path in ("/", "/models"):
            address = f"{path}?{filters}&open=huggingface:{ids[4]}&context=8192"
            html = client.get(address).text
            assert html.count('class="result"') == 10
            assert html.count('class="file"') == 12
            assert not too_heavy(client, address)
            assert not INLINE.search(html)


def crowd() -> Iterator[Install]:
    """1,000 that are scheduled, the first one last; 2,000 in the history; more than fits that need a person."""
    states: list[tuple[State, int]] = [("scheduled", 1000), ("installed", 1500), ("cancelled", 500), ("failed", 100)]
    now = utc_now()
    days = (f"{now + timedelta(days=3):%a}".lower(),)  # not now, in no time zone
    for state, number in [*states, ("paused", 100)]:
        for each in range(number):
            tomorrow = now + timedelta(days=2, seconds=-each)
            window = Window.model_validate(
                {"from": f"{each % 24:02}:{each % 60:02}", "to": "06:31", "days": days, "timeZone": "Asia/Tokyo"}
            )
            yield Install(
                id=f"install-{state[:4]}{each:08}",
                version=1,
                source="huggingface",
                model=f"mistralai-community/Harbour-Instruct-24B-v{each:05}-GGUF",
                file=f"m{each}-Q4_K_M.gguf",
                quantization="Q4_K_M",
                target="builtin",
                road="import",
                state=state,
                completed=1_000_000,
                total=4_000_000_000,
                when=(WhenWindow(window=window) if each % 2 else tomorrow) if state == "scheduled" else "now",
                starts_at=tomorrow if state == "scheduled" else None,
                created_at=now - timedelta(days=1, seconds=-each),
                order=float(each),
                model_name=f"harbour-{each}" if state == "installed" else None,
                error=InstallFailure(code="hub", message="The Hub said no.", hint="Ask again.")
                if state == "failed"
                else None,
            )


@pytest.fixture
def crowded(tmp_path: Path, world: World) -> Iterator[Site]:
    """Written whole, as thousands of durable writes would take minutes."""
    home = tmp_path / "home"
    TinyDBStore(home, url=None).close()
    with CollectionDatabase(home / "store" / "installs.json") as database:
        database.storage.write({"documents": {item.id: item.model_dump(mode="json") for item in crowd()}})
    with site(home, {**world.environment, "HF_TOKEN": TOKEN}) as opened:
        yield opened


def test_every_page_is_small_with_thousands_of_installs(crowded: Site) -> None:
    paths = ["/", "/chat", "/agents", "/agents/new", "/models", "/installs", "/installs/install-fail00000007"]
    paths += [f"/installs?section={key}" for key in ("attention", "queue", "scheduled", "history")]
    paths += ["/settings", "/settings/llm", "/settings/llm/new", "/plugins"]
    with httpx.Client(base_url=crowded.url, timeout=30) as client:
        heavy = [found for path in paths if (found := too_heavy(client, path))]
        assert not heavy
        part = client.get("/installs?fragment=sections").raise_for_status().content
        assert len(part) < 60_000, "each open tab asks for it once a second while things happen"


def test_all_scheduled_ones_are_reached_by_links_and_the_soonest_is_first(crowded: Site) -> None:
    with httpx.Client(base_url=crowded.url, timeout=30) as client:
        html = client.get("/installs").text
        first = ROW.findall(html[html.index('id="section-scheduled"') :])[0]
        assert first == "install-sche00000999", "asked for last, and the next to start"
        assert '<span class="muted">1,000</span>' in html
        assert '<span class="muted">2,000</span>' in html
        for key, number in (("scheduled", 1000), ("queue", 100), ("attention", 100)):
            assert f'href="/installs?section={key}"' in html
            found = rows_of(client, f"/installs?section={key}")
            assert len(found) == len(set(found)) == number
        assert rows_of(client, "/installs?section=scheduled") == [
            f"install-sche{each:08}" for each in range(999, -1, -1)
        ]
        assert client.get("/installs?section=scheduled&cursor=nonsense").status_code == 400


def rows_of(client: httpx.Client, path: str) -> list[str]:
    """The ids of all rows, page after page."""
    found: list[str] = []
    wanted: str | None = path
    while wanted:
        html = client.get(wanted).raise_for_status().text
        found += ROW.findall(html)
        link = NEXT.search(html)
        wanted = link[1].replace("&amp;", "&") if link else None
    return found


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
