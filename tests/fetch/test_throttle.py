"""The cap on all downloads together."""

from __future__ import annotations

import threading
import time

import pytest

from moorage.fetch import Downloader, Patience
from moorage.fetch import transfer as transfer_module
from moorage.fetch.throttle import CATCH_UP, SHORTEST, Throttle
from moorage.http import HttpDoor
from tests.fakes.repo import Repo, SparseFile
from tests.fetch.conftest import Desk, file_part


def capped(desk: Desk, rate: list[int | None], silence: float = 5.0) -> HttpDoor:
    """Give the desk a downloader that keeps to `rate`."""
    door = HttpDoor()
    patience = Patience(silence=silence, tries=1, first_pause=0.01)
    desk.downloader = Downloader(door, desk.directory, reserve=0, patience=patience, rate=lambda: rate[0])
    return door


def test_two_downloads_share_one_cap(desk: Desk) -> None:
    contents = [SparseFile(1_000_000, seed=n) for n in (1, 2)]
    desk.hub.add(Repo("acme/two", {f"{n}.bin": content for n, content in enumerate(contents)}))
    door = capped(desk, [2_000_000])
    parts = [file_part(desk.hub, f"{n}.bin", content, repo="acme/two") for n, content in enumerate(contents)]
    threads = [threading.Thread(target=desk.run, args=(part,)) for part in parts]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert 0.95 < time.monotonic() - began < 2.0
    door.close()


def test_a_cap_that_is_lifted_takes_effect_for_those_that_wait(desk: Desk) -> None:
    rate: list[int | None] = [1024]
    door = capped(desk, rate)
    threading.Timer(0.5, lambda: rate.__setitem__(0, None)).start()
    began = time.monotonic()
    desk.run()
    assert time.monotonic() - began < 5
    door.close()


def test_a_low_cap_is_not_taken_for_a_silent_server(desk: Desk) -> None:
    """Between two reads lie seconds in which we did not listen."""
    content = SparseFile(200_000, seed=4)
    desk.hub.add(Repo("acme/m", {"m.bin": content}))
    door = capped(desk, [100_000], silence=0.3)
    result = desk.run(file_part(desk.hub, "m.bin", content))
    assert result.messages == ""
    assert len(desk.hub.cdn.requests) == 1
    door.close()


def test_a_low_cap_is_not_taken_for_a_slow_server(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sends as fast as it is asked to; what is below the limit is the cap."""
    monkeypatch.setattr(transfer_module, "SLOWEST", 1_000_000)
    content = SparseFile(150_000, seed=4)
    desk.hub.add(Repo("acme/m", {"m.bin": content}))
    door = HttpDoor()
    patience = Patience(slow=0.2, tries=1, first_pause=0.01)
    desk.downloader = Downloader(door, desk.directory, reserve=0, patience=patience, rate=lambda: 100_000)
    assert desk.run(file_part(desk.hub, "m.bin", content)).messages == ""
    door.close()


@pytest.mark.parametrize("rate", [100_000, 10_000_000])
def test_every_byte_is_paid_for_however_small_the_pieces(rate: int) -> None:
    clock = [0.0]
    throttle = Throttle(lambda: rate, lambda: clock[0])
    taken = 0
    while clock[0] < 10:
        left = throttle.left(throttle.take(4096))
        taken += 4096
        clock[0] += left
        assert left == 0 or left >= SHORTEST
    assert taken / clock[0] == pytest.approx(rate, rel=0.01)


def test_time_that_nobody_used_is_saved_up_for_a_moment_only() -> None:
    clock = [0.0]
    throttle = Throttle(lambda: 1000, lambda: clock[0])
    throttle.take(100)
    clock[0] = 1000.0
    assert throttle.left(throttle.take(500)) == pytest.approx(0.5 - CATCH_UP)


def test_each_waits_for_its_own_bytes_only() -> None:
    """Who came first is not held back by who came later."""
    clock = [0.0]
    rate = [1000]
    throttle = Throttle(lambda: rate[0], lambda: clock[0])
    first, second = throttle.take(1000), throttle.take(1000)
    assert (throttle.left(first), throttle.left(second)) == (1.0, 2.0)
    clock[0] = 0.5
    assert (throttle.left(first), throttle.left(second)) == (0.5, 1.5)
    rate[0] = 3000
    assert throttle.left(second) == pytest.approx(0.5)
    clock[0] = 0.7
    assert throttle.left(second) == pytest.approx(0.3)
