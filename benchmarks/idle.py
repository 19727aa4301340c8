"""What an idle server costs with a thousand scheduled installs and saved searches: `python -m benchmarks.idle`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from benchmarks.measure import Row, report
from benchmarks.processes import Serving
from moorage.clock import utc_now
from moorage.installs.stored_queue import StoredQueue
from moorage.models import Install, ModelHit, SavedQuery, SavedSearch, WhenWindow, Window
from moorage.saved_searches.asking import Asked
from moorage.saved_searches.memory import Memories
from moorage.saved_searches.rounds import Look, Looks
from moorage.store.tinydb import TinyDBStore

SCHEDULED = 1000
SETTLE_SECONDS = 5.0
SECONDS = 30.0
LOOK_UPS = "the timer looks at the wall clock every 30 s"


def schedule(home: Path, number: int) -> None:
    """Half of them at a time, half in a window; all of them tomorrow."""
    store = TinyDBStore(home, url=None)
    queue = StoredQueue(store, utc_now)
    now = utc_now()
    for each in range(number):
        tomorrow = now + timedelta(hours=20, seconds=each)
        window = WhenWindow(window=Window(from_=f"{tomorrow:%H:%M}", to=f"{now:%H:%M}", time_zone="UTC"))
        queue.add(
            Install(
                id=f"install-{each:06}",
                source="huggingface",
                model=f"acme/m{each}-GGUF",
                file="m-Q4_K_M.gguf",
                target="builtin",
                road="import",
                state="scheduled",
                total=4_000_000_000,
                when=tomorrow if each % 2 else window,
                starts_at=tomorrow,
                created_at=now,
            )
        )
    store.close()


def save(home: Path, number: int) -> None:
    """Daily searches that have seen 200 models each, due tomorrow."""
    store = TinyDBStore(home, url=None)
    searches, looks, memories = store.collection("saved_searches", SavedSearch), Looks(store), Memories(store)
    now = utc_now()
    for each in range(number):
        id, query = f"search-{each:06}", SavedQuery(q=f"boat {each}", format="gguf")
        hits = [ModelHit(source="huggingface", id=f"acme/boat-{each}-{other}-GGUF") for other in range(200)]
        asked = Asked(query, hits={"huggingface": hits})
        memories.begin(id, query)
        memories.change(id, lambda memory, asked=asked: memory.learned(asked, now, ruled=False))  # type: ignore[misc]
        looks.add(Look(id=id, due_at=now + timedelta(hours=20, seconds=each), last_run_at=now))
        searches.put(SavedSearch(id=id, name=f"Boats {each}", query=query, created_at=now, updated_at=now))
    store.close()


def idle(number: int) -> tuple[float, float, float]:
    """Share of one processor in percent while nobody asks, MB of memory, and seconds to the first page."""
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as home:
        schedule(Path(home), number)
        save(Path(home), number)
        server = Serving(Path(home))
        try:
            time.sleep(SETTLE_SECONDS)
            before = server.cpu()
            time.sleep(SECONDS)
            return (server.cpu() - before) / SECONDS * 100, server.memory(), server.seconds
        finally:
            server.stop()


def rows() -> Iterator[Row]:
    share, memory, seconds = idle(SCHEDULED)
    without, little, _ = idle(0)
    shown = f"{share:.2f} % of one processor ({without:.2f} with none)"
    yield Row(f"idle with {SCHEDULED} scheduled and {SCHEDULED} searches", shown, share, 1.0, "%", note=LOOK_UPS)
    yield Row("memory then", f"{memory:.1f} MB ({little:.1f} with none)", memory, 100, "MB")
    yield Row("start to first page then", f"{seconds:.2f} s", seconds, 2.0, "s")


if __name__ == "__main__":
    report(rows())
