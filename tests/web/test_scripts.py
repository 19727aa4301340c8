"""The scripts against a server on loopback that answers as the pages do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.live_server import Script, live

pytestmark = pytest.mark.browser


@pytest.fixture
def server() -> Iterator[tuple[str, Script]]:
    with live() as found:
        yield found


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    made = context.new_page()
    said: list[str] = []
    made.on("pageerror", lambda error: said.append(str(error)))
    yield made
    context.close()
    assert said == []


def test_search_as_you_type(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.goto(f"{origin}/models")
    field = page.get_by_role("searchbox")
    field.fill("")
    field.press_sequentially("nothing", delay=20)
    expect(page.get_by_text("Nothing found")).to_be_visible()
    searches = [url for _, url, _ in script.asked if "fragment=results" in url]
    assert len(searches) <= 2, "a burst of typing costs few calls"
    assert "q=nothing" in page.url
    assert "fragment" not in page.url
    field.fill("harbour")
    expect(page.locator("#results-list > li")).to_have_count(4)
    field.press("ArrowDown")
    expect(page.locator("#results-list a.name").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#results-list a.name").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_contain_text("The source asks us to slow down.")
    assert "open=" in page.url
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_have_count(0)


def test_chat_streams_then_takes_the_servers_rendering(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.goto(f"{origin}/chat")
    page.get_by_label("Message to Harbour master").fill("Hello")
    page.keyboard.press("Enter")
    streaming = page.locator(".streaming")
    expect(streaming).to_contain_text("The <b>tide</b> turns.")
    expect(streaming.locator("pre")).to_have_text("x = 1\n")
    assert streaming.locator("b").count() == 0
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.get_by_role("button", name="Allow once").click()
    expect(page.locator("#thread .tool").last).to_contain_text("Running")
    script.go.set()
    expect(page.locator("#message-m9 strong")).to_have_text("14:20")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    assert page.url.endswith("/chat/k9")
    approved = [json.loads(body) for _, url, body in script.asked if url.endswith("/approve")]
    assert approved == [{"call": "c1", "allow": True}]
    sent = [json.loads(body) for _, url, body in script.asked if url == "/api/agents/a1/chat"]
    assert sent == [{"message": "Hello", "conversation": "k1"}]


def test_stop_asks_the_host(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.goto(f"{origin}/chat")
    page.get_by_label("Message to Harbour master").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".streaming")).to_contain_text("Done")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#message-m9")).to_be_visible()
    assert ("POST", "/api/conversations/k9/stop", "") in script.asked


def test_a_refused_message_is_given_back(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    script.chat_status = 409
    page.goto(f"{origin}/chat")
    page.get_by_label("Message to Harbour master").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("It is busy")).to_be_visible()
    expect(page.get_by_text("Wait a little.")).to_be_visible()
    expect(page.get_by_label("Message to Harbour master")).to_have_value("Hello")


def test_a_provider_is_tested_with_what_is_typed(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.goto(f"{origin}/llm")
    page.get_by_label("API key").fill("sk-new")
    page.locator("[data-test]").click()
    expect(page.locator("#test .passed")).to_have_count(4)
    _, url, body = script.asked[-1]
    assert url == "/settings/llm/p1"
    assert "_action=test" in body
    assert "config.apiKey=sk-new" in body
    expect(page.get_by_label("API key")).to_have_value("sk-new")


def test_a_model_is_found_and_used(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.goto(f"{origin}/llm")
    with page.expect_response(lambda response: "fragment=results" in response.url):
        page.locator("#config-model").fill("quay")
    asked = script.asked[-1][1]
    assert "q=quay" in asked
    assert "type=huggingface" in asked
    page.get_by_role("button", name=re.compile("Use this model.*tiny-135m")).click()
    expect(page.locator("#config-model")).to_have_value("quay/tiny-135m")
    expect(page.locator("#config-model")).to_be_focused()


def test_a_row_changes_in_place(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.goto(f"{origin}/installs")
    row = page.locator("#install-i1")
    row.get_by_role("button", name="Pause").click()
    expect(row.get_by_role("button", name="Resume")).to_be_visible()
    assert script.asked[-1] == ("POST", "/installs/i1/pause", "generation=1&fragment=row")
    page.locator("#install-i4").get_by_role("button", name="Cancel").click()
    expect(page.locator("#install-i4").get_by_role("button", name="Cancel")).to_be_enabled()
    assert ("POST", "/installs/i4/cancel", "generation=1&fragment=row") in script.asked


def drag(page: Page, row: str, onto: str, side: float) -> None:
    """Hold a row by its facts and let go over another: `side` is 0 for its upper edge, 1 for its lower one."""
    page.locator(row).scroll_into_view_if_needed()
    held, over = page.locator(f"{row} .facts").bounding_box(), page.locator(onto).bounding_box()
    assert held is not None
    assert over is not None
    page.mouse.move(held["x"] + 300, held["y"] + 8)
    page.mouse.down()
    page.mouse.move(held["x"] + 300, held["y"] + 12)
    page.mouse.move(over["x"] + 300, over["y"] + 3 + side * (over["height"] - 6), steps=6)
    page.mouse.up()


def test_the_queue_by_drag(page: Page, server: tuple[str, Script]) -> None:
    """A row moves before another; to the end, the others move before it."""
    origin, script = server
    page.set_viewport_size({"width": 1200, "height": 1600})
    page.goto(f"{origin}/installs")
    with page.expect_response(lambda response: response.url.endswith("/installs/i10/move")):
        drag(page, "#install-i10", "#install-i4", 0)
    assert script.asked[-1] == ("POST", "/installs/i10/move", "before=i4&generation=1&fragment=sections")
    page.goto(f"{origin}/installs")
    with page.expect_response(lambda response: response.url.endswith("/installs/i10/move")):
        drag(page, "#install-i4", "#install-i10", 1)
    assert [asked for asked in script.asked if asked[0] == "POST"][1:] == [
        ("POST", "/installs/i9/move", "before=i4&generation=7&fragment=sections"),
        ("POST", "/installs/i10/move", "before=i4&generation=1&fragment=sections"),
    ]


def test_a_click_that_is_refused_says_why(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    script.move_status = 409
    page.goto(f"{origin}/installs")
    button = page.locator("#install-i9").get_by_role("button", name="Move up")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#install-problem")).to_have_text("It has moved.")
    expect(button).to_be_focused()
    assert script.asked[-1][2] == "generation=7&before=i4&fragment=sections"


def test_a_move_answers_with_the_part_of_the_list_that_is_shown(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.set_viewport_size({"width": 1200, "height": 1600})
    page.goto(f"{origin}/installs?section=queue")
    with page.expect_response(lambda response: "/move" in response.url):
        page.locator("#install-i9").get_by_role("button", name="Move to the front").click()
    shown = "/installs/i9/move?section=queue"
    assert script.asked[-1] == ("POST", shown, "generation=7&before=&fragment=sections")
    page.goto(f"{origin}/installs?section=queue")
    with page.expect_response(lambda response: "/move" in response.url):
        drag(page, "#install-i9", "#install-i4", 0)
    assert script.asked[-1] == ("POST", shown, "before=i4&generation=7&fragment=sections")


def test_events_refresh_what_they_are_about_and_are_spoken(page: Page, server: tuple[str, Script]) -> None:
    origin, script = server
    page.goto(f"{origin}/installs")
    page.locator("#install-i3 a.name").focus()
    event = {"id": 1, "type": "install.started", "at": "2026-11-24T21:30:00Z", "about": "i3", "data": {}}
    script.event = f"retry: 60000\nevent: install.started\nid: 1\ndata: {json.dumps(event)}\n\n".encode()
    script.happened.set()
    expect(page.locator("#install-i3")).to_contain_text("2 GB of 2.5 GB")
    expect(page.locator("#install-i3 a.name")).to_be_focused()
    expect(page.locator("#announce")).to_have_text("lighthouse/Harbour-4B-GGUF: Running")
    asked = [url for _, url, _ in script.asked]
    assert "/installs?fragment=row&id=i3" in asked
    assert "/?fragment=status" in asked
    assert sum("id=i4" in url for url in asked) <= 1, "once when the stream opens, and not for the news of others"
