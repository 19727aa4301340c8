"""All measurements, in one table: `python -m benchmarks`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

from benchmarks import chat, download, durable, idle, many, pages, search, size, start
from benchmarks.measure import Row, report


def rows() -> Iterator[Row]:
    for part in (start, idle, search, pages, durable, chat, many, download, size):
        yield from part.rows()


if __name__ == "__main__":
    print(f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} processors.\n", flush=True)
    report(rows())
