"""The queue in the embedded store, by the contract of all queues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.clock import utc_now
from moorage.installs.stored_queue import StoredQueue
from moorage.store.tinydb import TinyDBStore
from tests.host.installs.queue_contract import MakeQueue, QueueContract, an_install


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TinyDBStore]:
    made = TinyDBStore(tmp_path / "home", url=None)
    yield made
    made.close()


class TestStoredQueue(QueueContract):
    @pytest.fixture
    def queues(self, store: TinyDBStore) -> MakeQueue:
        return lambda: StoredQueue(store, utc_now)


def test_the_history_is_bounded(store: TinyDBStore) -> None:
    queue = StoredQueue(store, utc_now, history=10)
    for number in range(25):
        queue.add(an_install(f"i{number}"))
        queue.change(f"i{number}", state="installed")
    queue.add(an_install("i99"))
    assert [install.id for install in queue.list().items] == ["i99", *(f"i{number}" for number in range(24, 14, -1))]
    assert queue.timeline("i3") == ()
    assert queue.timeline("i20")
