"""Lists and pages: the part of the contract about order, selection and cursors."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from moorage.errors import InvalidInput
from moorage.store import Collection, Store
from tests.store.things import START, OpenStore, Other, Thing, ids, pages, put


class PagesContract:
    """A part of StoreContract, whose fixtures it uses."""

    def test_the_order_of_first_put_stays(self, things: Collection[Thing], reopen: OpenStore) -> None:
        names = ["m", "a", "z", "b"]
        put(things, *(Thing(id=name) for name in names))
        stored = things.get("m")
        assert stored is not None
        things.put(stored.model_copy(update={"name": "changed"}))
        assert ids(things.list()) == names
        assert ids(things.query().items) == names
        assert ids(things.query(descending=True).items) == names[::-1]
        assert ids(reopen().collection("things", Thing).list()) == names

    def test_where(self, things: Collection[Thing]) -> None:
        put(
            things,
            Thing(id="a", state="new", name="x"),
            Thing(id="b", state="old", name="x"),
            Thing(id="c", state="gone", name="y", at=START),
        )
        for where, wanted in (
            (None, ["a", "b", "c"]),
            ({}, ["a", "b", "c"]),
            ({"state": "old"}, ["b"]),
            ({"state": "nothing"}, []),
            ({"state": ["new", "gone"]}, ["a", "c"]),
            ({"state": ("new", "gone"), "name": "x"}, ["a"]),
            ({"state": {"old"}, "name": {"y"}}, []),
            ({"state": frozenset()}, []),
            ({"at": None}, ["a", "b"]),
            ({"at": START}, ["c"]),
            ({"id": ["c", "a"]}, ["a", "c"]),
        ):
            assert ids(things.query(where).items) == wanted, where
            assert things.count(where) == len(wanted), where

    @pytest.mark.parametrize("descending", [False, True])
    def test_order_by_a_field_with_ties_by_id(self, things: Collection[Thing], descending: bool) -> None:
        put(
            things,
            Thing(id="c", rank=1.5),
            Thing(id="b", rank=2),
            Thing(id="a", rank=2),
            Thing(id="e", rank=-1),
            Thing(id="d", rank=10),
        )
        wanted = ["e", "c", "a", "b", "d"]
        found = ids(things.query(order_by="rank", descending=descending).items)
        assert found == (wanted[::-1] if descending else wanted)

    def test_order_by_a_time_that_may_be_missing(self, things: Collection[Thing]) -> None:
        put(
            things,
            Thing(id="late", at=START + timedelta(hours=1)),
            Thing(id="none"),
            # An earlier moment than START, though its text sorts after it.
            Thing(id="early", at=(START - timedelta(minutes=1)).astimezone(timezone(timedelta(hours=5)))),
            Thing(id="start", at=START),
        )
        assert ids(things.query(order_by="at").items) == ["none", "early", "start", "late"]

    def test_order_follows_changes(self, things: Collection[Thing]) -> None:
        put(things, Thing(id="a", rank=1), Thing(id="b", rank=2))
        assert ids(things.query(order_by="rank").items) == ["a", "b"]
        stored = things.get("a")
        assert stored is not None
        things.put(stored.model_copy(update={"rank": 3.0}))
        assert ids(things.query(order_by="rank").items) == ["b", "a"]
        things.delete("b")
        assert ids(things.query(order_by="rank").items) == ["a"]

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("order_by", [None, "name", "rank", "at"])
    @pytest.mark.parametrize("limit", [1, 3, 10, 11])
    def test_pages_have_everything_once(
        self, things: Collection[Thing], order_by: str | None, limit: int, descending: bool
    ) -> None:
        put(
            things,
            *(
                Thing(id=f"t{n}", name=f"{n % 3}", rank=n % 4, at=None if n % 2 else START + timedelta(hours=n % 5))
                for n in range(10)
            ),
        )
        whole = ids(things.query(order_by=order_by, descending=descending).items)
        found = list(pages(things, limit, order_by=order_by, descending=descending))
        assert [id for page in found for id in page] == whole
        assert len(whole) == 10
        assert all(len(page) == limit for page in found[:-1])
        assert found[-1], "the last page is never empty"

    def test_pages_of_a_selection(self, things: Collection[Thing]) -> None:
        put(things, *(Thing(id=f"t{n}", state="even" if n % 2 == 0 else "odd") for n in range(7)))
        assert list(pages(things, 2, where={"state": "even"})) == [["t0", "t2"], ["t4", "t6"]]

    @pytest.mark.parametrize("order_by", [None, "rank"])
    def test_pages_skip_and_repeat_nothing_while_documents_come_and_go(
        self, things: Collection[Thing], order_by: str | None
    ) -> None:
        put(things, *(Thing(id=f"t{n}", rank=n) for n in range(8)))
        page = things.query(order_by=order_by, limit=4)
        assert ids(page.items) == ["t0", "t1", "t2", "t3"]
        things.delete("t1")
        things.delete("t3")
        page = things.query(order_by=order_by, limit=2, cursor=page.next)
        assert ids(page.items) == ["t4", "t5"]
        put(things, Thing(id="t8", rank=8))
        things.delete("t5")
        assert ids(things.query(order_by=order_by, cursor=page.next).items) == ["t6", "t7", "t8"]

    def test_a_cursor_lasts_over_a_restart(self, things: Collection[Thing], reopen: OpenStore) -> None:
        put(things, *(Thing(id=f"t{n}", rank=-n) for n in range(6)))
        things.delete("t0")
        cursors = {order: things.query(order_by=order, limit=2).next for order in (None, "rank")}
        again = reopen().collection("things", Thing)
        assert ids(again.query(cursor=cursors[None]).items) == ["t3", "t4", "t5"]
        assert ids(again.query(order_by="rank", cursor=cursors["rank"]).items) == ["t3", "t2", "t1"]

    @pytest.mark.parametrize(
        "cursor", ["", "x", "AAAA", "W10", "!!!", "ä", "bnVsbA", "WyJ0aGluZ3MiXQ", "W1" * 30_000, "W1tb" * 1250]
    )
    def test_a_cursor_that_is_none(self, things: Collection[Thing], cursor: str) -> None:
        put(things, Thing(id="a"), Thing(id="b"))
        with pytest.raises(InvalidInput) as caught:
            things.query(cursor=cursor)
        assert [error.field for error in caught.value.errors] == ["cursor"]

    def test_a_cursor_of_another_list(self, store: Store, things: Collection[Thing]) -> None:
        put(things, *(Thing(id=f"t{n}") for n in range(3)))
        cursor = things.query(limit=1).next
        assert cursor is not None
        with pytest.raises(InvalidInput):
            things.query(order_by="name", cursor=cursor)
        with pytest.raises(InvalidInput):
            things.query(descending=True, cursor=cursor)
        with pytest.raises(InvalidInput):
            store.collection("others", Other).query(cursor=cursor)

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_page_needs_a_length(self, things: Collection[Thing], limit: int) -> None:
        with pytest.raises(InvalidInput):
            things.query(limit=limit)

    def test_unknown_fields_are_a_mistake_of_the_program(self, things: Collection[Thing]) -> None:
        with pytest.raises(ValueError, match="colour"):
            things.query({"colour": "red"})
        with pytest.raises(ValueError, match="colour"):
            things.query(order_by="colour")
        with pytest.raises(ValueError, match="colour"):
            things.count({"colour": "red"})
