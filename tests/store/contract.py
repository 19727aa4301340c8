"""What every store must do. A backend's tests inherit `StoreContract` and give it `open_store`.

class TestMine(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda: MyStore(tmp_path)     # the same data each time
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from moorage.errors import Conflict, InvalidInput, StoreError
from moorage.store import Collection, Store
from tests.store.pages_contract import PagesContract
from tests.store.sequences import SequenceContract
from tests.store.things import OpenStore, Other, Part, Thing, ids, put

UNKIND = [
    "ä ö ü €",
    "日本語",
    "🙂‍↔️",
    'a "quoted" \\ word',
    "line\nbreak\ttab",
    "\x00\x1f",
    "../../etc/passwd",
    "_meta",
    " ",
]


class StoreContract(PagesContract, SequenceContract):
    """Inherit it with the name `Test…`; nothing here may be left out or changed."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        raise NotImplementedError("give the backend under test")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[Store]:
        store = open_store()
        yield store
        store.close()

    @pytest.fixture
    def reopen(self, store: Store, open_store: OpenStore) -> Iterator[OpenStore]:
        """Close what is open and open it again, as a restart does."""
        opened = [store]

        def again() -> Store:
            opened[-1].close()
            opened.append(open_store())
            return opened[-1]

        yield again
        opened[-1].close()

    @pytest.fixture
    def things(self, store: Store) -> Collection[Thing]:
        return store.collection("things", Thing)

    # -- one document -------------------------------------------------------------------------------------------

    def test_an_empty_collection(self, things: Collection[Thing]) -> None:
        assert things.get("a") is None
        assert list(things.list()) == []
        assert things.count() == 0
        assert things.delete("a") is False
        page = things.query()
        assert (page.items, page.next) == ((), None)

    def test_put_returns_what_is_stored_with_the_next_version(self, things: Collection[Thing]) -> None:
        first = things.put(Thing(id="a", name="one"))
        assert first == Thing(id="a", name="one", version=1)
        second = things.put(first.model_copy(update={"name": "two"}))
        assert second == Thing(id="a", name="two", version=2)
        assert things.get("a") == second

    @pytest.mark.parametrize("version", [0, 1, 3, -1])
    def test_a_stale_version_is_a_conflict_and_changes_nothing(self, things: Collection[Thing], version: int) -> None:
        stored = things.put(things.put(Thing(id="a")))
        with pytest.raises(Conflict):
            things.put(Thing(id="a", name="lost", version=version))
        assert things.get("a") == stored

    def test_a_new_document_has_version_0(self, things: Collection[Thing]) -> None:
        with pytest.raises(Conflict):
            things.put(Thing(id="a", version=1))
        assert things.get("a") is None

    def test_delete(self, things: Collection[Thing]) -> None:
        put(things, Thing(id="a"), Thing(id="b"))
        assert things.delete("a") is True
        assert things.delete("a") is False
        assert ids(things.list()) == ["b"]

    def test_delete_of_a_version(self, things: Collection[Thing]) -> None:
        stored = things.put(things.put(Thing(id="a")))
        for stale in (0, 1, 3):
            with pytest.raises(Conflict):
                things.delete("a", version=stale)
        assert things.get("a") == stored
        assert things.delete("a", version=2) is True
        assert things.delete("a", version=2) is False

    def test_what_was_deleted_can_be_put_as_new(self, things: Collection[Thing]) -> None:
        stored = things.put(Thing(id="a"))
        things.delete("a")
        with pytest.raises(Conflict):
            things.put(stored)
        assert things.put(Thing(id="a")).version == 1

    @pytest.mark.parametrize("text", UNKIND)
    def test_any_text_comes_back(self, things: Collection[Thing], reopen: OpenStore, text: str) -> None:
        stored = things.put(Thing(id=text, name=text, extra={text: [text]}))
        again = reopen().collection("things", Thing)
        assert again.get(text) == stored
        assert stored.name == text

    def test_broken_text_is_refused(self, things: Collection[Thing]) -> None:
        with pytest.raises(InvalidInput):
            things.put(Thing(id="a", extra={"x": ["\ud800"]}))
        assert things.count() == 0

    def test_what_could_not_be_read_again_is_refused(self, things: Collection[Thing]) -> None:
        stored = things.put(Thing(id="a"))
        with pytest.raises(StoreError, match="rank"):
            things.put(stored.model_copy(update={"rank": "high"}))
        assert things.get("a") == stored

    def test_a_document_is_the_same_before_and_after_a_restart(
        self, things: Collection[Thing], reopen: OpenStore
    ) -> None:
        moment = datetime(2026, 3, 29, 2, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
        parts = (Part(label="x", size=2**53), Part(label="y"))
        given = Thing(id="a", at=moment, parts=parts, rank=0.1, extra={"n": [1, 2.5, None, True, {"deep": {}}]})
        stored = things.put(given)
        assert stored.model_copy(update={"version": 0, "at": moment}) == given
        assert stored.at is not None
        assert abs(stored.at - moment) < timedelta(milliseconds=1)
        assert reopen().collection("things", Thing).get("a") == stored

    def test_the_stored_document_is_not_the_callers(self, things: Collection[Thing], reopen: OpenStore) -> None:
        extra: dict[str, Any] = {"list": [1]}
        things.put(Thing(id="a", extra=extra))
        extra["list"].append(2)
        found = things.get("a")
        assert found is not None
        assert found.extra == {"list": [1]}

    # -- collections --------------------------------------------------------------------------------------------

    def test_collections_are_apart(self, store: Store, things: Collection[Thing]) -> None:
        others = store.collection("others", Other)
        first, second = store.collection("transcripts/c-1", Thing), store.collection("transcripts/c-2", Thing)
        put(things, Thing(id="a", name="thing"))
        others.put(Other(id="a", name="other"))
        put(first, Thing(id="a", name="first"))
        assert second.get("a") is None
        assert (others.get("a"), first.get("a")) == (
            Other(id="a", name="other", version=1),
            Thing(id="a", name="first", version=1),
        )

    def test_the_same_name_is_the_same_collection(self, store: Store, things: Collection[Thing]) -> None:
        store.collection("things", Thing).put(Thing(id="a"))
        assert things.get("a") is not None
        store.collection("transcripts/c-1", Thing).put(Thing(id="a"))
        assert store.collection("transcripts/c-1", Thing).get("a") is not None

    def test_drop(self, store: Store, things: Collection[Thing], reopen: OpenStore) -> None:
        transcript = store.collection("transcripts/c-1", Thing)
        for collection in (things, transcript):
            collection.put(Thing(id="a"))
        for name in ("things", "transcripts/c-1", "nothing", "transcripts/c-9"):
            store.drop(name)
        assert store.collection("things", Thing).count() == 0
        again = reopen()
        assert again.collection("things", Thing).count() == 0
        assert again.collection("transcripts/c-1", Thing).count() == 0
        assert list(again.notices) == []

    def test_a_dropped_collection_is_not_brought_back(self, store: Store, things: Collection[Thing]) -> None:
        stored = things.put(Thing(id="a"))
        store.drop("things")
        with pytest.raises(StoreError):
            things.put(stored)
        with pytest.raises(StoreError):
            things.delete("a")
        assert store.collection("things", Thing).put(Thing(id="a")).version == 1

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            "..",
            "../x",
            "x/../y",
            "/etc/x",
            "a/b/c",
            "a\\b",
            "a\x00b",
            "things.json",
            "x" * 300,
            "a/",
            "/a",
            "Ä",
        ],
    )
    def test_names_stay_inside(self, store: Store, name: str) -> None:
        with pytest.raises(ValueError, match="name"):
            store.collection(name, Thing)
        with pytest.raises(ValueError, match="name"):
            store.drop(name)

    def test_a_closed_store_takes_nothing(self, store: Store, things: Collection[Thing]) -> None:
        stored = things.put(Thing(id="a"))
        store.close()
        store.close()
        with pytest.raises(StoreError):
            things.put(stored)
        with pytest.raises(StoreError):
            things.delete("a")
        with pytest.raises(StoreError):
            store.collection("others", Other)
        with pytest.raises(StoreError):
            store.drop("things")

    # -- many at once -------------------------------------------------------------------------------------------

    def test_eight_threads_lose_no_write(self, things: Collection[Thing], reopen: OpenStore) -> None:
        start = threading.Barrier(8)

        def work(number: int) -> None:
            start.wait()
            for index in range(200):
                things.put(Thing(id=f"{number}-{index}"))

        _run([threading.Thread(target=work, args=(number,)) for number in range(8)])
        assert things.count() == 1600
        again = reopen().collection("things", Thing)
        assert set(ids(again.list())) == {f"{number}-{index}" for number in range(8) for index in range(200)}

    def test_of_eight_writers_of_one_version_one_wins(self, things: Collection[Thing]) -> None:
        wins: list[int] = []
        conflicts: list[int] = []
        start = threading.Barrier(8)

        def work(number: int) -> None:
            for round in range(20):
                start.wait()
                seen = things.get("a")
                start.wait()
                changed = (seen or Thing(id="a")).model_copy(update={"name": f"{number}"})
                try:
                    things.put(changed)
                    wins.append(round)
                except Conflict:
                    conflicts.append(round)

        _run([threading.Thread(target=work, args=(number,)) for number in range(8)])
        assert sorted(wins) == list(range(20))
        assert len(conflicts) == 140

    def test_readers_see_whole_states_while_others_write(self, things: Collection[Thing]) -> None:
        put(things, *(Thing(id=f"t{n}", rank=n) for n in range(50)))
        done = threading.Event()
        wrong: list[object] = []

        def write() -> None:
            for n in range(100):
                stored = things.get(f"t{n % 50}")
                assert stored is not None
                things.put(stored.model_copy(update={"rank": float(-n)}))
                things.put(Thing(id=f"new-{n}", rank=1000 + n))
                things.delete(f"new-{n}")
            done.set()

        def read() -> None:
            while not done.wait(0.002):  # a pause, as the writer could hardly get a turn otherwise
                page = things.query({"name": "thing"}, order_by="rank")
                ranks = [item.rank for item in page.items]
                if ranks != sorted(ranks) or not 50 <= len(ranks) <= 51:
                    wrong.append(ranks)
                if not 50 <= len(things.list()) <= 51:
                    wrong.append(things.list())

        _run([threading.Thread(target=write), *(threading.Thread(target=read) for _ in range(3))])
        assert wrong == []


def _run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
