"""What a Hub, a model or a tool says is text: nothing of it runs, loads or leads a browser elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from moorage import Tool, hookimpl
from moorage.plugins.discovery import Candidate, installed
from tests.conftest import candidate
from tests.fakes.repo import Repo, SparseFile
from tests.site import Site, site
from tests.world import MB, SERVED, TOKEN, World

pytestmark = pytest.mark.browser
# Every one of these would set a flag, open a dialog or ask another origin for something.
ELSEWHERE = "http://elsewhere.example"
VECTORS = (
    "<script>window.ran = 1; alert(1)</script>",
    f'<img src="{ELSEWHERE}/x.png" onerror="window.ran = 2; alert(2)">',
    "<svg onload=window.ran=3>",
    f'<iframe src="{ELSEWHERE}/frame"></iframe>',
    f'"><link rel=stylesheet href={ELSEWHERE}/x.css>',
    "' autofocus onfocus='window.ran=4",
)
ALL = " ".join(VECTORS)
MARKDOWN = f"""# A title {VECTORS[0]}

{VECTORS[1]}

![a picture]({ELSEWHERE}/pixel.png) ![other](javascript:window.ran=5)

[click](javascript:window.ran=6) [data](data:text/html,<script>window.ran=7</script>) [fine]({ELSEWHERE}/page)

<style>body {{ background: url({ELSEWHERE}/bg.png) }}</style>
<form action="{ELSEWHERE}/take"><input name=password><button>Sign in</button></form>
<meta http-equiv=refresh content="0;url={ELSEWHERE}/">

```html
{VECTORS[1]}
```

| a | b |
| - | - |
| {VECTORS[2]} | {VECTORS[3]} |

The end of it.
"""
LIVE = """() => ({
  ran: window.ran ?? 0,
  scripts: [...document.scripts].filter(item => !item.src.startsWith(location.origin + '/static/')).length,
  frames: document.querySelectorAll('iframe, object, embed').length,
  pictures: document.querySelectorAll('main img').length,
  handlers: [...document.querySelectorAll('*')].filter(
      item => [...item.attributes].some(one => one.name.startsWith('on') || one.name === 'style')).length,
  links: [...document.querySelectorAll('a')].filter(item => !/^https?:$/.test(item.protocol)).length,
  forms: [...document.forms].filter(item => !item.action.startsWith(location.origin)).length,
})"""
INERT = dict.fromkeys(("ran", "scripts", "frames", "pictures", "handlers", "links", "forms"), 0)


def deltas(text: str) -> list[bytes]:
    """A stream of the router that says `text`, in small pieces."""
    pieces = [text[at : at + 40] for at in range(0, len(text), 40)]
    chunks: list[dict[str, object]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": piece}}]} for piece in pieces
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


@pytest.fixture
def dialogs(context: BrowserContext) -> list[str]:
    opened: list[str] = []
    context.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss())[1])
    return opened


def test_a_repository(page: Page, running: Site, world: World, dialogs: list[str]) -> None:
    world.hub.add(
        Repo(
            id="hostile/Wreck-1B-GGUF",
            files={f"Wreck-{VECTORS[2]}-Q4_K_M.gguf": SparseFile(50 * MB, 1, head=b"GGUF"), "README.md": ALL.encode()},
            tags=("gguf", ALL, *(f"license:{vector}" for vector in VECTORS[:1])),
            license=VECTORS[1],
            languages=(VECTORS[0],),
            library_name=VECTORS[4],
            pipeline_tag=VECTORS[5],
            downloads=10,
            gguf={"total": 1_000_000_000, "architecture": VECTORS[1], "context_length": 4096},
            providers={VECTORS[1]: {"status": VECTORS[0], "task": "conversational"}},
        )
    )
    page.goto("/models?q=wreck")
    expect(page.locator(".result")).to_have_count(1)
    assert page.evaluate(LIVE) == INERT
    page.locator(".result a").first.click()
    expect(page.locator(".panel")).to_contain_text("Install it")
    assert page.evaluate(LIVE) == INERT
    page.get_by_role("button", name="See the plan first").click()
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate(LIVE) == INERT
    assert dialogs == []


@pytest.mark.parametrize("query", [ALL, f"x&open=huggingface:{ALL}"])
def test_what_is_in_the_address(page: Page, dialogs: list[str], query: str) -> None:
    page.goto(f"/?q={quote(query, safe='&=:')}&author={quote(ALL)}")
    expect(page.get_by_role("searchbox")).to_have_value(re.compile("script|x"))
    assert page.evaluate(LIVE) == INERT
    assert dialogs == []


def test_an_answer(page: Page, running: Site, world: World, dialogs: list[str]) -> None:
    world.router.script(deltas(MARKDOWN))
    agent = running.host.agents.create({"name": ALL[:100], "llm": {"type": "huggingface", "model": SERVED}})
    page.goto(f"/chat/new?agent={agent.id}")
    page.get_by_role("textbox", name=re.compile("Message")).fill(ALL)
    page.get_by_role("button", name="Send").click()
    answer = page.locator(".message-assistant .markdown")
    expect(answer).to_contain_text("The end of it.", timeout=30_000)
    assert page.evaluate(LIVE) == INERT
    link = answer.get_by_role("link", name="fine")
    assert "noopener" in (link.get_attribute("rel") or "")
    page.reload()
    expect(page.locator(".message-assistant .markdown")).to_contain_text("The end of it.")
    assert page.evaluate(LIVE) == INERT
    assert dialogs == []


class Hostile:
    """A plugin whose tool describes itself and answers with the vectors."""

    @hookimpl
    def register_tools(self) -> list[Tool]:
        schema = {"type": "object", "properties": {}}
        return [Tool(name="fetch_page", description=ALL, parameters=schema, run=lambda arguments: ALL)]


def with_hostile() -> list[Candidate]:
    return [*installed(), candidate("hostile", Hostile())]


def test_the_result_of_a_tool(browser: Browser, tmp_path: Path, world: World) -> None:
    with site(tmp_path / "other", {**world.environment, "HF_TOKEN": TOKEN}, discover=with_hostile) as other:
        agent = other.host.agents.create(
            {"name": "A", "llm": {"type": "huggingface", "model": SERVED}, "tools": ["fetch_page"]}
        )
        with browser.new_context() as own_context:
            asked: list[str] = []
            own_context.on("request", lambda request: asked.append(request.url))
            own = own_context.new_page()
            own.goto(f"{other.url}/agents/{agent.id}")
            assert own.evaluate(LIVE) == INERT
            own.goto(f"{other.url}/chat/new?agent={agent.id}")
            own.get_by_role("textbox", name=re.compile("Message")).fill("Fetch the page with your tool.")
            own.get_by_role("button", name="Send").click()
            expect(own.locator(".tool").first).to_contain_text("fetch_page", timeout=30_000)
            expect(own.locator(".message-assistant .markdown").last).to_be_visible(timeout=30_000)
            assert own.evaluate(LIVE) == INERT
            own.reload()
            own.locator(".tool summary").first.click()
            expect(own.locator(".tool pre").last).to_contain_text("<script>window.ran = 1")
            assert own.evaluate(LIVE) == INERT
            assert all(url.startswith(other.url) for url in asked)
