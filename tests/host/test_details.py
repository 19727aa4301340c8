"""Describing models: four at a time, one call for those who want the same, kept by revision, errors never kept."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from moorage import (
    AuthFailed,
    Gate,
    ModelDetail,
    ModelRef,
    MoorageError,
    NotFound,
    RateLimited,
    SearchPage,
    Unreachable,
    hookimpl,
)
from moorage.search.details import AT_ONCE, COMMIT_SECONDS, FRESH_SECONDS, Details
from tests.conftest import MakeHost

OPEN = Gate(state="open")


class Shelf:
    """Describes any model, as slowly as a test wants, and counts how many calls are under way."""

    def __init__(self) -> None:
        self.asked: list[ModelRef] = []
        self.most = 0
        self.seconds = 0.0
        self.error: MoorageError | None = None
        self.gate = OPEN
        self.partial = False
        self._now = 0
        self._lock = threading.Lock()

    @hookimpl
    def search_models(self) -> SearchPage:
        return SearchPage(results=())

    @hookimpl
    def describe_model(self, ref: ModelRef) -> ModelDetail:
        with self._lock:
            self.asked.append(ref)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            time.sleep(self.seconds)
            if self.error is not None:
                raise self.error
            revision = ref.revision or "newest"
            return ModelDetail(source="shelf", id=ref.id, revision=revision, gate=self.gate, partial=self.partial)
        finally:
            with self._lock:
                self._now -= 1


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def details(shelf: Shelf, clock: Clock) -> Details:
    return Details(lambda ref: shelf.describe_model(ref), clock)


def ref(id: str = "a/one", revision: str | None = None) -> ModelRef:
    return ModelRef(source="shelf", id=id, revision=revision)


def test_fifty_are_asked_for_four_at_a_time(make_host: MakeHost, shelf: Shelf) -> None:
    shelf.seconds = 0.02
    host = make_host(plugins={"shelf": shelf}, only=True)
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda number: host.search.describe("shelf", f"a/{number}"), range(50)))
    assert [detail.id for detail in found] == [f"a/{number}" for number in range(50)]
    assert len(shelf.asked) == 50
    assert shelf.most == AT_ONCE


def test_who_wants_the_same_waits_for_one_call(details: Details, shelf: Shelf) -> None:
    shelf.seconds = 0.1
    with ThreadPoolExecutor(8) as pool:
        assert {detail.revision for detail in pool.map(lambda _: details.get(ref()), range(8))} == {"newest"}
    assert len(shelf.asked) == 1


def test_those_who_wait_hear_of_the_error_too(details: Details, shelf: Shelf) -> None:
    shelf.seconds, shelf.error = 0.1, NotFound("It is gone.")

    def get(_: int) -> str:
        with pytest.raises(NotFound) as raised:
            details.get(ref())
        return str(raised.value)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(get, range(4))) == {"It is gone."}
    assert len(shelf.asked) == 1


@pytest.mark.parametrize(
    "error",
    [
        AuthFailed("401"),
        NotFound("404"),
        RateLimited("429", retry_after=1),
        Unreachable("503"),
    ],
    ids=str,
)
def test_an_error_is_never_kept(details: Details, shelf: Shelf, error: MoorageError) -> None:
    shelf.error = error
    with pytest.raises(type(error)):
        details.get(ref())
    shelf.error = None
    assert details.get(ref()).revision == "newest"


def test_what_could_not_be_read_whole_is_asked_again(details: Details, shelf: Shelf) -> None:
    shelf.partial = True
    assert details.get(ref()).partial
    shelf.partial = False
    assert not details.get(ref()).partial
    assert len(shelf.asked) == 2


def test_a_commit_is_kept_for_longer_than_the_newest(details: Details, shelf: Shelf, clock: Clock) -> None:
    details.get(ref())
    details.get(ref(revision="newest"))
    assert len(shelf.asked) == 1, "the newest has a name, and it is known by it"
    clock.now = FRESH_SECONDS + 1
    details.get(ref(revision="newest"))
    assert len(shelf.asked) == 1
    details.get(ref())
    assert len(shelf.asked) == 2
    clock.now += COMMIT_SECONDS + 1
    details.get(ref(revision="newest"))
    assert len(shelf.asked) == 3


def test_a_gate_that_is_not_open_is_looked_at_again_soon(details: Details, shelf: Shelf, clock: Clock) -> None:
    shelf.gate = Gate(state="accept-licence")
    details.get(ref(revision="c1"))
    clock.now = FRESH_SECONDS + 1
    shelf.gate = OPEN
    assert details.get(ref(revision="c1")).gate.state == "open"


def test_a_slot_is_waited_for_and_then_given_up(details: Details, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.search.details.WAIT_SECONDS", 0.01)
    taken: list[Any] = [details.slot("shelf") for _ in range(AT_ONCE)]
    for slot in taken:
        slot.__enter__()
    with pytest.raises(Unreachable, match="shelf is busy"):
        details.get(ref())
    taken.pop().__exit__(None, None, None)
    assert details.get(ref()).id == "a/one"
    for slot in taken:
        slot.__exit__(None, None, None)


def test_what_has_led_to_a_failure_is_asked_for_anew(details: Details, shelf: Shelf) -> None:
    details.get(ref())
    details.get(ref(), fresh=True)
    assert len(shelf.asked) == 2
    details.get(ref())
    assert len(shelf.asked) == 2, "and what it said then is kept"


def test_what_was_asked_before_settings_changed_is_not_kept(details: Details, shelf: Shelf) -> None:
    shelf.seconds = 0.2
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(details.get, ref())
        while not shelf.asked:
            time.sleep(0.01)
        shelf.gate = Gate(state="sign-in")
        details.forget()
        shelf.gate = OPEN
        assert details.get(ref()).gate.state == "open", "and who comes now does not wait for the old answer"
        before.result()
    assert len(shelf.asked) == 2


def test_a_branch_moves_on(details: Details, shelf: Shelf, clock: Clock) -> None:
    """What is kept for long is a commit; the source says which one a branch means now."""

    def describe(wanted: ModelRef) -> ModelDetail:
        shelf.asked.append(wanted)
        return ModelDetail(source="shelf", id=wanted.id, revision="c0ffee", gate=OPEN)

    details._describe = describe
    details.get(ref(revision="main"))
    details.get(ref(revision="main"))
    details.get(ref(revision="c0ffee"))
    assert [asked.revision for asked in shelf.asked] == ["main", "main"]
