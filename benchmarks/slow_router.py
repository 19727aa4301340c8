"""A router that sends chunks at a steady pace on many streams at once, from one thread.

The text of each chunk is the time at which it was due (seconds of the machine's monotonic clock), so that a reader
knows how late it is. Streams are spread over the time between two chunks, as they would be in life.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1776837885,"model":"bench/slow",'
    b'"choices":[{"index":0,"delta":{"content":"%.5f "},"finish_reason":null}]}\n\n'
)
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Stream(asyncio.Protocol):
    """One connection, one answer of `chunks` chunks."""

    def __init__(self, chunks: int, pause: float) -> None:
        self._left = chunks
        self._pause = pause
        self._asked = b""
        self._due = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        head, end, body = self._asked.partition(b"\r\n\r\n")
        if not end:
            return
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        if len(body) >= length and self._transport is not None and not self._due:
            self._transport.write(HEAD)
            self._due = time.monotonic()
            self._tick()

    def _tick(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = EVENT % self._due if self._left else LAST
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        if not self._left:
            self._transport.write(b"0\r\n\r\n")
            self._transport.close()
            return
        self._left -= 1
        self._due += self._pause
        asyncio.get_running_loop().call_later(max(0.0, self._due - time.monotonic()), self._tick)


async def serve(chunks: int, per_second: float, ready: Callable[[str], None]) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(chunks, 1 / per_second), "127.0.0.1", 0, backlog=1024)
    ready(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await loop.run_in_executor(None, sys.stdin.read)
