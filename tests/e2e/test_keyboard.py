"""The main job without a mouse: focus is always visible, and reaches everything in the order of the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.faults import Fault
from tests.screenshots import SKIFF
from tests.site import Site
from tests.world import REAL, World

pytestmark = pytest.mark.browser
# Whether what has the focus, or the frame around it, is marked, and whether it is on the page at all.
FOCUS = """() => {
  const at = document.activeElement;
  const marked = [at, at.closest('.composer'), at.closest('label')].filter(Boolean);
  const box = at.getBoundingClientRect();
  return {
    name: (at.getAttribute('aria-label') ?? at.textContent.trim() ?? '') || at.name || at.tagName,
    visible: box.width > 0 && box.right > 0 && box.bottom > 0,
    outlined: marked.some(item => getComputedStyle(item).outlineStyle !== 'none'),
  };
}"""


def walk(page: Page, wanted: str, *, limit: int = 60, key: str = "Tab") -> list[str]:
    """Press a key until what has the focus is called `wanted`; the names on the way. All of them must be visible."""
    names: list[str] = []
    for _ in range(limit):
        page.keyboard.press(key)
        focus = page.evaluate(FOCUS)
        names.append(focus["name"])
        assert focus["visible"], names
        assert focus["outlined"], names
        if re.search(wanted, focus["name"]):
            return names
    pytest.fail(f"{wanted} was not reached: {names}")


def test_search_panel_and_install(page: Page, running: Site) -> None:
    page.goto("/models")
    names = walk(page, "Find a model$", limit=40)
    assert names[0] == "Skip to content"
    walk(page, "Find a model$", limit=40)
    page.keyboard.type("smollm2")
    expect(page.locator("#results-list .result")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUS)["name"] == REAL
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text("recommended")).to_be_visible()
    assert page.evaluate(FOCUS)["name"] == REAL, "opening the panel does not move the focus"
    walk(page, "^Install on")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/installs"))
    expect(page.locator(".install-row").first).to_contain_text(REAL)


def test_a_panel_is_closed_where_it_was_opened(page: Page) -> None:
    page.goto("/?q=skiff")
    link = page.locator("#results-list a").first
    link.focus()
    page.keyboard.press("Enter")
    expect(link).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".panel")).to_be_visible()
    page.keyboard.press("Enter")
    expect(link).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".panel")).to_have_count(0)
    expect(link).to_be_focused()


def test_the_agent_form_shows_what_was_chosen(page: Page) -> None:
    page.goto("/agents/new")
    expect(page.get_by_label("Provider", exact=True)).to_be_visible()
    expect(page.get_by_label("Type", exact=True)).to_be_hidden()
    page.get_by_label("A saved provider").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Type", exact=True)).to_be_visible()
    expect(page.get_by_label("Provider", exact=True)).to_be_hidden()
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_label("Type", exact=True).select_option("ollama")
    expect(page.get_by_label(re.compile("Endpoint|Server|Address")).first).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Kept")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_label("Type", exact=True).select_option("huggingface")
    expect(page.get_by_role("button", name="Search")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Kept")


def test_the_sheet_of_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto("/")
    more = page.locator("summary", has_text="More")
    more.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Plugins")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Plugins")).to_be_hidden()
    expect(more).to_be_focused()


def test_the_queue_keeps_the_focus_on_what_moved(page: Page, running: Site, world: World) -> None:
    world.hub.cdn.faults.append(Fault(times=None, bytes_per_second=200_000))
    ollama = running.host.providers.create("Workshop", "ollama", {"endpoint": world.ollama.url})
    asked = [
        running.host.installs.request("huggingface", SKIFF, target=ollama.id, quantization=label)[0].id
        for label in ("Q2_K", "Q4_K_M", "Q5_K_M", "Q8_0")
    ]
    page.goto("/installs")
    page.locator(f"#install-{asked[3]}").get_by_role("button", name="Move up").focus()
    page.keyboard.press("Enter")
    button = page.locator(f"#install-{asked[3]}").get_by_role("button", name="Move up")
    expect(page.locator("section[aria-labelledby=section-queue] > ul > li").nth(1)).to_have_id(f"install-{asked[3]}")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("section[aria-labelledby=section-queue] > ul > li").first).to_have_id(f"install-{asked[3]}")
    expect(page.locator(f"#install-{asked[3]} a.name")).to_be_focused()
    assert [item.id for item in running.host.installs.queue()] == [asked[3], asked[1], asked[2]]
    for id in asked:
        running.host.installs.cancel(id)
