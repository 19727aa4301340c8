"""One durable write with few and many records in the collection: `python -m benchmarks.durable`.

More on the store, beside stock TinyDB, is in benchmarks/store.py.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import store
from benchmarks.measure import Row, report, spread

AIMS = {100: 2, 10_000: 12}


def rows() -> Iterator[Row]:
    for count, aim in AIMS.items():
        with tempfile.TemporaryDirectory(prefix="moorage-bench-") as folder:
            _, ours, stock = next(store.rows(Path(folder), count))
        beside = f"stock TinyDB {spread(stock, 'ms')}"
        yield Row(
            f"durable write at {count:,} records",
            spread(ours, "ms", 2),
            statistics.median(ours),
            aim,
            "ms",
            note=beside,
        )


if __name__ == "__main__":
    report(rows())
