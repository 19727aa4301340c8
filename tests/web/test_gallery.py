"""Every block in a browser: axe, no sideways scroll, small pages, nothing inline, our origin only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.measures import SHIFT, SMALLEST_TARGET, WIDER_THAN_THE_SCREEN
from tests.web import gallery

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with gallery.served() as found:
        yield found


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(("part", "width", "theme"), list(product(gallery.PARTS, (360, 1440), ("light", "dark"))))
def test_a_page_of_blocks(page: Page, origin: str, part: str, width: int, theme: str) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{origin}/{part}?theme={theme}")
    assert said == []
    assert all(url.startswith(origin) for url in asked)
    found = Axe().run(page).response["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []
    assert not page.evaluate(WIDER_THAN_THE_SCREEN)
    assert page.evaluate(SHIFT) < 0.05
    if width == 360:
        size, html = page.evaluate(SMALLEST_TARGET)
        assert size >= 24, html


@pytest.mark.parametrize("part", gallery.PARTS)
def test_a_page_is_small_and_has_nothing_inline(part: str) -> None:
    html = gallery.render(part)
    files = set(re.findall(r'(?:href|src)="/(static/(?:css|js)/[^"#]+)"', html))
    files |= {f"static/js/{name}" for name in ("fragments.js", "sse.js", "writer.js")}
    total = len(html.encode()) + sum((gallery.WEB / name).stat().st_size for name in files)
    assert total < 100_000
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", html)


def test_every_icon_that_is_used_exists() -> None:
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (gallery.WEB / "static/icons.svg").read_text()))
    html = "".join(gallery.render(part) for part in gallery.PARTS)
    from moorage_web.badges import BADGES

    used = set(re.findall(r"icons\.svg#([a-z]+)", html)) | {badge.icon for badge in BADGES.values()}
    templates = "".join(path.read_text() for path in (gallery.WEB / "templates").rglob("*.html"))
    used |= set(re.findall(r'\bicon(?:\(|=)"([a-z]+)"', templates))
    assert used <= drawn


def test_the_theme_is_kept_in_a_cookie_and_back(page: Page, origin: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{origin}/agents")
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "theme"] == ["dark"]
    assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Like the system").click()
    assert page.locator("html").get_attribute("data-theme") is None


def test_the_skip_link_and_focus_are_visible(page: Page, origin: str) -> None:
    page.goto(f"{origin}/installs")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    box = skip.bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert skip.evaluate("item => getComputedStyle(item).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_css_is_small() -> None:
    assert sum(path.stat().st_size for path in Path(gallery.WEB / "static/css").glob("*.css")) < 40_000
