"""Saved searches in a real browser: saved from the results, something new appears, and the rule installs it."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from moorage.host import Host
from moorage.models import Find
from tests.e2e.test_pages import faults
from tests.e2e.test_weight import too_heavy
from tests.fakes.repo import Repo
from tests.process import serving
from tests.site import Site
from tests.world import TOKEN, World, real_model

NEW = "lighthouse/SmolLM2-135M-Fresh-GGUF"
SECONDS = 60_000


def appears(world: World, id: str = NEW) -> None:
    """The real model under another name, newer than all that is there."""
    model = real_model()
    world.hub.add(
        Repo(
            id=id,
            files={model.name: model},
            tags=("gguf", "license:apache-2.0"),
            created=datetime.now(UTC),
            num_parameters=134_515_008,
            gguf={"total": 134_515_008, "architecture": "llama", "context_length": 8192},
        )
    )


def save(page: Page, name: str) -> None:
    page.goto("/models?q=smollm2")
    page.get_by_text("Save this search").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile(r"/searches#search-\w+"))


@pytest.mark.browser
@pytest.mark.engine
def test_what_appears_is_found_installed_and_read(page: Page, running: Site, world: World) -> None:
    save(page, "Small ones")
    small = page.get_by_role("article", name="Small ones")
    for words in ("smollm2", "Format: gguf", "installs nothing", "Nothing new."):
        expect(small).to_contain_text(words)
    small.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Models a day, at most")).to_be_hidden()
    page.get_by_label("Install what it finds, if it fits").check()
    page.get_by_label("Install on").select_option("builtin")
    page.get_by_label("Size in GB, at most").fill("0.5")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".facts")).to_contain_text("installs up to 1 a day on Built-in engine, of at most 500 MB")

    appears(world)
    appears(world, "lighthouse/SmolLM2-135M-Later-GGUF")
    page.get_by_role("link", name="All saved searches").click()
    small.get_by_role("button", name="Run now").click()
    expect(small).to_contain_text("2 new models", timeout=SECONDS)
    row = small.get_by_role("listitem").filter(has_text=NEW)
    expect(row.locator(".badge", has_text="Installed")).to_be_visible(timeout=SECONDS)
    expect(small).to_contain_text("Not installed yet: The limit of 1 a day is reached. It is tried again.")
    [install] = running.host.installs.list().items
    assert (install.model, install.asked_by, install.state) == (NEW, "schedule", "installed")
    assert install.proof is not None
    assert install.proof.chat is not None
    assert install.proof.chat.ok

    page.goto("/")
    page.get_by_role("link", name="2 new models").click()
    small.get_by_role("link", name=NEW).click()
    expect(page.locator(".panel")).to_be_visible()
    page.goto("/searches")
    small.get_by_role("button", name="Mark as read").click()
    expect(small).to_contain_text("Nothing new.")
    page.goto("/")
    expect(page.get_by_role("link", name="2 new models")).to_have_count(0)


@pytest.mark.browser
def test_another_tab_sees_what_is_new_and_a_phone_shows_it(browser: Browser, running: Site, world: World) -> None:
    search = running.host.saved_searches.create({"name": "Small ones", "query": {"q": "smollm2"}})
    context = browser.new_context(base_url=running.url, viewport={"width": 360, "height": 780})
    page = context.new_page()
    page.goto("/searches")
    small = page.get_by_role("article", name="Small ones")
    expect(small).to_contain_text("Nothing new.")
    appears(world)
    running.host.saved_searches.run(search.id)
    expect(small).to_contain_text("1 new model")
    expect(page.locator("#announce")).to_have_text("Small ones: 1 new model")
    wrong: list[str] = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of the two
        for address in ("/searches", f"/searches/{search.id}", "/models?q=smollm2"):
            page.goto(address)
            if "q=" in address:
                page.get_by_text("Save this search").click()
            wrong += faults(page, address, 360, theme)
    context.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def plain(browser: Browser, running: Site) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=running.url, java_script_enabled=False)
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.mark.browser
def test_without_javascript(plain: BrowserContext, running: Site, world: World) -> None:
    page = plain.new_page()
    save(page, "Small ones")
    small = page.get_by_role("article", name="Small ones")
    appears(world)
    small.get_by_role("button", name="Run now").click()
    expect(small).to_contain_text("1 new model")
    expect(small.get_by_role("link", name=NEW)).to_be_visible()
    small.get_by_role("button", name="Mark as read").click()
    expect(small).to_contain_text("Nothing new.")
    small.get_by_role("link", name="Small ones").click()
    expect(page.get_by_role("link", name=NEW)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#name-error")).to_be_visible()
    page.goto("/searches")
    small.get_by_title("Remove Small ones").click()
    small.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("No saved searches yet")).to_be_visible()
    assert running.host.saved_searches.list().items == ()


def test_killed_while_it_runs_it_takes_what_it_may_and_no_more(tmp_path: Path, world: World, soak: bool) -> None:
    """Each find is counted before its install is asked for; a kill between the two loses neither."""
    home, env, chance = tmp_path / "home", {**world.environment, "HF_TOKEN": TOKEN}, random.Random(7)
    far = {"from": "03:00", "to": "03:01", "days": [f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()]}
    rule = {"target": "builtin", "maxPerDay": 4, "window": {**far, "timeZone": "UTC"}}
    with serving(home, env) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        made = client.post("/api/saved-searches", json={"name": "a", "query": {"q": "smollm2"}, "rule": rule}).json()
    for number in range(7):
        appears(world, f"lighthouse/SmolLM2-135M-{number}-GGUF")
    path = f"/api/saved-searches/{made['id']}"

    def run(url: str) -> None:
        with suppress(httpx.HTTPError):  # it is killed meanwhile
            httpx.post(f"{url}{path}/run", timeout=30)

    for _ in range(40 if soak else 4):
        with serving(home, env) as server:
            asking = threading.Thread(target=run, args=(server.url,))
            asking.start()
            asking.join(chance.uniform(0.0, 0.4))
            server.kill()
            asking.join(30)
    with serving(home, env) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        found = client.post(f"{path}/run").json()
        installs = client.get("/api/installs").json()["installs"]
    assert len(found["news"]) == 7
    assert len(installs) == len({install["model"] for install in installs}) == 4
    assert {find["install"] for find in found["news"] if find["install"]} == {install["id"] for install in installs}
    assert all(find["waits"] for find in found["news"] if not find["install"])


def test_the_pages_are_small_with_many_searches_that_found_much(running: Site) -> None:
    host: Host = running.host
    found = datetime.now(UTC) - timedelta(hours=1)
    for number in range(12):
        query = {"q": "mistralai-community", "author": "mistralai-community", "license": "apache-2.0", "format": "gguf"}
        rule = {"maxBytes": 8 * 10**9, "window": {"from": "01:00", "to": "06:00", "timeZone": "Europe/Berlin"}}
        made = host.saved_searches.create({"name": f"{number} {'x' * 100}", "query": query, "rule": rule})
        finds = tuple(
            Find(
                source="huggingface",
                id=f"mistralai-community/Harbour-Instruct-24B-v{each:05}-GGUF",
                found_at=found,
                parameters=24 * 10**9,
                downloads=1234567,
                license="apache-2.0",
                gated="manual",
                has_gguf=True,
                skipped="It would fit tightly, and the rule takes only what fits well.",
            )
            for each in range(200)
        )
        host.saved_searches._memories.change(
            made.id, lambda memory, finds=finds: memory.model_copy(update={"news": finds})
        )
        host.saved_searches._looks.change(made.id, lambda look: look.model_copy(update={"unread": 200}))
    with httpx.Client(base_url=running.url, timeout=30) as client:
        for path in ("/searches", f"/searches/{made.id}"):
            assert not too_heavy(client, path)
            assert "Show more" in client.get(path).text
