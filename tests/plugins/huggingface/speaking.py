"""Asking and listening, as the host does it, and what was heard taken together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from moorage import (
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    Finish,
    PluginContext,
    Provider,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    read_chat_completion,
)
from moorage.http.sse import events
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.router import FakeRouter
from tests.plugins.huggingface.recordings import in_pieces

ENDLESS = {"upstream/chat_stream_cerebras.sse"}  # its recording is cut
FAILING = {"upstream/groq_stream_midstream_error_http200.sse"}


class Failed(Exception):
    pass


def failure(chunk: dict[str, Any]) -> Exception:
    return Failed(json.dumps(chunk))


@dataclass
class Heard:
    """A stream taken together; a call is [id, name, arguments] by its index."""

    text: str = ""
    reasoning: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)
    usage: list[Usage] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, heard: Iterable[CompletionEvent]) -> Heard:
        self = cls()
        for event in heard:
            assert not self.finish, "something came after the end"
            match event:
                case TextDelta(text):
                    self.text += text
                case ReasoningDelta(text):
                    self.reasoning += text
                case ToolCallDelta(index, id, name, arguments):
                    call = self.calls.setdefault(index, ["", "", ""])
                    call[:] = [call[0] or id or "", call[1] or name or "", call[2] + arguments]
                case Usage():
                    self.usage.append(event)
                case Finish(reason):
                    self.finish.append(reason)
        return self


def replay(data: bytes, size: int = 1 << 20) -> Heard:
    return Heard.of(read_chat_completion(events(in_pieces(data, size), "there"), failure))


def request(to: Provider, text: str = "hello there", **more: Any) -> CompletionRequest:
    messages = more.pop("messages", (ChatMessage(role="user", content=text),))
    return CompletionRequest(provider=to, model=more.pop("model", to.model), messages=messages, **more)


def said(to: Provider, context: PluginContext, text: str = "hello there", **more: Any) -> Heard:
    return Heard.of(HuggingFacePlugin().complete(request(to, text, **more), context))


def sent(router: FakeRouter) -> dict[str, Any]:
    body: dict[str, Any] = router.seen("POST", "/v1/chat/completions")[-1].json
    return body


def key_sent(router: FakeRouter) -> str | None:
    return router.seen("POST", "/v1/chat/completions")[-1].headers.get("authorization")
