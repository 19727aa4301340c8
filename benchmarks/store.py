"""What the embedded store costs, beside stock TinyDB on the same disk: `python -m benchmarks.store`.

Documents are install records of about 0.5 kB. A put of stock TinyDB is one `update` of one document; unlike ours it can
lose the whole file when the process is killed in it.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tinydb import TinyDB, where

from moorage.models import Install
from moorage.store.files import CollectionDatabase
from moorage.store.tinydb import TinyDBStore

START = datetime(2026, 5, 21, 10, 0, tzinfo=UTC)
STATES = ("queued", "running", "installed", "installed", "installed", "failed")


def main() -> None:
    print(f"{'documents':>9}  {'operation':<34}{'ours, ms':>9}{'p95':>8}{'stock, ms':>11}{'ratio':>8}")
    for count in (100, 10_000):
        with tempfile.TemporaryDirectory(prefix="moorage-bench-") as folder:
            for name, ours, stock in rows(Path(folder), count):
                median, p95 = statistics.median(ours), statistics.quantiles(ours, n=20)[-1]
                line = f"{count:>9}  {name:<34}{median:>9.3f}{p95:>8.2f}"
                if stock:
                    beside = statistics.median(stock)
                    line += f"{beside:>11.3f}{beside / median:>8.0f}x"
                print(line, flush=True)


def rows(folder: Path, count: int) -> Iterator[tuple[str, list[float], list[float]]]:
    """Name, milliseconds of each run of ours, and of stock TinyDB where it can do the same."""
    chance = random.Random(1)
    fill(folder, count)
    store = TinyDBStore(folder / "home", url=None)
    installs = store.collection("installs", Install)
    stock = TinyDB(folder / "stock.json")

    def put() -> None:
        found = installs.get(f"install-{chance.randrange(count)}")
        assert found is not None
        installs.put(found.model_copy(update={"completed": found.completed + 1}))

    def stock_put() -> None:
        stock.update({"completed": chance.random()}, doc_ids=[chance.randrange(1, count + 1)])

    times = 300 if count <= 100 else 60
    yield "durable put", timed(put, times), timed(stock_put, min(times, 20))

    wanted = {"state": ["installed", "failed"]}

    def page() -> None:
        assert len(installs.query(wanted, order_by="created_at", descending=True, limit=50).items) == 50

    def deep() -> None:
        installs.query(wanted, order_by="created_at", descending=True, limit=50, cursor=cursor)

    def after_write() -> Iterator[float]:
        for _ in range(20):
            put()
            yield from timed(page, 1)

    def stock_page() -> None:
        stock.clear_cache()
        found = stock.search(where("state").one_of(wanted["state"]))
        sorted(found, key=lambda item: str(item["created_at"]), reverse=True)[:50]

    cursor = installs.query(wanted, order_by="created_at", descending=True, limit=count // 2).next
    yield "first page of 50, filtered, ordered", timed(page, 200), timed(stock_page, 10)
    yield "page of 50 from the middle", timed(deep, 200), []
    yield "first page right after a put", list(after_write()), []
    yield "count by state", timed(lambda: installs.count(wanted), 50), []
    yield "get by id", timed(lambda: installs.get("install-7"), 1000), timed(lambda: stock.get(doc_id=7), 10)
    yield "list", timed(installs.list, 100), timed(stock.all, 10)
    store.close()

    def reopen() -> None:
        opened = TinyDBStore(folder / "home", url=None)
        opened.collection("installs", Install)
        opened.close()

    yield "open the store and the collection", timed(reopen, 10), []
    stock.close()


def fill(folder: Path, count: int) -> None:
    documents = [install(number) for number in range(count)]
    values = {item.id: item.model_dump(mode="json") for item in documents}
    TinyDBStore(folder / "home", url=None).close()
    with CollectionDatabase(folder / "home" / "store" / "installs.json") as database:
        database.storage.write({"documents": values})
    with TinyDB(folder / "stock.json") as stock:
        stock.insert_multiple(values.values())


def install(number: int) -> Install:
    return Install(
        id=f"install-{number}",
        version=1,
        source="huggingface",
        model=f"somebody/a-model-of-some-length-{number}-GGUF",
        file=f"a-model-of-some-length-{number}-Q4_K_M.gguf",
        quantization="Q4_K_M",
        revision="0" * 40,
        target="builtin",
        state=STATES[number % len(STATES)],
        total=4_000_000_000,
        created_at=START + timedelta(seconds=number * 7919 % 100_000),
    )


def timed(action: Callable[[], object], times: int) -> list[float]:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        found.append((time.perf_counter() - began) * 1000)
    return found


if __name__ == "__main__":
    main()
