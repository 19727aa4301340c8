"""Any sequence of writes leaves a store as it would leave a dict; part of the contract, found by hypothesis."""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.errors import Conflict
from moorage.store import Collection
from tests.store.things import OpenStore, Thing, ids, pages

IDS = st.sampled_from(["a", "b", "c", "d", "é", "B"])
RANKS = st.sampled_from([-1.5, 0.0, 0.0, 2.0, 1e300])


class Put(NamedTuple):
    id: str
    rank: float
    stale: bool


class Delete(NamedTuple):
    id: str
    stale: bool


class Restart(NamedTuple):
    pass


STEPS = st.lists(
    st.one_of(
        st.builds(Put, IDS, RANKS, st.sampled_from([False, False, False, True])),
        st.builds(Delete, IDS, st.sampled_from([False, False, True])),
        st.builds(Restart),
    ),
    max_size=25,
)


class SequenceContract:
    """A part of StoreContract, whose fixtures it uses."""

    @pytest.fixture
    def numbers(self) -> count[int]:
        return count()

    @given(steps=STEPS, limit=st.integers(1, 7))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_sequence_of_writes(self, reopen: OpenStore, numbers: count[int], steps: list[Any], limit: int) -> None:
        name = f"run-{next(numbers)}"
        things = reopen().collection(name, Thing)
        model: dict[str, Thing] = {}
        for step in steps:
            if isinstance(step, Put):
                do_put(things, model, step)
            elif isinstance(step, Delete):
                do_delete(things, model, step)
            else:
                things = reopen().collection(name, Thing)
            same(things, model, limit)


def do_put(things: Collection[Thing], model: dict[str, Thing], step: Put) -> None:
    version = model[step.id].version if step.id in model else 0
    thing = Thing(id=step.id, rank=step.rank, version=version + step.stale)
    try:
        model[step.id] = things.put(thing)
        assert model[step.id] == thing.model_copy(update={"version": version + 1})
        assert not step.stale
    except Conflict:
        assert step.stale


def do_delete(things: Collection[Thing], model: dict[str, Thing], step: Delete) -> None:
    version = model[step.id].version + step.stale if step.id in model else None
    try:
        assert things.delete(step.id, version=version) == (step.id in model)
        assert not (step.stale and step.id in model)
        model.pop(step.id, None)
    except Conflict:
        assert step.stale


def same(things: Collection[Thing], model: dict[str, Thing], limit: int) -> None:
    first_put, ranked = list(model), [item.id for item in sorted(model.values(), key=lambda item: (item.rank, item.id))]
    assert list(things.list()) == list(model.values())
    assert things.count() == len(model)
    for order_by, wanted in ((None, first_put), ("rank", ranked)):
        assert ids(things.query(order_by=order_by).items) == wanted
        assert [id for page in pages(things, limit, order_by=order_by) for id in page] == wanted
        backwards = pages(things, limit, order_by=order_by, descending=True)
        assert [id for page in backwards for id in page] == wanted[::-1]
    zero = [id for id in first_put if model[id].rank == 0]
    assert ids(things.query({"rank": 0.0}).items) == zero
    assert things.count({"rank": 0.0}) == len(zero)
