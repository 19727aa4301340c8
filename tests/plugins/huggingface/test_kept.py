"""Memory with an end: by number, by weight and by age."""

from __future__ import annotations

import threading

from moorage_huggingface.kept import Kept
from moorage_huggingface.limits import KNOWN, Limits, Place
from tests.plugins.huggingface.conftest import Clock


def test_the_last_used_stay() -> None:
    kept: Kept[str, int] = Kept(2, None, Clock())
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), len(kept._entries)) == (1, None, 3, 2)
    kept.put("a", 9)
    assert (kept.get("a"), len(kept._entries)) == (9, 2)


def test_weight_counts() -> None:
    kept: Kept[str, tuple[int, ...]] = Kept(5, None, Clock(), weight=len)
    kept.put("a", (1, 2, 3))
    kept.put("b", (1, 2, 3))
    assert (kept.get("a"), kept.get("b")) == (None, (1, 2, 3))
    kept.put("b", (1,))
    kept.put("c", (1, 2, 3, 4))
    assert (kept.get("b"), kept.get("c")) == ((1,), (1, 2, 3, 4))
    kept.put("huge", tuple(range(6)))
    assert kept.get("huge") is None
    assert kept.get("b") == (1,), "what has no room drives out nothing"


def test_age_counts_from_when_it_was_said() -> None:
    clock = Clock()
    kept: Kept[str, int] = Kept(9, 10.0, clock)
    kept.put("a", 1)
    clock.now += 10
    assert kept.get("a") == 1
    clock.now += 0.1
    assert (kept.get("a"), len(kept._entries)) == (None, 0)


def test_many_threads_at_once() -> None:
    kept: Kept[int, int] = Kept(50, None, Clock())

    def work(start: int) -> None:
        for number in range(start, start + 2000):
            kept.put(number % 200, number)
            kept.get((number * 7) % 200)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept._entries) == 50


def test_limits_are_bounded_too() -> None:
    limits = Limits(Clock())
    for number in range(3 * KNOWN):
        limits.note(Place.of(f"http://h{number}", None, "api"), 200, {"ratelimit": '"api";r=1;t=60'})
    assert len(limits._states) <= KNOWN
