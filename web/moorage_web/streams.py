"""Server-sent events: those of a chat and those of the host.

The chat is the hot path, so its bytes are put together by hand.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import orjson
from flask import Response

from moorage.events import Event, Subscription

EVENT_STREAM = "text/event-stream"
COMMENT = b":\n\n"
ALIVE_SECONDS = 1.0  # API.md promises a comment at least every 2 s
RETRY = b"retry: 1000\n\n"


class ChatEvent(Protocol):
    type: Any
    data: dict[str, Any]


class Turn(Protocol):
    """What `host.chat.send` returns."""

    def run(self) -> Iterator[Any]: ...

    def close(self) -> None: ...


def stream_response(chunks: Iterable[bytes], close: Callable[[], None]) -> Response:
    """`close` is called when the response ends or its client leaves, also when nobody ever read from it."""
    response = Response(chunks, content_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})
    response.call_on_close(close)
    return response


def chat_response(turn: Turn) -> Response:
    """One answer as events; a client that leaves stops the remote."""
    return stream_response(_chat(turn), turn.close)


def _chat(turn: Turn) -> Iterator[bytes]:
    number = 0
    for batch in turn.run():
        if not batch:
            yield COMMENT
            continue
        parts: list[bytes] = []
        for event in batch:
            number += 1
            if event.type == "text":
                parts.append(
                    b'event: text\nid: %d\ndata: {"delta":%b}\n\n' % (number, orjson.dumps(event.data["delta"]))
                )
            else:
                parts.append(
                    b"event: %b\nid: %d\ndata: %b\n\n" % (event.type.encode(), number, orjson.dumps(event.data))
                )
        yield b"".join(parts)


def events_response(subscription: Subscription) -> Response:
    """The host's events until the client leaves or the host closes."""
    return stream_response(_events(subscription), subscription.close)


def _events(subscription: Subscription) -> Iterator[bytes]:
    yield RETRY
    while True:
        try:
            event = subscription.get(ALIVE_SECONDS)
        except queue.Empty:
            yield COMMENT
            continue
        parts: list[bytes] = []
        while event is not None:
            parts.append(_event(event))
            try:
                event = subscription.get(0.0)
            except queue.Empty:
                break
        if parts:
            yield b"".join(parts)
        if event is None:
            return


def _event(event: Event) -> bytes:
    data = event.model_dump_json(by_alias=True).encode()
    return b"event: %b\nid: %d\ndata: %b\n\n" % (event.type.encode(), event.id, data)
