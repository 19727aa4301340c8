"""`make screenshots`: every page, desktop and phone, light and dark, into screenshots/. The README shows two."""

from __future__ import annotations

import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser

from moorage.host import Host
from moorage.models import Install, WhenUpdated, WhenWindow, Window
from tests.browser import launched
from tests.fakes.faults import Fault
from tests.fakes.repo import Repo, SparseFile
from tests.site import Site, site
from tests.world import REAL, SERVED, TOKEN, World, world

ROOT = Path(__file__).parents[1]
SIZES = {"desktop": (1440, 900), "phone": (360, 780)}
SKIFF = "harbour/Skiff-360M-Instruct-GGUF"


def main() -> None:
    folder = ROOT / "screenshots"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with tempfile.TemporaryDirectory() as home, world() as places, launched() as browser:
        environment = {**places.environment, "HF_TOKEN": TOKEN}
        with site(Path(home) / "empty", environment) as empty:
            take(browser, empty, {"home-first": "/", "agents-empty": "/agents", "installs-empty": "/installs"}, folder)
        with site(Path(home) / "full", environment) as full:
            pages = fill(full.host, places)
            take(browser, full, pages, folder)


def take(browser: Browser, site: Site, pages: dict[str, str], folder: Path) -> None:
    for theme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
            page = context.new_page()
            for name, path in pages.items():
                page.goto(site.url + path, wait_until="load")
                page.wait_for_timeout(250)
                page.screenshot(path=folder / f"{name}-{size}-{theme}.png", full_page=size == "desktop")
            context.close()


def fill(host: Host, places: World) -> dict[str, str]:
    """Things to look at, made through the services as a person would; the pages that show them."""
    places.hub.cdn.faults.append(Fault(times=1, skip=1, bytes_per_second=2_000_000))
    ollama = host.providers.create("Workshop server", "ollama", {"endpoint": places.ollama.url})
    served = host.providers.create("Pilot at Hugging Face", "huggingface", {"model": SERVED, "routing": "fastest"})
    install, _ = host.installs.request("huggingface", REAL, target="builtin", asked_by="browser")
    wait(host, install)
    host.installs.request("huggingface", SKIFF, target=ollama.id, quantization="Q4_K_M", asked_by="browser")
    for quantization in ("Q5_K_M", "Q8_0"):  # they wait for the first one
        host.installs.request("huggingface", SKIFF, target=ollama.id, quantization=quantization, asked_by="browser")
    running, _ = host.installs.request("huggingface", SKIFF, target="builtin", quantization="Q8_0", asked_by="browser")
    paused, _ = host.installs.request("huggingface", SKIFF, target="builtin", quantization="F16", asked_by="browser")
    host.installs.pause(paused.id)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    host.installs.request(
        "huggingface", SKIFF, target="builtin", quantization="Q2_K", when=tomorrow, asked_by="browser"
    )
    hours = [f"{(datetime.now(UTC).hour + later) % 24:02}:00" for later in (2, 7)]
    window = WhenWindow(window=Window(from_=hours[0], to=hours[1]))
    waiting, _ = host.installs.request(
        "huggingface", SKIFF, target="builtin", quantization="Q5_K_M", when=window, asked_by="browser"
    )
    host.installs.on_update(install.id, WhenUpdated(on_update="tell"))
    name = host.installs.get(install.id).model_name
    pilot = host.agents.create(
        {
            "name": "Harbour pilot",
            "instructions": "You help boats into the harbour. Answer in short sentences.",
            "llm": {"provider": served.id},
            "tools": ["current_time"],
        }
    )
    local = host.agents.create({"name": "Small and local", "llm": {"provider": "builtin", "model": name}, "tools": []})
    small = {"format": "gguf", "maxParameters": 4_000_000_000, "sort": "updated"}
    search = host.saved_searches.create({"name": "Small boats", "query": small, "rule": {"maxBytes": 200_000_000}})
    host.saved_searches.create({"name": "Pilots", "query": {"q": "pilot", "servedBy": "all"}, "daily": False})
    places.hub.add(*(sloop(number) for number in range(1, 6)))
    host.saved_searches.run(search.id)
    for text in ("What should I check before mooring?", "What is the current time at the pier?"):
        turn = host.chat.send(pilot.id, text)
        for _ in turn.run():
            pass
    return {
        "home": "/",
        "search": "/?q=skiff",
        "panel": f"/models?q=skiff&open=huggingface:{SKIFF}",
        "panel-served": f"/?q=pilot&open=huggingface:{SERVED}",
        "models": "/models",
        "searches": "/searches",
        "searches-one": f"/searches/{search.id}",
        "searches-new": "/searches/new?q=skiff&format=gguf",
        "installs": "/installs",
        "install": f"/installs/{install.id}",
        "install-scheduled": f"/installs/{waiting.id}",
        "install-running": f"/installs/{running.id}",
        "llm": "/settings/llm",
        "provider": f"/settings/llm/{served.id}",
        "provider-new": "/settings/llm/new?type=ollama",
        "plugins": "/plugins",
        "settings": "/settings",
        "agents": "/agents",
        "agent": f"/agents/{pilot.id}",
        "agent-local": f"/agents/{local.id}",
        "agent-new": "/agents/new",
        "chat-new": f"/chat/new?provider={ollama.id}&model=another",
        "chat": f"/chat/{turn.conversation}",
    }


def sloop(number: int) -> Repo:
    """A model that comes after a search was saved."""
    return Repo(
        id=f"northwind/Sloop-{number}B-Instruct-GGUF",
        files={f"Sloop-{number}B-Q4_K_M.gguf": SparseFile(number * 150_000_000, number, head=b"GGUF")},
        tags=("gguf", "license:apache-2.0"),
        downloads=120 * number,
        gated="auto" if number == 3 else False,
        created=datetime.now(UTC),
        num_parameters=number * 900_000_000,
        gguf={"total": number * 900_000_000, "architecture": "llama", "context_length": 8192},
    )


def wait(host: Host, install: Install) -> None:
    until = time.monotonic() + 60
    while not host.installs.get(install.id).ended and time.monotonic() < until:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
