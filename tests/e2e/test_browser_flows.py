"""The main job in a real browser: search, install or use, chat."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.host.installs.story import until
from tests.site import Site
from tests.world import REAL, SERVED, World

pytestmark = pytest.mark.browser
ANSWER = ".message-assistant .markdown"
SECONDS = 60_000


def search(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.get_by_role("button", name="Search", exact=True).click()


def send(page: Page, text: str) -> None:
    page.get_by_role("textbox", name=re.compile("Message")).fill(text)
    page.get_by_role("button", name="Send").click()


def watch_the_answer_grow(page: Page) -> None:
    """Note the length of the streamed text at each change of the page."""
    page.evaluate(
        """() => {
          window.lengths = [];
          new MutationObserver(() => {
            const live = document.querySelector("#thread .streaming");
            if (live?.textContent) window.lengths.push(live.textContent.length);
          }).observe(document.getElementById("thread"), { childList: true, subtree: true, characterData: true });
        }"""
    )


@pytest.mark.engine
def test_search_install_on_this_machine_and_chat(page: Page, running: Site) -> None:
    page.goto("/models")
    search(page, "smollm2")
    page.get_by_role("link", name=REAL).click()
    expect(page.get_by_text("recommended")).to_be_visible()
    page.get_by_label("Install on").select_option("builtin")
    page.get_by_role("button", name="Install on Built-in engine").click()
    expect(page).to_have_url(re.compile("/installs"))
    row = page.locator(".install-row").first
    expect(row).to_contain_text(REAL)
    expect(row.locator(".badge", has_text="Installed")).to_be_visible(timeout=SECONDS)
    expect(row).to_contain_text("tokens/s")

    page.goto("/agents/new")
    page.get_by_label("Name").fill("Deckhand")
    page.get_by_label("Provider", exact=True).select_option("builtin")
    name = running.host.installs.list().items[0].model_name
    assert name is not None
    expect(page.locator("#provider-models option")).to_have_attribute("value", name)
    page.get_by_label(re.compile("^Model")).first.fill(name)
    page.get_by_label("Longest answer").fill("60")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile("/chat/new"))

    watch_the_answer_grow(page)
    send(page, "Tell a long story about a harbour, with a storm, a ship and her crew.")
    expect(page.locator(ANSWER)).to_be_visible(timeout=SECONDS)
    expect(page.locator(".message-assistant footer")).to_contain_text("tokens/s")
    lengths = page.evaluate("window.lengths")
    assert len(set(lengths)) >= 3, "real tokens stream in: the text was seen at several lengths"
    assert lengths == sorted(lengths)
    kept = running.host.chat.get(running.host.chat.list().items[0].id)
    assert kept.messages[-1].state in ("complete", "incomplete"), "it ends by itself, or at the longest answer"
    assert kept.messages[-1].content.split()[0] in page.locator(ANSWER).inner_text()


def test_hugging_face_from_search_to_a_tool_call(page: Page, running: Site, world: World) -> None:
    page.goto("/settings/llm/new?type=huggingface")
    page.get_by_label("Name").fill("Pilot")
    page.get_by_label("Model", exact=True).fill("pilot")
    page.get_by_role("button", name=re.compile("Use this model")).first.click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(SERVED)
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#test .steps .passed").last).to_contain_text("It answers", timeout=SECONDS)
    assert [item.name for item in running.host.providers.list().items] == ["Built-in engine"], "a test saves nothing"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="Pilot", exact=True)).to_be_visible()

    page.goto("/agents/new")
    page.get_by_label("Name").fill("Pilot agent")
    page.get_by_label("Provider", exact=True).select_option(label="Pilot")
    page.get_by_role("checkbox", name=re.compile("current_time")).check()
    page.get_by_role("button", name="Save").click()
    send(page, "What is the current time?")
    expect(page.locator(".tool").first).to_contain_text("current_time", timeout=SECONDS)
    expect(page.locator(ANSWER).last).to_contain_text("The tool said: 20", timeout=SECONDS)
    assert len(world.router.seen("POST", "/v1/chat/completions")) == 3, "a test and two turns"


def test_import_into_ollama_and_chat(page: Page, running: Site, world: World) -> None:
    page.goto("/")
    page.get_by_role("button", name="Add it").click()
    target = next(item for item in running.host.providers.list().items if item.type == "ollama")
    page.goto("/models")
    search(page, "smollm2")
    page.get_by_role("link", name=REAL).click()
    page.get_by_label("Install on").select_option(target.id)
    page.locator(".panel").get_by_role("button", name=f"Install on {target.name}").click()
    expect(page.locator(".install-row .badge", has_text="Installed")).to_be_visible(timeout=SECONDS)
    page.goto("/models")
    card = page.locator(f"#target-{target.id}")
    card.get_by_role("link", name="Chat").click()
    page.get_by_role("button", name="Start").click()
    send(page, "Ahoy out there")
    expect(page.locator(ANSWER)).to_contain_text("Ahoy out there", timeout=SECONDS)
    assert world.ollama.seen("POST", "/api/chat")[-1].json["options"]["num_ctx"] == 4096


def test_stop_ends_the_remote(page: Page, running: Site, world: World) -> None:
    from tests.fakes.router_models import Manner

    world.router.manner = Manner(first_delay=60)
    agent = running.host.agents.create({"name": "A", "llm": {"type": "huggingface", "model": SERVED}})
    page.goto(f"/chat/new?agent={agent.id}")
    send(page, "Hello")
    until(lambda: bool(world.router.seen("POST", "/v1/chat/completions")))  # a stop before that asks nobody at all
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".message-assistant .badge", has_text="Stopped")).to_be_visible()
    asked = world.router.seen("POST", "/v1/chat/completions")[-1]
    page.wait_for_timeout(1500)
    assert asked.closed_at is not None


def test_a_closed_tab_ends_the_remote(page: Page, running: Site, world: World) -> None:
    from tests.fakes.router_models import Manner

    world.router.manner = Manner(first_delay=60)
    agent = running.host.agents.create({"name": "A", "llm": {"type": "huggingface", "model": SERVED}})
    page.goto(f"/chat/new?agent={agent.id}")
    send(page, "Hello")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.wait_for_timeout(500)
    page.close()
    asked = world.router.seen("POST", "/v1/chat/completions")[-1]
    for _ in range(60):
        if asked.closed_at is not None:
            break
        import time

        time.sleep(0.05)
    assert asked.closed_at is not None


def test_search_as_you_type(page: Page, world: World) -> None:
    page.goto("/")
    page.get_by_role("searchbox").press_sequentially("skiff", delay=30)
    expect(page.locator("#results-list .result")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=skiff"))
    calls = len(world.hub.seen("GET", "/api/models"))
    assert calls <= 3, "a burst of typing costs few calls"
    page.keyboard.press("ArrowDown")
    expect(page.locator("#results-list a").first).to_be_focused()


def test_an_unreachable_hub_is_named(page: Page, world: World) -> None:
    world.hub.stop()
    page.goto("/?q=anything")
    expect(page.get_by_text("could not be searched")).to_be_visible()
    expect(page.get_by_text("127.0.0.1").first).to_be_visible()
