"""The main jobs with forms and links alone: scripts are switched off in the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from moorage.models import WhenUpdated
from tests.fakes.faults import Fault
from tests.screenshots import SKIFF
from tests.site import Site, site
from tests.world import REAL, SERVED, TOKEN, World

pytestmark = pytest.mark.browser
ANSWER = ".message-assistant .markdown"
SECONDS = 60_000


@pytest.fixture
def page(browser: Browser, running: Site) -> Iterator[Page]:
    context = browser.new_context(
        base_url=running.url, viewport={"width": 1280, "height": 900}, java_script_enabled=False
    )
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def search(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("button", name="Search", exact=True).click()


def send(page: Page, text: str) -> None:
    page.get_by_role("textbox", name=re.compile("Message")).fill(text)
    page.get_by_role("button", name="Send").click()


def install(page: Page, target: str) -> None:
    page.goto("/models")
    search(page, "smollm2")
    assert "q=smollm2" in page.url
    page.get_by_role("link", name=REAL).click()
    page.get_by_label("Install on").select_option(target)
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_label("Install on")).to_have_value(target)
    page.get_by_role("button", name="See the plan first").click()
    expect(page.get_by_text("Nothing has been done yet.")).to_be_visible()
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page).to_have_url(re.compile("/installs$"))
    # The page comes again by itself while something runs.
    expect(page.locator(".install-row .badge", has_text="Installed")).to_be_visible(timeout=SECONDS)


@pytest.mark.engine
def test_install_on_this_machine_and_chat(page: Page, running: Site) -> None:
    install(page, "builtin")
    page.get_by_role("link", name=REAL).click()
    expect(page.get_by_text("Its name there")).to_be_visible()
    name = running.host.installs.list().items[0].model_name
    assert name is not None

    page.goto("/agents/new")
    page.get_by_label("Name").fill("Deckhand")
    page.get_by_label("Provider", exact=True).select_option("builtin")
    page.get_by_label(re.compile("^Model")).first.fill(name)
    page.get_by_role("button", name="Save").click()
    send(page, "Say hello to the crew in one short sentence.")
    expect(page).to_have_url(re.compile(r"/chat/conversation-\w+"))
    expect(page.locator(ANSWER)).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text("It is being answered")).to_have_count(0, timeout=SECONDS)
    assert running.host.chat.get(running.host.chat.list().items[0].id).messages[-1].state == "complete"

    page.goto(f"/agents/{running.host.agents.list().items[0].id}")
    expect(page.locator("#llm-proof")).to_contain_text(re.compile("Chats.*tokens/s", re.DOTALL))
    page.goto("/models")
    page.get_by_label(f"When a newer revision of {name} appears").select_option("tell")
    page.get_by_role("button", name=re.compile("^Save.*newer")).click()
    expect(page.get_by_label(f"When a newer revision of {name} appears")).to_have_value("tell")
    assert isinstance(running.host.installs.list().items[0].when, WhenUpdated)
    expect(page.get_by_role("button", name="Clean up")).to_be_disabled()
    expect(page.get_by_text("Nothing to free")).to_be_visible()


def test_an_install_in_a_nightly_window(page: Page, running: Site, world: World) -> None:
    """What is wrong is said beside its field, and what was typed stays."""
    ollama = running.host.providers.create("Workshop", "ollama", {"endpoint": world.ollama.url})
    page.goto(f"/models?q=skiff&open=huggingface:{SKIFF}")
    page.get_by_label("Install on").select_option(ollama.id)
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("button", name="See the plan first").click()
    expect(page.get_by_label("Time zone")).to_be_hidden()
    page.get_by_label("In a nightly window").check()
    expect(page.get_by_label("Time zone")).to_have_value("UTC")
    begin = (datetime.now(UTC) + timedelta(hours=3)).strftime("%H:%M")
    page.get_by_label("From", exact=True).fill("")
    page.get_by_label("To", exact=True).fill(begin)
    page.get_by_label("Mon").check()
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page.locator("#when-from-error")).to_contain_text("Give a time")
    expect(page.get_by_label("To", exact=True)).to_have_value(begin)
    expect(page.get_by_label("Mon")).to_be_checked()
    page.get_by_label("Mon").uncheck()
    page.get_by_label("From", exact=True).fill(begin)
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page.locator("#when-to-error")).to_be_visible()
    page.get_by_label("To", exact=True).fill((datetime.now(UTC) + timedelta(hours=5)).strftime("%H:%M"))
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page).to_have_url(re.compile("/installs$"))
    row = page.locator(".install-row")
    expect(row).to_contain_text(f"between {begin} and")
    expect(row).to_contain_text(re.compile("starts in [23] h"))
    expect(page.locator("figure.night svg")).to_have_attribute("aria-label", re.compile(f"between {begin} and"))
    row.get_by_role("button", name="Start now").click()
    expect(page.locator("#section-scheduled")).to_have_count(0)
    row.get_by_role("link", name=SKIFF).click()
    expect(page.locator(".timeline")).to_contain_text("Asked for")


def test_the_queue_and_a_click_that_comes_too_late(page: Page, running: Site, world: World) -> None:
    world.hub.cdn.faults.append(Fault(times=None, bytes_per_second=200_000))
    ollama = running.host.providers.create("Workshop", "ollama", {"endpoint": world.ollama.url})
    asked = [
        running.host.installs.request("huggingface", SKIFF, target=ollama.id, quantization=label)[0].id
        for label in ("Q2_K", "Q4_K_M", "Q5_K_M", "Q8_0")
    ]

    def queue() -> list[str]:
        return [item.id for item in running.host.installs.queue()]

    page.goto("/installs")
    assert queue() == asked[1:]
    page.locator(f"#install-{asked[3]}").get_by_role("button", name="Move up").click()
    assert queue() == [asked[1], asked[3], asked[2]]
    page.locator(f"#install-{asked[1]}").get_by_role("button", name="Move down").click()
    assert queue() == [asked[3], asked[1], asked[2]]
    page.locator(f"#install-{asked[2]}").get_by_role("button", name="Move to the front").click()
    assert queue() == [asked[2], asked[3], asked[1]]
    running.host.installs.pause(asked[1])
    page.locator(f"#install-{asked[1]}").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("changed")
    expect(page.locator(f"#install-{asked[1]}")).to_contain_text("Paused")
    assert running.host.installs.get(asked[1]).state == "paused", "the page was out of date, so nothing was done"
    for id in asked:
        running.host.installs.cancel(id)


def test_hugging_face_search_use_test_save_and_chat(page: Page, running: Site) -> None:
    page.goto("/settings/llm")
    page.locator("a.card", has_text="Hugging Face").click()
    page.get_by_label("Name").fill("Pilot")
    page.get_by_label("Model", exact=True).fill("pilot")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_label("Name")).to_have_value("Pilot")
    page.locator(f'button[name="_use"][value="{SERVED}"]').click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(SERVED)
    expect(page.get_by_label("Name")).to_have_value("Pilot")
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#test .steps .passed").last).to_contain_text("It answers")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="Pilot", exact=True)).to_be_visible()

    page.goto("/agents/new")
    page.get_by_label("Name").fill("Pilot agent")
    page.get_by_label("Provider", exact=True).select_option(label="Pilot")
    page.get_by_role("button", name="Save").click()
    send(page, "Ahoy out there")
    expect(page.locator(ANSWER)).to_contain_text("Ahoy out there", timeout=SECONDS)


def test_an_agent_with_a_model_of_its_own(page: Page, running: Site) -> None:
    page.goto("/agents/new")
    page.get_by_label("Name").fill("Own")
    page.get_by_label("A type and model of its own").check()
    page.get_by_label("Type", exact=True).select_option("ollama")
    page.get_by_role("button", name="Show its fields").click()
    expect(page.get_by_label("Name")).to_have_value("Own")
    page.get_by_label("Type", exact=True).select_option("huggingface")
    page.get_by_role("button", name="Show its fields").click()
    page.get_by_label("Model", exact=True).fill("pilot")
    page.get_by_role("button", name="Search").click()
    page.locator(f'button[name="_use"][value="{SERVED}"]').click()
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile("/chat/new"))
    agent = running.host.agents.list().items[0]
    assert (agent.llm.type, agent.llm.model) == ("huggingface", SERVED)


def test_a_server_that_was_found_gets_a_model(page: Page, running: Site) -> None:
    page.goto("/")
    page.get_by_role("button", name="Add it").click()
    target = next(item for item in running.host.providers.list().items if item.type == "ollama")
    install(page, target.id)
    page.locator(".install-row").get_by_role("link", name="Chat").click()
    page.get_by_role("button", name="Start").click()
    send(page, "Ahoy out there")
    expect(page.locator(ANSWER)).to_contain_text("Ahoy out there", timeout=SECONDS)


def test_a_token_is_set_masked_kept_and_cleared(page: Page, tmp_path: Path, world: World) -> None:
    secret = "hf_secret_of_the_tests_9876"
    with site(tmp_path / "other", world.environment) as other:
        page.goto(f"{other.url}/plugins")
        card = page.locator("#plugin-huggingface")
        save = card.get_by_role("button", name="Save")
        card.get_by_text("Settings", exact=True).click()
        card.locator('input[type="password"]').fill(secret)
        save.click()
        expect(page.get_by_text("Saved. It is in force already.")).to_be_visible()
        assert secret not in page.content()
        expect(card).to_contain_text(f"ends in {secret[-4:]}")
        save.click()
        expect(card).to_contain_text("ends in")
        card.get_by_label("Remove it").check()
        save.click()
        expect(page.get_by_text("Saved. It is in force already.")).to_be_visible()
        expect(card).not_to_contain_text("ends in")


def test_a_token_of_the_environment_is_named_and_not_shown(page: Page, running: Site) -> None:
    page.goto("/plugins")
    card = page.locator("#plugin-huggingface")
    card.get_by_text("Settings", exact=True).click()
    expect(card).to_contain_text("environment variable HF_TOKEN")
    expect(card.locator('input[type="password"]')).to_be_disabled()
    assert TOKEN not in page.content()


def test_settings_keep_what_was_typed_beside_its_error(page: Page, running: Site) -> None:
    page.goto("/settings")
    zone = page.get_by_label("Time zone")
    zone.fill("Middle/Earth")
    page.get_by_label("Installs at the same time", exact=True).fill("5")
    page.get_by_role("button", name="Save").click()
    expect(zone).to_have_value("Middle/Earth")
    expect(zone).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#timeZone-error")).to_contain_text("Europe/Berlin")
    expect(page.get_by_label("Installs at the same time", exact=True)).to_have_value("5")
    assert running.host.preferences.current.parallel_installs == 3
    zone.fill("Europe/Berlin")
    page.get_by_label(re.compile("^From")).fill("22:30")
    page.get_by_label(re.compile("^To")).fill("06:00")
    page.get_by_label(re.compile("^Install on")).select_option("builtin")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. It is in force already.")).to_be_visible()
    now = running.host.preferences.current
    assert (now.time_zone, now.parallel_installs, now.default_target) == ("Europe/Berlin", 5, "builtin")
    assert now.quiet_hours is not None
    assert (now.quiet_hours.from_, now.quiet_hours.to) == ("22:30", "06:00")


def test_the_theme_switch(page: Page) -> None:
    page.goto("/models?q=skiff")
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.url.endswith("/models?q=skiff"), "the page is the same"
    page.get_by_role("button", name="Like the system").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")
