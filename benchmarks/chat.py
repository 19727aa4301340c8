"""Streamed chats against reading the router directly: `python -m benchmarks.chat`."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx

from benchmarks.measure import Row, report, spread
from benchmarks.processes import KEY, child, serving

FIRSTS, RUNS = 100, 5
FEW, MANY = 10, 20_000
Open = Callable[[httpx.Client, int], AbstractContextManager[httpx.Response]]


def rows() -> Iterator[Row]:
    with (
        child("router", FEW, MANY) as router,
        serving(MOORAGE_ROUTER_ENDPOINT=router["url"]) as server,
        httpx.Client(timeout=60) as client,
    ):
        agents = {words: server.agent(f"bench/words-{words}") for words in (FEW, MANY)}

        def ours(client: httpx.Client, words: int) -> AbstractContextManager[httpx.Response]:
            return client.stream("POST", f"{server.url}/api/agents/{agents[words]}/chat", json={"message": "go"})

        def direct(client: httpx.Client, words: int) -> AbstractContextManager[httpx.Response]:
            body = {"model": f"bench/words-{words}", "messages": [{"role": "user", "content": "go"}], "stream": True}
            key = {"Authorization": f"Bearer {KEY}"}
            return client.stream("POST", f"{router['url']}/v1/chat/completions", json=body, headers=key)

        first(client, ours, b"event: text")
        alone, through = [], []
        for _ in range(FIRSTS):
            alone.append(first(client, direct, b'"content"'))
            through.append(first(client, ours, b"event: text"))
        added = [ours - direct for ours, direct in zip(through, alone, strict=True)]
        beside = f"router alone {statistics.median(alone):.1f} ms"
        yield Row(
            "what Moorage adds to a first chunk", spread(added, "ms"), statistics.median(added), 10, "ms", note=beside
        )
        for streams in (1, 8):
            mine, router_alone = [], []
            for _ in range(RUNS):
                router_alone.append(rate(direct, b'"content"', streams))
                mine.append(rate(ours, b"event: text", streams))
            share = statistics.median(mine) / statistics.median(router_alone)
            beside = f"router alone {spread(router_alone, '/s', 0)}: {share:.1%} of it"
            name = f"chunks/s in all, {streams} stream{'s' * (streams > 1)}"
            aim = 15_000 if streams > 1 else None
            yield Row(name, spread(mine, "/s", 0), statistics.median(mine), aim, "/s", least=True, note=beside)


def first(client: httpx.Client, opened: Open, mark: bytes) -> float:
    """Milliseconds from the request to the first chunk of text; the rest is read and not timed."""
    began = time.perf_counter()
    took = 0.0
    with opened(client, FEW) as response:
        for data in response.iter_raw():
            if not took and mark in data:
                took = (time.perf_counter() - began) * 1000
    assert took
    return took


def rate(opened: Open, mark: bytes, streams: int) -> float:
    """Chunks per second over all streams, each on a connection and a thread of its own."""
    counted: list[int] = []

    def read() -> None:
        found, tail = 0, b""
        with httpx.Client(timeout=60) as client, opened(client, MANY) as response:
            for data in response.iter_raw():
                data = tail + data
                found += data.count(mark)
                tail = data[1 - len(mark) :]  # shorter than the mark: nothing is counted twice
        counted.append(found)

    threads = [threading.Thread(target=read) for _ in range(streams)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    assert counted == [MANY] * streams, counted
    return MANY * streams / took


if __name__ == "__main__":
    report(rows())
