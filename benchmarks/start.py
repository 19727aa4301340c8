"""From the start of `moorage serve` to its first page, and its memory after it: `python -m benchmarks.start`."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, report, spread
from benchmarks.processes import Serving

RUNS = 9


def rows() -> Iterator[Row]:
    first, again, memory, work = [], [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="moorage-bench-") as home:
            for seconds in (first, again):
                server = Serving(Path(home))
                seconds.append(server.seconds)
                memory.append(server.memory())
                work.append(server.cpu())
                server.stop()
    beside = f"{spread(work, 's', 2)} of processor time: what is more was waiting for a processor"
    yield Row("start to first page, new home", spread(first, "s", 2), statistics.median(first), 0.8, "s", note=beside)
    yield Row("start to first page, again", spread(again, "s", 2), statistics.median(again), 0.8, "s")
    yield Row("memory after it", spread(memory, "MB"), statistics.median(memory), 70, "MB")


if __name__ == "__main__":
    report(rows())
