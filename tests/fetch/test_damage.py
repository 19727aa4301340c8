"""Row 21 of the fault matrix (`reliability` 5.4): bytes that were changed on the way never become visible."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.errors import BadAnswer
from moorage.fetch import Downloader
from moorage.http import HttpDoor
from moorage.models import FilePart
from tests.fakes.cdn import serve_blob
from tests.fakes.faults import Fault, FaultyExchange, FaultyServer
from tests.fakes.repo import Blob
from tests.fakes.server import Exchange
from tests.fetch.conftest import SIZE, WHOLE, Desk, is_honest, is_right

QUARTERS = 4  # so that the flips are spread over the processes of the test run


class Library(FaultyServer):
    """Serves any number of files."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, Blob] = {}
        self.route("GET", "/(?P<name>[^/]+)", self._serve)

    def add(self, name: str, content: bytes) -> FilePart:
        blob = self.files[name] = Blob(content)
        return FilePart(name=name, size=blob.size, sha256=blob.sha256, url=f"{self.url}/{name}")

    def _serve(self, exchange: Exchange) -> None:
        assert isinstance(exchange, FaultyExchange)
        blob = self.files[exchange.match["name"]]
        serve_blob(exchange, blob, blob.xet_hash, {})


@pytest.fixture
def library() -> Iterator[Library]:
    with Library() as started:
        yield started


def test_row_21_a_damaged_byte(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(flip_at=SIZE // 2))
    result = desk.run()
    assert is_right(desk)
    [again] = [progress for progress in result.told if progress.again]
    assert (again.phase, again.completed, again.total) == ("downloading", 0, SIZE)
    assert again.message == "m.gguf was damaged on the way. It is fetched once more."
    assert is_honest(result.told)
    assert result.told[-1].completed == SIZE


def test_row_21_damaged_twice(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(flip_at=SIZE // 2, times=None))
    with pytest.raises(BadAnswer, match="arrived damaged twice"):
        desk.run()
    assert len(desk.hub.cdn.requests) == 2
    assert desk.files() == [f"quarantine/{WHOLE.sha256}"]
    desk.hub.cdn.faults.clear()
    desk.run()
    assert is_right(desk)


@pytest.mark.parametrize(("room", "copies"), [(0, 0), (SIZE, 1)])
def test_row_21_a_damaged_copy_does_not_take_the_room_of_the_right_one(desk: Desk, room: int, copies: int) -> None:
    """It is put aside where there is room for both."""
    disk = 2 * SIZE + room - 1

    def free(path: Path) -> int:
        return disk - sum(file.stat().st_size for file in desk.directory.rglob("*") if file.is_file())

    door = HttpDoor()
    downloader = Downloader(door, desk.directory, reserve=0, free=free)
    desk.hub.cdn.faults.append(Fault(flip_at=5))
    fetching = downloader.fetch((desk.part,))
    next(progress for progress in fetching if progress.again)
    assert sum(name.startswith("quarantine/") for name in desk.files()) == copies
    list(fetching)
    assert is_right(desk)
    door.close()


def test_row_21_an_old_damaged_copy_goes_where_there_is_no_room_for_the_file(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(flip_at=5, times=2))
    with pytest.raises(BadAnswer):
        desk.run()
    copy = desk.directory / "quarantine" / WHOLE.sha256
    door = HttpDoor()
    downloader = Downloader(door, desk.directory, reserve=0, free=lambda path: 5 if copy.exists() else SIZE)
    list(downloader.fetch((desk.part,)))
    assert is_right(desk)
    door.close()


def test_row_21_what_was_kept_from_earlier_may_be_the_damaged_half(desk: Desk) -> None:
    """The flip is in the first half, the second comes after a cut: the whole is fetched anew, not the rest of it."""
    desk.hub.cdn.faults.append(Fault(flip_at=1000, end_after=SIZE // 2))
    desk.run()
    assert is_right(desk)
    assert [seen.headers.get("range") for seen in desk.hub.cdn.requests][::2] == [None, None]


@pytest.mark.parametrize("quarter", range(QUARTERS))
def test_row_21_a_thousand_flipped_bits(
    desk: Desk, library: Library, soak: bool, quarter: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit of each file is wrong, once or always: the good bytes become visible, or nothing does."""
    monkeypatch.setattr(os, "fsync", lambda number: None)  # what a power cut leaves is another question
    chance = random.Random(quarter)
    old = library.add("old", chance.randbytes(50_000))
    desk.run(old)
    right = {str(old.sha256)}
    wrong = set()
    for number in range((10_000 if soak else 1_000) // QUARTERS):
        part = library.add(f"{number}", chance.randbytes(chance.randint(20_000, 60_000)))
        path = desk.downloader.path(part)
        always = chance.random() < 0.5
        flip = Fault(flip_at=chance.randrange(part.size), flip_bits=1 << chance.randrange(8))
        flip.times = None if always else 1
        library.faults = [flip]
        fetching = desk.downloader.fetch((part,))
        seen_damage = False
        try:
            for progress in fetching:
                seen_damage = seen_damage or "damaged" in (progress.message or "")
                assert not path.exists() or (seen_damage and not always)
        except BadAnswer:
            assert always
            wrong.add(part.sha256)
        else:
            assert not always
            right.add(str(part.sha256))
        assert seen_damage
        assert flip.used == (2 if always else 1)
    assert desk.unfinished == sorted(f"quarantine/{sha256}" for sha256 in wrong)
    visible = {path.name: path.read_bytes() for path in (desk.directory / "blobs").iterdir()}
    assert visible.keys() == right
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in visible.items())
