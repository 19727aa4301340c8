"""What lies in the directory that no model uses: listed, and removed one by one."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from moorage.errors import BadAnswer
from moorage.fetch import downloader as downloader_module
from moorage.fetch.shelf import Shelf
from moorage.models import StoredFile
from tests.fakes.faults import Fault
from tests.fetch.conftest import SIZE, WHOLE, Desk, half, is_right


@pytest.fixture(autouse=True)
def _do_not_wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloader_module, "REMOVE_SECONDS", 0.1)


def damage(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(flip_at=5, times=2))
    with pytest.raises(BadAnswer):
        desk.run()


def test_nothing_is_here_before_the_first_download(desk: Desk) -> None:
    assert desk.downloader.files() == []
    assert desk.downloader.remove(WHOLE.sha256) == 0


def test_a_finished_file_is_listed_until_a_model_uses_it(desk: Desk, tmp_path: Path) -> None:
    (path,) = desk.run().paths
    stored = StoredFile(key=WHOLE.sha256, kind="finished", size=SIZE, total=SIZE)
    assert desk.downloader.files() == [stored]
    os.link(path, tmp_path / "model.gguf")
    assert desk.downloader.files() == []
    assert desk.downloader.remove(WHOLE.sha256) == 0
    desk.downloader.sweep()
    assert path.exists()
    (tmp_path / "model.gguf").unlink()
    assert desk.downloader.remove(WHOLE.sha256) == SIZE
    assert desk.files() == []


def test_an_unfinished_file_says_what_it_will_be_and_who_wants_it(desk: Desk) -> None:
    half(desk, "install-1")
    half(desk, "install-2")
    (stored,) = desk.downloader.files()
    assert (stored.key, stored.kind, stored.name, stored.total) == (WHOLE.sha256, "partial", "m.gguf", SIZE)
    assert stored.installs == ("install-1", "install-2")
    assert 0 < stored.size == desk.downloader.kept(desk.part) < SIZE
    assert desk.downloader.remove(stored.key) == stored.size
    assert desk.files() == []
    assert desk.downloader.files() == []
    desk.run()
    assert is_right(desk)


def test_a_damaged_file_is_listed_and_removed(desk: Desk) -> None:
    damage(desk)
    assert desk.downloader.files() == [StoredFile(key=WHOLE.sha256, kind="damaged", size=SIZE)]
    assert desk.downloader.remove(WHOLE.sha256) == SIZE
    assert desk.files() == []


def test_it_is_known_from_the_first_byte_whose_file_it_is(desk: Desk) -> None:
    """A kill before the first sync leaves no bytes that nobody answers for."""
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    fetching = desk.downloader.fetch((desk.part,), owner="install-1")
    next(fetching)
    next(fetching)
    (stored,) = desk.downloader.files()
    assert (stored.name, stored.total, stored.installs) == ("m.gguf", SIZE, ("install-1",))
    assert json.loads((desk.directory / "partial" / f"{WHOLE.sha256}.json").read_text())["offset"] == 0
    fetching.close()


def test_a_part_without_a_sidecar_or_of_an_older_version_is_listed(desk: Desk) -> None:
    partial = desk.directory / "partial"
    partial.mkdir(parents=True)
    (partial / f"{'a' * 64}.part").write_bytes(b"123")
    (partial / f"{'b' * 64}.part").write_bytes(b"1234")
    (partial / f"{'b' * 64}.json").write_text('{"offset": 4, "etag": null, "owners": []}')
    assert [(file.key[0], file.size, file.total, file.needed) for file in desk.downloader.files()] == [
        ("a", 3, None, False),
        ("b", 4, None, False),
    ]
    assert desk.downloader.remove("a" * 64) == 3
    assert desk.downloader.remove("b" * 64) == 4
    assert desk.files() == []


@pytest.mark.parametrize("key", ["", "..", "../blobs/x", "a" * 63, f"../partial/{'a' * 64}", f"{'a' * 64}.part", "x\0"])
def test_what_is_no_key_removes_nothing(desk: Desk, key: str) -> None:
    desk.run()
    assert desk.downloader.remove(key) == 0
    assert is_right(desk)


def test_row_28_what_is_being_fetched_is_not_removed(desk: Desk) -> None:
    """Neither by its key nor for its owner nor by a sweep; and it arrives whole."""
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential, owner="install-1")
    next(fetching)
    next(fetching)
    freed: list[int] = []

    def meddle() -> None:
        freed.append(desk.downloader.remove(WHOLE.sha256))
        desk.downloader.remove_partial("install-1")
        desk.downloader.sweep()

    thread = threading.Thread(target=meddle)
    thread.start()
    thread.join(10)
    assert freed == [0]
    assert [file.kind for file in desk.downloader.files()] == ["partial"]
    for _ in fetching:
        pass
    assert is_right(desk)
    assert len(desk.hub.cdn.requests) == 1


def test_row_28_removed_between_two_tries_it_begins_anew(desk: Desk) -> None:
    half(desk, "install-1")
    assert desk.downloader.remove(WHOLE.sha256) > 0
    desk.run()
    assert is_right(desk)
    assert desk.hub.cdn.requests[-1].headers.get("range") is None


def test_a_sweep_takes_what_a_kill_left_and_leaves_what_can_go_on(desk: Desk) -> None:
    half(desk, "install-1")
    partial = desk.directory / "partial"
    kept = desk.files()
    alone = {"a": ("json",), "b": ("tmp",), "c": ("lock",), "d": ("part", "lock"), "e": ("part", "tmp", "lock")}
    for letter, suffixes in alone.items():
        for suffix in suffixes:
            (partial / f"{letter * 64}.{suffix}").write_text("{}")
    (partial / f"{WHOLE.sha256}.tmp").write_text("half of a write")
    desk.downloader.sweep()
    assert desk.files() == kept


def test_a_sweep_leaves_alone_what_is_being_fetched(desk: Desk) -> None:
    """Its owner is written down a moment after its file is there."""
    shelf = Shelf(desk.directory)
    with shelf.locked("a" * 64, 1) as held:
        assert held
        (shelf.partial / f"{'a' * 64}.part").write_bytes(b"GGUF")
        Shelf(desk.directory).sweep()
        assert (shelf.partial / f"{'a' * 64}.part").exists()
