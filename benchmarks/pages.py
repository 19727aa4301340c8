"""Page times with 50 plugins, 1,000 providers and 11,000 installs: `python -m benchmarks.pages`."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator

import httpx

from benchmarks.measure import Row, milliseconds, percentile, report, spread
from benchmarks.processes import child

TIMES = 50


def rows() -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="moorage-bench-") as home,
        child("hub") as hub,
        child("site", home, hub["url"]) as site,
        httpx.Client(base_url=site["url"]) as client,
    ):
        for path in site["paths"]:
            size = len(client.get(path).raise_for_status().content)
            found = [milliseconds(lambda path=path: client.get(path).raise_for_status()) for _ in range(TIMES)]
            note = f"p95 {percentile(found, 95):.1f} ms, {size / 1000:,.0f} kB"
            shown = path if len(path) < 40 else f"{path[:39]}…"
            yield Row(f"page {shown}", spread(found, "ms"), statistics.median(found), 20, "ms", note=note)


if __name__ == "__main__":
    report(rows())
