"""Progress over all layers from the lines of a pull, and when a pull counts as stuck."""

from __future__ import annotations

from typing import Any

from moorage import InstallProgress
from moorage_ollama.pull import PullProgress, StallWatch

MODEL, CONFIG = "sha256:aaaa", "sha256:bbbb"


def layer(digest: str, total: int, completed: int | None = None) -> dict[str, Any]:
    line: dict[str, Any] = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
    return line if completed is None else {**line, "completed": completed}


def played(progress: PullProgress, *lines: dict[str, Any]) -> list[InstallProgress]:
    return [progress.feed(line) for line in lines]


def test_a_whole_pull() -> None:
    progress = PullProgress(expected=1000)
    shown = played(
        progress,
        {"status": "pulling manifest"},
        layer(MODEL, 1000),  # `completed` is left out while it is 0
        layer(MODEL, 1000, 400),
        layer(CONFIG, 50),  # so the model is complete, though no line said it
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    )
    assert [item.phase for item in shown] == [
        "planning", "downloading", "downloading", "downloading", "verifying", "importing", "importing",
    ]  # fmt: skip
    assert [item.completed for item in shown] == [0, 0, 400, 1000, 1050, 1050, 1050]
    assert [item.total for item in shown] == [1000, 1000, 1000, 1050, 1050, 1050, 1050]
    assert progress.succeeded


def test_without_a_known_size_the_first_layer_tells() -> None:
    progress = PullProgress(expected=0)
    first, second = played(progress, {"status": "pulling manifest"}, layer(MODEL, 70, 7))
    assert (first.completed, first.total) == (None, None)
    assert (second.completed, second.total) == (7, 70)


def test_a_cached_layer_is_complete_at_once() -> None:
    progress = PullProgress(expected=100)
    assert progress.feed(layer(MODEL, 100, 100)).completed == 100
    assert not progress.succeeded


def test_the_bar_waits_where_the_server_falls_back_and_says_so_once() -> None:
    megabyte = 1_000_000
    progress = PullProgress(expected=100 * megabyte)
    shown = played(progress, *(layer(MODEL, 100 * megabyte, n * megabyte) for n in (50, 30, 35, 50, 60, 40)))
    assert [item.completed for item in shown] == [n * megabyte for n in (50, 50, 50, 50, 60, 60)]
    told = [item.message for item in shown]
    assert told[1] is not None
    assert "20 MB" in told[1]
    assert told[2:5] == [None, None, None]
    assert told[5] is not None  # it had caught up, so this is a new loss
    assert progress.raw == 40 * megabyte


def test_a_restarted_pull_begins_at_what_is_kept_and_shows_no_less() -> None:
    progress = PullProgress(expected=1000)
    played(progress, layer(MODEL, 1000, 900))
    progress.restart()
    assert progress.raw == 0
    shown = played(progress, {"status": "pulling manifest"}, layer(MODEL, 1000, 100), layer(MODEL, 1000, 950))
    assert [item.completed for item in shown] == [900, 900, 950]


def test_odd_values_do_no_harm() -> None:
    progress = PullProgress(expected=10)
    shown = played(
        progress,
        {},
        {"status": None, "digest": 7},
        {"status": "pulling x", "digest": MODEL, "total": "many", "completed": -3},
        layer(MODEL, 10, 999),
        {"status": "something new"},
    )
    assert shown[-1].completed == 10
    assert shown[-1].total == 10


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_without_new_bytes_are_a_stall() -> None:
    clock = Clock()
    watch = StallWatch(75.0, 120.0, clock)
    assert not watch.stuck(10, 1000)
    clock.now += 74
    assert not watch.stuck(10, 1000)
    clock.now += 1
    assert watch.stuck(10, 1000)


def test_any_movement_ends_the_wait_even_a_step_back() -> None:
    clock = Clock()
    watch = StallWatch(75.0, 1e9, clock)
    for raw in (10, 9, 11, 12):
        assert not watch.stuck(raw, 1000)
        clock.now += 70
    assert watch.stuck(12, 1000) is False
    clock.now += 10
    assert watch.stuck(12, 1000)


def test_a_last_part_that_crawls_is_a_stall_and_a_slow_link_is_not() -> None:
    clock = Clock()
    watch = StallWatch(75.0, 120.0, clock)
    raw = 0
    while raw < 9600:  # 10 a second, up to 96 %
        assert not watch.stuck(raw, 10_000)
        raw, clock.now = raw + 100, clock.now + 10
    verdicts = []
    for _ in range(30):  # then 1 in ten seconds
        verdicts.append(watch.stuck(raw, 10_000))
        raw, clock.now = raw + 1, clock.now + 10
    assert any(verdicts)

    slow = StallWatch(75.0, 120.0, clock)
    for raw in range(0, 10_000, 10):  # always slow, to the end
        assert not slow.stuck(raw, 10_000)
        clock.now += 10
