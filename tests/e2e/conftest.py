"""A real browser, the demo world, and a whole Moorage in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.site import Site, site
from tests.world import TOKEN, World
from tests.world import world as make_world


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as places:
        yield places


@pytest.fixture
def running(tmp_path: Path, world: World) -> Iterator[Site]:
    """Moorage in the demo world, with a token for its Hub."""
    with site(tmp_path / "home", {**world.environment, "HF_TOKEN": TOKEN}) as open_site:
        yield open_site


@pytest.fixture
def context(browser: Browser, running: Site) -> Iterator[BrowserContext]:
    """A fresh browser profile that may speak to this Moorage only; what its pages complain about fails the test."""
    made = browser.new_context(base_url=running.url, viewport={"width": 1280, "height": 900})
    made.set_default_timeout(15_000)
    complaints: list[str] = []
    made.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    made.on("weberror", lambda error: complaints.append(str(error.error)))

    def foreign(request: object) -> None:
        url = request.url  # type: ignore[attr-defined]  # Playwright's Request
        if not url.startswith((running.url, "data:", "blob:")):
            complaints.append(f"a request to {url}")

    made.on("request", foreign)
    yield made
    made.close()
    assert not complaints


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
