"""`complete` over real sockets: streams, errors before and after the 200, and stopping."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from moorage import (
    AuthFailed,
    BadAnswer,
    Cancelled,
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    Finish,
    InvalidConfig,
    MoorageError,
    NotFound,
    PluginContext,
    Provider,
    RateLimited,
    TextDelta,
    Unreachable,
    Unsupported,
)
from moorage.http import CallScope
from moorage_ollama.config import OllamaOptions, OllamaProvider
from moorage_ollama.plugin import OllamaPlugin
from tests.fakes.server import Exchange
from tests.plugins.ollama.conftest import Line, ScriptedOllama

DONE = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "eval_count": 2}


def said(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}, "done": False}


class Asking:
    def __init__(self, plugin: OllamaPlugin, context: PluginContext, provider: Provider) -> None:
        self._plugin, self._context, self._provider = plugin, context, provider

    def __call__(self, **fields: Any) -> Iterator[CompletionEvent]:
        request = CompletionRequest(
            provider=fields.pop("provider", self._provider),
            model="tiny:latest",
            messages=(ChatMessage(role="user", content="Hi"),),
            **fields,
        )
        return self._plugin.complete(request, self._context)


@pytest.fixture
def ask(plugin: OllamaPlugin, context: PluginContext, provider: Provider) -> Asking:
    return Asking(plugin, context, provider)


def test_text_streams_as_it_comes(ollama: ScriptedOllama, ask: Asking) -> None:
    more = threading.Event()

    def script(exchange: Exchange) -> Iterator[Line]:
        yield said("Hello")
        assert more.wait(10)
        yield DONE

    ollama.chats = [script]
    events = ask()
    assert next(events) == TextDelta("Hello")  # before the server has gone on
    more.set()
    assert list(events)[-1] == Finish("stop")
    assert ollama.bodies("/api/chat")[0]["options"] == {"num_ctx": 4096}
    assert not ollama.bodies("/api/show")  # nobody chose how to think


def test_without_its_end_mark_it_has_no_finish(ollama: ScriptedOllama, ask: Asking) -> None:
    ollama.chats = [[said("Hel")]]
    assert list(ask()) == [TextDelta("Hel")]


def test_broken_lines_are_passed_over_up_to_a_point(ollama: ScriptedOllama, ask: Asking) -> None:
    ollama.chats = [[said("a"), b"{broken", b"", b"[1]", said("b"), DONE]]
    assert [event.text for event in ask() if isinstance(event, TextDelta)] == ["a", "b"]
    ollama.chats = [[b"?"] * 10]
    with pytest.raises(BadAnswer):
        list(ask())


def test_an_error_after_the_200(ollama: ScriptedOllama, ask: Asking) -> None:
    ollama.chats = [[said("Hel"), {"error": "llama runner process has terminated: exit status 2"}]]
    events = ask()
    assert next(events) == TextDelta("Hel")
    with pytest.raises(Unreachable, match="exit status 2"):
        next(events)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"error": "registry.ollama.ai/library/tiny:latest does not support tools"}, Unsupported, "tools"),
        (404, {"error": "model 'tiny:latest' not found"}, NotFound, "not installed"),
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, RateLimited, "waiting"),
        (500, {"error": "model requires more system memory (9 GiB) than is available (3 GiB)"}, Unsupported, "9 GiB"),
        (500, {"error": "unable to load model: /blobs/sha256-1"}, Unsupported, "cannot load"),
        (500, {"error": "never seen"}, Unreachable, "never seen"),
        (401, {"error": "unauthorized", "signin_url": "https://example.org/?key=secret"}, AuthFailed, "signed in"),
        (403, None, InvalidConfig, "refuses"),
        (404, "404 page not found", InvalidConfig, "no Ollama server"),
        (502, "<html>Bad gateway", Unreachable, "trouble"),
    ],
)
def test_refusals(
    ollama: ScriptedOllama, ask: Asking, status: int, body: Any, kind: type[MoorageError], words: str
) -> None:
    text = b"" if body is None else json.dumps(body).encode() if isinstance(body, dict) else body.encode()
    ollama.refusal = (status, text)
    with pytest.raises(kind, match=words) as raised:
        list(ask())
    assert type(raised.value) is kind
    assert "secret" not in f"{raised.value} {raised.value.hint}"


def test_a_page_is_no_answer(ollama: ScriptedOllama, ask: Asking) -> None:
    ollama.refusal = (200, b"<html>Sign in to the hotel")
    ollama.route("POST", "/x/api/chat", lambda exchange: exchange.send(200, b"<html>Sign in", "text/html"))
    with pytest.raises(BadAnswer, match="page"):
        list(ask(provider=_at(f"{ollama.url}/x")))


def test_nothing_listens(ask: Asking) -> None:
    with ScriptedOllama() as server:
        gone = server.url
    with pytest.raises(Unreachable) as raised:
        list(ask(provider=_at(gone)))
    assert gone in str(raised.value)
    assert "ollama serve" in (raised.value.hint or "")


@pytest.mark.parametrize(("capabilities", "sent"), [(["completion", "thinking"], True), (["completion"], None)])
def test_think_is_sent_where_the_model_can(
    ollama: ScriptedOllama, ask: Asking, capabilities: list[str], sent: bool | None
) -> None:
    ollama.shown["tiny:latest"] = {"capabilities": capabilities}
    ollama.chats = [[DONE]]
    list(ask(options=OllamaOptions(think="on")))
    assert ollama.bodies("/api/chat")[0].get("think") is sent


def test_closing_it_closes_the_connection(ollama: ScriptedOllama, ask: Asking) -> None:
    def script(exchange: Exchange) -> Iterator[Line]:
        yield said("a")
        exchange.sleep(30)
        yield DONE

    ollama.chats = [script]
    events = ask()
    next(events)
    events.close()  # type: ignore[attr-defined]  # it is a generator
    ollama.wait_until_left("/api/chat")


def test_a_stop_reaches_a_model_that_is_still_loading(ollama: ScriptedOllama, ask: Asking, scope: CallScope) -> None:
    def script(exchange: Exchange) -> Iterator[Line]:
        exchange.sleep(30)
        yield DONE

    ollama.chats = [script]
    threading.Timer(0.2, scope.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        list(ask())
    assert time.monotonic() - began < 3
    ollama.wait_until_left("/api/chat")


def _at(endpoint: str) -> Provider:
    return Provider(id="p2", name="Other", type="ollama", config=OllamaProvider(endpoint=endpoint))
