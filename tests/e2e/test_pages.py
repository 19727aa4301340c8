"""Every page of the URL map, empty and full, in both themes, on a wide screen and on a phone: the bar of UI.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from moorage.cli.application import load_application
from moorage.server import free_port
from tests.measures import LONGEST_LINE, SHIFT, SMALLEST_TARGET, STICKING_OUT, WIDER_THAN_THE_SCREEN
from tests.screenshots import SKIFF, fill
from tests.site import Site, site
from tests.world import TOKEN, World, world

pytestmark = pytest.mark.browser
NOT_PAGES = ("/api/", "/v1/", "/static/", "/favicon.ico", "/healthz", "/readyz", "/metrics")
WIDTHS = {360: 780, 1440: 900}
AXE = {"rules": {"target-size": {"enabled": True}}}  # WCAG 2.2 AA, and off unless asked for
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


@dataclass
class Shown:
    """A running Moorage and the addresses of its pages; `filled` are the ones that `tests.screenshots` fills."""

    site: Site
    filled: dict[str, str] = field(default_factory=dict)

    def addresses(self) -> list[str]:
        """An address for each page of the URL map; a page that nobody shows fails here."""
        found = set(self.filled.values())
        paths = {urlsplit(address).path for address in found}
        for rule in load_application(self.site.host, self.site.port).url_map.iter_rules():
            if "GET" not in rule.methods or rule.rule.startswith(NOT_PAGES):
                continue
            if not rule.arguments:
                found.add(rule.rule)
            elif self.filled:
                assert any(path.startswith(rule.rule.partition("<")[0]) for path in paths), f"nothing shows {rule.rule}"
        found -= {"/login", "/chat/new"}  # without a password the first leads home; the second needs a provider
        found |= {f"/settings/llm/new?type={item.type}" for item in self.site.host.providers.types()}
        return sorted(found)


@pytest.fixture(scope="module")
def places() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture(scope="module", params=["empty", "full"])
def shown(request: pytest.FixtureRequest, places: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    full = request.param == "full"
    environment = {**places.environment, **({"HF_TOKEN": TOKEN} if full else {})}
    with site(tmp_path_factory.mktemp("home") / "home", environment) as made:
        yield Shown(made, fill(made.host, places) if full else {})


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> None:
    """One site serves all tests of this file, and its pools grow while it does."""


def faults(page: Page, address: str, width: int, theme: str) -> Iterator[str]:
    """What is wrong with a page, in words. Only the colours of a theme can be wrong in that theme alone."""
    for item in Axe().run(page, options=AXE if theme == "light" else COLOURS).response["violations"]:
        yield f"{address}: {item['id']}: {[node['html'] for node in item['nodes']][:3]}"
    if page.locator("h1").count() != 1:
        yield f"{address}: {page.locator('h1').count()} h1"
    shift = page.evaluate(SHIFT)
    if shift >= 0.05:
        yield f"{address}: moved by {shift}"
    for html in page.evaluate(STICKING_OUT):
        yield f"{address}: a button sticks out of its form: {html}"
    if page.evaluate(WIDER_THAN_THE_SCREEN):
        yield f"{address}: scrolls sideways"
    size, html = page.evaluate(SMALLEST_TARGET)
    if size < 24:
        yield f"{address}: a target of {size} px: {html}"
    length, line = page.evaluate(LONGEST_LINE)
    if width == 1440 and length > 80:
        yield f"{address}: a line of {length} characters: {line}"


@pytest.mark.parametrize(("theme", "width"), list(product(("light", "dark"), WIDTHS)))
def test_every_page(browser: Browser, shown: Shown, theme: str, width: int) -> None:
    context = browser.new_context(
        base_url=shown.site.url,
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme="dark" if theme == "dark" else "light",
    )
    wrong: list[str] = []
    context.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on(
        "request",
        lambda asked: wrong.append(f"asked {asked.url}") if not asked.url.startswith(shown.site.url + "/") else None,
    )
    page = context.new_page()
    for address in shown.addresses():
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        wrong.extend(faults(page, address, width, theme))
    context.close()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("theme", "width"), list(product(("light", "dark"), WIDTHS)))
def test_a_plan_with_what_is_wrong_in_it(
    browser: Browser, places: World, tmp_path: Path, theme: str, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]}, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    with site(tmp_path / "home", places.environment) as made:
        page.goto(f"{made.url}/models?q=skiff&open=huggingface:{SKIFF}")
        page.get_by_role("button", name="See the plan first").click()
        page.wait_for_url("**/installs/plan", wait_until="load")
        wrong = list(faults(page, "the plan", width, theme))
        page.get_by_label("In a nightly window").check()
        page.get_by_label("Time zone").fill("Middle/Earth")
        page.get_by_role("button", name="Install", exact=True).click()
        assert "Europe/Berlin" in page.locator("#when-zone-error").inner_text()
        page.wait_for_load_state("load")
        wrong += faults(page, "the plan with an error", width, theme)
    context.close()
    assert not wrong, "\n".join(wrong)


def test_a_hub_that_cannot_be_reached_is_said_once(browser: Browser, places: World, tmp_path: Path) -> None:
    """Before a search and during one; a command in a hint is shown as one."""
    page = browser.new_page()
    with site(
        tmp_path / "home", {**places.environment, "HF_ENDPOINT": f"http://127.0.0.1:{free_port('127.0.0.1')}"}
    ) as made:
        said = page.locator(".notice-attention", has_text="huggingface")
        page.goto(f"{made.url}/?q=skiff")
        expect(said).to_have_count(1, timeout=20_000)
        expect(said.locator("code")).to_have_text("make demo")
        page.goto(made.url)
        expect(said).to_have_count(1)
        page.get_by_role("searchbox").fill("boat")
        expect(said).to_contain_text("could not be searched", timeout=20_000)
        expect(said).to_have_count(1)
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_errors_and_the_door(browser: Browser, places: World, tmp_path: Path, theme: str) -> None:
    """The page of an error, and the form that asks for the password."""
    context = browser.new_context(
        viewport={"width": 360, "height": 780}, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    wrong: list[str] = []
    with site(tmp_path / "home", places.environment, password="a password of the tests") as closed:
        page.goto(f"{closed.url}/models")
        assert urlsplit(page.url).path == "/login"
        wrong += faults(page, "/login", 360, theme)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        assert page.get_by_role("alert").inner_text() == "This is not the password."
        wrong += faults(page, "/login, wrong", 360, theme)
        page.get_by_label("Password").fill("a password of the tests")
        page.get_by_role("button", name="Sign in").click()
        assert urlsplit(page.url).path == "/models"
        answer = page.goto(f"{closed.url}/agents/nothing-here")
        assert answer is not None
        assert answer.status == 404
        wrong += faults(page, "an error", 360, theme)
        page.goto(f"{closed.url}/settings")
        page.get_by_text("More", exact=True).click()
        page.get_by_role("button", name="Sign out").click()
        assert urlsplit(page.url).path == "/login"
    context.close()
    assert not wrong, "\n".join(wrong)
