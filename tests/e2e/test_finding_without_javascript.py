"""Finding a model with forms and links alone, wide and narrow: the same questions, the same answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_finding import SIZES, boats, chip, line, row, rows
from tests.screenshots import SKIFF
from tests.site import Site
from tests.world import REAL, SERVED, World

pytestmark = pytest.mark.browser


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, running: Site) -> Iterator[Page]:
    width, height = SIZES[request.param]
    context = browser.new_context(
        base_url=running.url, viewport={"width": width, "height": height}, java_script_enabled=False
    )
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def search(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("button", name="Search", exact=True).click()


def test_chips_and_filters_and_less(page: Page) -> None:
    page.goto("/")
    search(page, "g")
    chip(page, "GGUF").click()
    chip(page, "Open").click()
    expect(page).to_have_url(re.compile("format=gguf.*gated=false|gated=false.*format=gguf"))
    expect(rows(page)).to_have_count(2)
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Author").fill("harbour")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(rows(page)).to_have_count(1)
    chip(page, "Author: harbour").click()
    expect(rows(page)).to_have_count(2)
    search(page, "skiff sailing")
    page.locator(".empty").get_by_text("Without: Open").click()
    page.get_by_role("link", name="Search for “skiff”").click()
    expect(row(page, SKIFF)).to_be_visible()
    expect(chip(page, "GGUF")).to_have_class("chip chip-on")


def test_page_after_page_and_where_it_runs(page: Page, world: World) -> None:
    ids = boats(world, 24)
    page.goto("/?q=boat&maxParameters=4B")
    expect(rows(page)).to_have_count(10)
    expect(line(page, ids[0], "Through the API")).to_contain_text("No inference provider serves it now.")
    expect(line(page, ids[0], "Through the API").get_by_role("button")).to_be_disabled()
    page.get_by_role("link", name="More results").click()
    page.get_by_role("link", name="More results").click()
    expect(rows(page)).to_have_count(4)
    expect(page.get_by_role("link", name="More results")).to_have_count(0)
    line(page, ids[21], "On Built-in engine").get_by_role("link", name="See where it runs").click()
    expect(row(page, ids[21]).locator(".panel")).to_contain_text("Install it")
    expect(line(page, ids[21], "On Built-in engine")).to_contain_text(re.compile("Q4_K_M.*2 MB.*Fits", re.DOTALL))
    row(page, ids[21]).locator("[data-panel]").click()
    expect(page.locator(".panel")).to_have_count(0)
    expect(rows(page)).to_have_count(4)


def test_what_the_list_knows_is_on_the_lines(page: Page) -> None:
    page.goto("/?q=pilot")
    expect(line(page, SERVED, "Through the API")).to_contain_text("groq")
    expect(line(page, SERVED, "Install")).to_contain_text("It has no GGUF file.")
    line(page, SERVED, "Through the API").get_by_role("link", name=re.compile("^Use")).click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(SERVED)


def test_the_panel_is_shown_for_a_target_and_a_context(page: Page, running: Site, world: World) -> None:
    running.host.providers.create("Workshop server", "ollama", {"endpoint": world.ollama.url})
    page.goto("/models?q=smollm2&sort=likes")
    row(page, REAL).locator("[data-panel]").click()
    expect(page.get_by_role("button", name="Install on Workshop server")).to_be_enabled()
    page.get_by_label("Install on").select_option("builtin")
    page.get_by_label("Context").select_option("8192")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("With 8K of context")).to_be_visible()
    expect(page).to_have_url(re.compile("sort=likes.*context=8192"))
    expect(page.get_by_role("button", name="Install on Built-in engine")).to_be_enabled()
    page.get_by_role("button", name="See the plan first").click()
    expect(page.locator("dl")).to_contain_text("Built-in engine")


def test_a_failure_says_what_to_do(page: Page, world: World) -> None:
    world.hub.stop()
    page.goto(f"/?q=skiff&open=huggingface:{SKIFF}")
    expect(page.get_by_text("could not be searched")).to_be_visible()
    expect(page.locator(".panel").get_by_role("link", name="Try again")).to_be_visible()


@pytest.fixture(params=["provider", "agent"])
def form(request: pytest.FixtureRequest, page: Page, running: Site) -> Iterator[Page]:
    if request.param == "provider":
        page.goto("/settings/llm/new?type=huggingface")
    else:
        page.goto("/agents/new")
        page.get_by_text("A type and model of its own").click()
    page.get_by_label("Name", exact=True).fill("Kept")
    yield page
    expect(page.get_by_label("Name", exact=True)).to_have_value("Kept")
    expect(page.locator("[data-query]")).to_have_value(SERVED)
    page.get_by_role("button", name="Save").click()
    host = running.host
    if request.param == "agent":
        assert [(agent.name, agent.llm.model) for agent in host.agents.list().items] == [("Kept", SERVED)]
    else:
        saved = [(item.name, item.model) for item in host.providers.list().items if not item.preset]
        assert saved == [("Kept", SERVED)]


def test_a_search_inside_of_a_form(form: Page, world: World) -> None:
    boats(world, 14)
    field = form.locator("[data-query]")
    expect(chip(form, "Served by a provider")).to_have_class("chip chip-on")
    field.fill("boat sailing")
    form.get_by_role("button", name="Search", exact=True).click()
    expect(form.get_by_text("Nothing found")).to_be_visible()
    chip(form, "Served by a provider").click()
    expect(chip(form, "Served by a provider")).to_have_class("chip")
    form.get_by_role("button", name="Search for “boat”").click()
    expect(field).to_have_value("boat")
    expect(rows(form)).to_have_count(10)
    chip(form, "Up to 4B").click()
    form.get_by_role("button", name="More results").click()
    expect(rows(form)).to_have_count(4)
    last = rows(form).last
    expect(last.get_by_role("button", name="Use this model")).to_be_disabled()
    last.locator("[data-panel]").click()
    expect(rows(form)).to_have_count(4)
    expect(form.locator(".panel").get_by_role("link", name="Install it on this machine instead")).to_be_visible()
    expect(chip(form, "Up to 4B")).to_have_class("chip chip-on")
    chip(form, "Up to 4B").click()
    field.fill("pilot")
    form.get_by_role("button", name="Search", exact=True).click()
    row(form, SERVED).locator("[data-panel]").click()
    expect(form.locator(".panel")).to_contain_text("novita")
    form.locator(".panel").get_by_role("button", name="Use this model").click()
    expect(rows(form)).to_have_count(0)
