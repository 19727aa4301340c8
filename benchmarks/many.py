"""400 slow streams at once, none dropped: `python -m benchmarks.many [STREAMS]`.

A stream is whole when every chunk of it came, in order, and then its end. A chunk's delay is from when the router was
due to send it until the reader had it; the router and the reader share the machine's processors with Moorage.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.measure import Row, percentile, report
from benchmarks.processes import KEY, child, serving

STREAMS, PER_SECOND, SECONDS = 400, 20, 10
CHUNKS = PER_SECOND * SECONDS
DIRECT = re.compile(rb'"content":"([\d.]+) "')
OURS = re.compile(rb'"delta":"([\d.]+) "')


@dataclass
class Read:
    """One stream as it was read: when each chunk was due, and how late it came (seconds)."""

    due: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    ended: bool = False

    @property
    def whole(self) -> bool:
        return self.ended and len(self.due) == CHUNKS and self.due == sorted(self.due)

    @property
    def rate(self) -> float:
        """Chunks per second between the first and the last."""
        return (len(self.came) - 1) / (self.came[-1] - self.came[0]) if len(self.came) > 1 else 0.0


class Reader(asyncio.Protocol):
    def __init__(self, request: bytes, pattern: re.Pattern[bytes], end: bytes, done: asyncio.Future[Read]) -> None:
        self._request = request
        self._pattern = pattern
        self._end = end
        self._done = done
        self._rest = b""
        self._read = Read()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        data = self._rest + data
        used = 0
        for match in self._pattern.finditer(data):
            due = float(match[1])
            self._read.due.append(due)
            self._read.late.append(now - due)
            self._read.came.append(now)
            used = match.end()
        if self._end in data:
            self._read.ended = True
            self._transport.close()
        self._rest = data[used:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(self._read)


async def read_all(
    url: str, path: str, body: bytes, pattern: re.Pattern[bytes], end: bytes, streams: int
) -> list[Read]:
    parts = urlsplit(url)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    readers: list[asyncio.Future[Read]] = []
    for _ in range(streams):
        done: asyncio.Future[Read] = loop.create_future()
        readers.append(done)
        await loop.create_connection(
            lambda done=done: Reader(head + body, pattern, end, done), parts.hostname, parts.port
        )
    async with asyncio.timeout(SECONDS * 6):
        return list(await asyncio.gather(*readers))


def rows(streams: int = STREAMS) -> Iterator[Row]:
    with (
        child("slow_router", CHUNKS, PER_SECOND) as router,
        serving(MOORAGE_ROUTER_ENDPOINT=router["url"]) as server,
    ):
        body = b'{"model":"bench/slow","messages":[{"role":"user","content":"go"}],"stream":true}'
        alone = asyncio.run(read_all(router["url"], "/v1/chat/completions", body, DIRECT, b"[DONE]", streams))
        path = f"/api/agents/{server.agent('bench/slow')}/chat"
        used, began = server.cpu(), time.monotonic()
        through = asyncio.run(read_all(server.url, path, b'{"message":"go"}', OURS, b"event: end", streams))
        share = (server.cpu() - used) / (time.monotonic() - began)
        memory = server.memory()
    name = f"{streams} streams of {PER_SECOND} chunks/s"
    whole = sum(read.whole for read in through)
    yield Row(
        f"{name}: whole",
        f"{whole} of {streams}",
        whole,
        streams - 1,
        "streams",
        least=True,
        note=f"{CHUNKS} chunks each",
    )
    beside = f"router alone {_rate(alone)}; {share:.0%} of one processor, {memory:.0f} MB"
    yield Row(f"{name}: rate of each", _rate(through), note=beside)
    yield Row(f"{name}: delay of a chunk", _delay(through), note=f"router alone {_delay(alone)}")
    yield Row(f"{name}: delay once all have begun", _delay(through, settled=True))


def _rate(reads: list[Read]) -> str:
    rates = [read.rate for read in reads]
    return f"{statistics.mean(rates):.2f} /s (slowest {min(rates):.2f})"


def _delay(reads: list[Read], settled: bool = False) -> str:
    """Of all chunks, or of those that were due after the last stream had begun."""
    since = max(read.came[0] for read in reads) if settled else 0.0
    late = [late * 1000 for read in reads for late, due in zip(read.late, read.due, strict=True) if due >= since]
    return f"{statistics.median(late):.1f} ms, p95 {percentile(late, 95):.0f}, p99 {percentile(late, 99):.0f}"


if __name__ == "__main__":
    report(rows(int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS))
