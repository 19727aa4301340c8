"""The router of Inference Providers on loopback; with `endpoint=True` an Inference Endpoint (one model, TGI errors)."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.fakes.answers import Answer, compute, deltas, message
from tests.fakes.faults import FaultyExchange, FaultyServer
from tests.fakes.repo import Token
from tests.fakes.router_models import SERVER_ERROR, Manner, RouterModel, RouterProvider
from tests.fakes.server import Exchange

BAD_LOGIN = "Invalid username or password."
NO_CREDITS = (
    "You have depleted your monthly included credits. Purchase pre-paid credits to continue using Inference Providers "
    "with your account. Alternatively, subscribe to PRO to get 20x more included usage."
)
MAY_NOT_INFER = (
    "This authentication method does not have sufficient permissions to call Inference Providers on behalf of user {}"
)
DONE = b"data: [DONE]\n\n"
TOOL_USE_FAILED = {
    "error": {
        "message": "Tool call validation failed: missing properties: 'name'",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "status_code": 400,
    }
}
BLOCK = 64 * 1024


@dataclass
class Script:
    """Exact bytes to answer the next chat with, one write per piece."""

    pieces: list[bytes]
    status: int = 200
    content_type: str = "text/event-stream"
    delay: float = 0.0  # before each piece
    end: bool = True  # False: the connection closes without the last chunk
    headers: dict[str, str] = field(default_factory=dict)


class FakeRouter(FaultyServer):
    """`add` models, set `tokens` (None: no key is asked for), replay bytes with `script`, spoil answers by `faults`."""

    def __init__(self, port: int = 0, *, endpoint: bool = False) -> None:
        super().__init__(port)
        self.endpoint = endpoint
        self.models: dict[str, RouterModel] = {}
        self.tokens: dict[str, Token] | None = None
        self.models_need_token = False
        self.manner = Manner()  # of every model that has none of its own
        self.sleeping = 0  # so many chats find the endpoint asleep (503)
        self.failure: dict[str, Any] = TOOL_USE_FAILED  # sent by `Manner(end="error")`
        self.scripts: deque[Script] = deque()
        self._count = 0
        self._lock = threading.Lock()
        self._prebuilt: dict[tuple[str, int], list[bytes]] = {}
        self.route("GET", "/v1/models", self._list)
        self.route("GET", "/v1/models/(?P<id>.+)", self._model)
        self.route("POST", "/v1/chat/completions", self._chat)

    def add(self, *models: RouterModel) -> RouterModel:
        """Offer models; returns the last."""
        for model in models:
            self.models[model.id] = model
        return models[-1]

    def script(self, content: bytes | Path | Iterable[bytes], **options: Any) -> Script:
        """Answer one of the next chats (first in, first out) with exactly these bytes; options as in `Script`."""
        if isinstance(content, Path):
            content = content.read_bytes()
        script = Script([content] if isinstance(content, bytes) else list(content), **options)
        self.scripts.append(script)
        return script

    # Errors

    def _refuse(self, exchange: Exchange, status: int, error: Any, headers: dict[str, str] | None = None) -> None:
        if isinstance(error, str):
            exchange.text(status, error, headers)
        else:
            exchange.json(status, error, headers)

    def _token(self, exchange: Exchange) -> Token | None:
        """The token, or None after the refusal was sent."""
        if self.tokens is None:
            return Token("anybody")
        token = self.tokens.get(exchange.seen.headers.get("authorization", "").removeprefix("Bearer "))
        if token is None or token.revoked:
            headers = {"X-Error-Message": BAD_LOGIN, "WWW-Authenticate": 'Bearer realm="Authentication required"'}
            exchange.json(401, {"error": BAD_LOGIN}, headers)
            return None
        return token

    def _not_supported(self, exchange: Exchange, name: str) -> None:
        text = f"The requested model '{name}' is not supported by any provider you have enabled."
        error = {"message": text, "type": "invalid_request_error", "param": "model", "code": "model_not_supported"}
        exchange.json(400, {"error": error})

    # Models

    def _entry(self, model: RouterModel) -> dict[str, Any]:
        if self.endpoint:
            return {"id": model.id, "object": "model", "created": 0, "owned_by": model.id}
        return model.entry()

    def _list(self, exchange: Exchange) -> None:
        if self.models_need_token and self._token(exchange) is None:
            return
        exchange.json(200, {"object": "list", "data": [self._entry(model) for model in self.models.values()]})

    def _model(self, exchange: Exchange) -> None:
        name = exchange.match["id"]
        if name in self.models:
            exchange.json(200, self._entry(self.models[name]))
            return
        error = {"message": f"The model '{name}' does not exist", "type": "invalid_request_error"}
        exchange.json(404, {"error": {**error, "param": "model", "code": "model_not_found"}})

    # Chat

    def _chat(self, exchange: Exchange) -> None:
        assert isinstance(exchange, FaultyExchange)
        token = self._token(exchange)
        if token is None:
            return
        with self._lock:
            self._count += 1
            number, script = self._count, self.scripts.popleft() if self.scripts else None
            asleep = self.sleeping > 0
            self.sleeping -= asleep
        if script:
            self._replay(exchange, script)
        elif asleep:
            exchange.json(
                503, {"error": "Service Unavailable: the endpoint is scaled to zero", "error_type": "overloaded"}
            )
        elif not token.may_infer:
            exchange.json(403, {"error": MAY_NOT_INFER.format(token.name)})
        elif not token.credits:
            exchange.json(402, {"error": NO_CREDITS})
        elif body := self._body(exchange):
            self._serve(exchange, body, number)

    def _body(self, exchange: Exchange) -> dict[str, Any] | None:
        """The request, or None after the refusal of a malformed one was sent."""
        try:
            body: dict[str, Any] = exchange.seen.json
        except ValueError as error:
            exchange.text(400, f"Failed to parse the request body as JSON: {error}")
            return None
        problem = shape_problem(body)
        if problem:
            column = len(exchange.seen.body)
            text = f"Failed to deserialize the JSON body into the target type: {problem} at line 1 column {column}"
            exchange.text(422, text)
        elif not body["messages"]:
            error_body = {"error": "Input validation error: `inputs` cannot be empty", "error_type": "validation"}
            exchange.json(422, error_body)
        elif orphan := tool_problem(body["messages"]):
            exchange.json(400, {"error": {"message": orphan, "type": "invalid_request_error", "param": "messages"}})
        else:
            return body
        return None

    def _pick(self, asked: str) -> tuple[RouterModel, RouterProvider] | None:
        """The model and the provider that `id`, `id:policy` or `id:provider` means; an endpoint has just one model."""
        if self.endpoint:
            return next(iter(self.models.values())), RouterProvider("endpoint")
        name, _, policy = asked.partition(":")
        model = self.models.get(name)
        provider = model.choose(policy or "fastest") if model else None
        return (model, provider) if model and provider else None

    def _serve(self, exchange: FaultyExchange, body: dict[str, Any], number: int) -> None:
        asked = str(body.get("model", ""))
        picked = self._pick(asked)
        if picked is None:
            self._not_supported(exchange, asked.partition(":")[0])
            return
        model, provider = picked
        if model.error:
            self._refuse(exchange, *model.error)
        elif model.fails_after_tool and body["messages"][-1]["role"] == "tool":
            self._refuse(exchange, *SERVER_ERROR)
        else:
            self._complete(exchange, model, provider, body, number)

    def _complete(
        self, exchange: FaultyExchange, model: RouterModel, provider: RouterProvider, body: dict[str, Any], number: int
    ) -> None:
        base = {"id": f"chatcmpl-{number:08d}", "created": model.created, "model": provider.model_id or model.id}
        headers = {"inference-id": f"inference-{number}", "x-inference-provider": provider.provider}
        manner = model.manner or self.manner
        answer = compute(model, body, number)
        exchange.sleep(manner.headers_delay)
        if not body.get("stream"):
            choice = {"index": 0, "message": message(model, answer), "finish_reason": answer.finish}
            exchange.sleep(manner.first_delay)
            whole = base | {"object": "chat.completion", "choices": [choice], "usage": answer.usage}
            exchange.json(200, whole, headers)
        elif model.words:
            exchange.stream(self._many(model, model.words), "text/event-stream", odd=False, headers=headers)
        else:
            self._send(exchange, self._events(model, answer, body, base, manner), manner, headers)

    def _send(self, exchange: FaultyExchange, events: Iterator[bytes], manner: Manner, headers: dict[str, str]) -> None:
        def paced() -> Iterator[bytes]:
            exchange.sleep(manner.first_delay)
            for at, event in enumerate(events):
                if manner.comment_every and at % manner.comment_every == 0:
                    event = b": still working\n\n" + event
                if manner.crlf:
                    event = event.replace(b"\n", b"\r\n")
                step = manner.split_every or len(event)
                yield from (event[cut : cut + step] for cut in range(0, len(event), step))
                if manner.chunks_per_second:
                    exchange.sleep(1 / manner.chunks_per_second)

        exchange.stream(
            paced(), "text/event-stream", odd=not manner.split_every, end=manner.end != "cut", headers=headers
        )

    def _events(
        self, model: RouterModel, answer: Answer, body: dict[str, Any], base: dict[str, Any], manner: Manner
    ) -> Iterator[bytes]:
        """The events of one stream with its end: `[DONE]`, an error, or nothing."""
        chunk = base | {"object": "chat.completion.chunk", "system_fingerprint": ""}
        if model.style == "novita":
            chunk["sla_metrics"] = {"ttft_ms": 274}
        parts = deltas(model, answer)
        if manner.endless:
            parts = ({"content": f" tick{at}"} for at in count())
        for at, delta in enumerate(parts):
            if at == manner.end_after:
                break
            yield _event(chunk, [{"index": 0, "delta": delta, "finish_reason": None}])
        else:
            yield from _last_events(model, answer, chunk, body)
        if manner.end == "error":
            yield b"event: error\ndata: " + json.dumps(self.failure).encode() + b"\n\n"
        elif manner.end == "done":
            yield DONE

    def _replay(self, exchange: FaultyExchange, script: Script) -> None:
        def pieces() -> Iterator[bytes]:
            for piece in script.pieces:
                exchange.sleep(script.delay)
                yield piece

        exchange.stream(
            pieces(), script.content_type, odd=False, end=script.end, status=script.status, headers=script.headers
        )

    def _many(self, model: RouterModel, words: int) -> list[bytes]:
        """A long stream as a few large pieces, made once: for measuring the reader, not this writer."""
        with self._lock:
            if (model.id, words) not in self._prebuilt:
                chunk = {"id": "chatcmpl-many", "object": "chat.completion.chunk", "created": 0, "model": model.id}
                line = _event(chunk, [{"index": 0, "delta": {"content": "@"}, "finish_reason": None}]).decode()
                before, after = line.split("@")
                text = "".join(f"{before}word{at} {after}" for at in range(words))
                text += _event(chunk, [{"index": 0, "delta": {}, "finish_reason": "stop"}]).decode() + DONE.decode()
                data = text.encode()
                self._prebuilt[model.id, words] = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
            return self._prebuilt[model.id, words]


def _event(chunk: dict[str, Any], choices: list[dict[str, Any]], **extra: Any) -> bytes:
    value = {**chunk, "choices": choices, **extra}
    return b"data: " + json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def _last_events(model: RouterModel, answer: Answer, chunk: dict[str, Any], body: dict[str, Any]) -> Iterator[bytes]:
    finish = [{"index": 0, "delta": {}, "finish_reason": answer.finish}]
    if model.style == "groq":
        yield _event(chunk, finish, usage=answer.usage, x_groq={"id": "req_1", "usage": answer.usage})
    elif model.style == "deepseek":
        yield _event(chunk, finish, usage=answer.usage)
    else:
        yield _event(chunk, finish)
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _event(chunk, [], usage=answer.usage)


def shape_problem(body: dict[str, Any]) -> str | None:
    """What serde says about a body that is no chat request, in the words recorded."""
    if "messages" not in body:
        return "missing field `messages`"
    messages = body["messages"]
    if isinstance(messages, str):
        return f'messages: invalid type: string "{messages}", expected a sequence'
    missing = next((at for at, said in enumerate(messages) if "role" not in said), None)
    return None if missing is None else f"messages[{missing}]: missing field `role`"


def tool_problem(messages: list[dict[str, Any]]) -> str | None:
    """Every tool call needs exactly its own results, straight after it: providers refuse anything else."""
    open_calls: set[str] = set()
    for said in messages:
        if said["role"] == "tool":
            if said.get("tool_call_id") not in open_calls:
                return "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            open_calls.remove(said["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = {call["id"] for call in said.get("tool_calls") or []}
    if open_calls:
        return f"These tool calls have no response: {', '.join(sorted(open_calls))}."
    return None
