"""What Moorage adds to the Hub's own answer to a search: `python -m benchmarks.search`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import httpx

from benchmarks.measure import Row, milliseconds, report, spread
from benchmarks.processes import KEY, child, serving
from moorage.models import SearchQuery
from moorage_huggingface.query import search_params

WORDS = "harbour pilot"
TIMES = 200


def rows() -> Iterator[Row]:
    with child("hub") as hub, serving(HF_ENDPOINT=hub["url"]) as server, httpx.Client() as client:

        def ours(text: str) -> None:
            params = {"q": text, "format": "gguf", "limit": 20}
            answer = client.get(f"{server.url}/api/llm/models/search", params=params).raise_for_status()
            assert len(answer.json()["results"]) == 20

        def direct(text: str) -> None:
            params = search_params(SearchQuery(text=text, format="gguf", limit=20))
            key = {"Authorization": f"Bearer {KEY}"}
            answer = client.get(f"{hub['url']}/api/models", params=params, headers=key).raise_for_status()
            assert len(answer.json()) == 20

        for number in range(10):
            ours(_written(number))
            direct(_written(number))
        alone, through = [], []
        for number in range(10, 10 + TIMES):
            text = _written(number)
            alone.append(milliseconds(lambda text=text: direct(text)))
            through.append(milliseconds(lambda text=text: ours(text)))
        cached = [milliseconds(lambda: ours(_written(9 + TIMES))) for _ in range(TIMES)]
    added = [ours - direct for ours, direct in zip(through, alone, strict=True)]
    beside = f"Hub alone {statistics.median(alone):.1f} ms, through Moorage {statistics.median(through):.1f} ms"
    yield Row(
        "what a search adds to the Hub's answer", spread(added, "ms"), statistics.median(added), 8, "ms", note=beside
    )
    yield Row("a search that is cached", spread(cached, "ms"), statistics.median(cached), 2, "ms")


def _written(number: int) -> str:
    """The same words in other capitals: another text each time, and the same answer."""
    return "".join(c.upper() if number >> at & 1 else c for at, c in enumerate(WORDS))


if __name__ == "__main__":
    report(rows())
