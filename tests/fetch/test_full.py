"""Row 23 of the fault matrix (`reliability` 5.4): the disk runs full, and what is here is kept."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.errors import DiskFull
from moorage.fetch import Downloader
from moorage.fetch import part as part_module
from moorage.fetch.sidecar import Sidecar
from moorage.http import HttpDoor
from moorage.models import Document
from moorage.store.tinydb import TinyDBStore
from tests.fakes.faults import Fault
from tests.fakes.repo import Blob, Repo, SparseFile
from tests.fetch.conftest import SIZE, WHOLE, Desk, file_part, is_right, ranges

SMALL = SparseFile(400_000, seed=8)
SYNC = 100_000
CHUNK = 65_536


class SmallDisk:
    """A disk that has no room left once a part has `room` bytes.

    `how`: where it shows: in a "write"; there and in the "sidecar" too, for which there is no room either; or only in
    "fsync", as on a file system that finds room late.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, how: str) -> None:
        self.room = room
        self.how = how
        self.is_full = False
        self._open, self._fsync, self._write = os.fdopen, os.fsync, Sidecar.write
        monkeypatch.setattr(os, "fdopen", self._opened)
        monkeypatch.setattr(os, "fsync", self._sync)
        monkeypatch.setattr(Sidecar, "write", lambda sidecar, path: self._write_sidecar(sidecar, path))

    def _opened(self, number: int, *args: object, **more: object) -> object:
        file = self._open(number, *args, **more)  # type: ignore[call-overload]
        return Part(file, self) if more.get("buffering") == 0 else file  # the store has room

    def fill(self) -> None:
        self.is_full = True
        raise OSError(errno.ENOSPC, "No space left on device")

    def _write_sidecar(self, sidecar: Sidecar, path: Path) -> None:
        if self.is_full and self.how == "sidecar":
            self.fill()
        self._write(sidecar, path)

    def _sync(self, number: int) -> None:
        if self.how == "fsync" and os.fstat(number).st_size > self.room and not self.is_full:
            self.fill()  # told once, as Linux does it
        self._fsync(number)


class Part:
    def __init__(self, file: object, disk: SmallDisk) -> None:
        self._file = file
        self._disk = disk

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, data: memoryview) -> int:
        room = self._disk.room - self._file.tell()  # type: ignore[attr-defined]
        if room <= 0 and self._disk.how != "fsync":
            self._disk.fill()
        return int(self._file.write(data if self._disk.how == "fsync" else data[:room]))  # type: ignore[attr-defined]


def test_row_23_the_disk_runs_full_on_the_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    SmallDisk(monkeypatch, SIZE // 2, "write")
    with pytest.raises(DiskFull, match="The disk is full") as raised:
        desk.run()
    assert "kept" in (raised.value.hint or "")
    assert len(desk.hub.cdn.requests) == 1
    monkeypatch.undo()
    assert desk.downloader.kept(desk.part) == SIZE // 2
    desk.run()
    assert is_right(desk)
    assert ranges(desk)[-1] == f"bytes={SIZE // 2}-"


class Setting(Document):
    value: int


def test_row_23_a_hundred_full_disks(desk: Desk, tmp_path: Path, soak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it strikes: what was synced is kept, settings can be stored, and it goes on when there is room."""
    blob = Blob(SMALL)
    desk.hub.add(Repo("acme/small", {"small.bin": SMALL}))
    part = file_part(desk.hub, "small.bin", SMALL, repo="acme/small")
    store = TinyDBStore(tmp_path, url=None)
    settings = store.collection("settings", Setting)
    chance = random.Random(11)
    for number in range(1_000 if soak else 100):
        room, how = chance.randrange(1, blob.size), chance.choice(["write", "sidecar", "fsync"])
        with monkeypatch.context() as patch:
            patch.setattr(part_module, "SYNC_BYTES", SYNC)
            disk = SmallDisk(patch, room, how)
            with pytest.raises(DiskFull):
                desk.run(part)
            assert disk.is_full
            settings.put(Setting(id=f"{number}", value=room))
        kept = desk.downloader.kept(part)
        assert not desk.downloader.path(part).exists()
        if how == "write":
            assert kept == room
        elif how == "sidecar":
            assert room - SYNC - CHUNK < kept <= room
        else:  # what the last sync that succeeded had, and nothing of what this one lost
            assert kept == 0 or room - SYNC - CHUNK < kept <= room
        asked = len(desk.hub.cdn.requests)
        desk.run(part)
        assert [r or "bytes=0-" for r in ranges(desk)[asked:]] == [f"bytes={kept}-"], (room, how)
        assert desk.downloader.path(part).read_bytes() == blob.read()
        assert desk.unfinished == []
        desk.downloader.path(part).unlink()
    store.close()
    again = TinyDBStore(tmp_path, url=None)
    assert len(list(again.collection("settings", Setting).list())) == (1_000 if soak else 100)
    again.close()


LIMITED = """
import resource, sys
from pathlib import Path
from moorage.errors import DiskFull
from moorage.fetch import Downloader
from moorage.http import HttpDoor
from moorage.models import FilePart
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_001, 1_000_001))
wanted = FilePart.model_validate_json(sys.argv[2])
try:
    list(Downloader(HttpDoor(), Path(sys.argv[1]), reserve=0).fetch((wanted,)))
except DiskFull:
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files there")
def test_row_23_a_limit_that_the_kernel_sets(desk: Desk) -> None:
    process = subprocess.run([sys.executable, "-c", LIMITED, str(desk.directory), desk.part.model_dump_json()])
    assert process.returncode == 7
    assert desk.downloader.kept(desk.part) == 1_000_001
    desk.run()
    assert is_right(desk)
    assert ranges(desk)[-1] == "bytes=1000001-"


def test_row_23_it_stops_before_others_have_no_room(desk: Desk) -> None:
    """Somebody else fills the disk meanwhile: half of the reserve stays for what is not a model."""
    free = [10**9 + SIZE, 10**9, 10**9 // 2 - 1]
    door = HttpDoor()
    downloader = Downloader(door, desk.directory, free=lambda path: free.pop(0) if len(free) > 1 else free[0])
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    with pytest.raises(DiskFull, match=r"only 500\.0 MB left, of which 1\.0 GB should stay free"):
        list(downloader.fetch((desk.part,)))
    kept = downloader.kept(desk.part)
    assert 0 < kept < SIZE
    free[:] = [2**40]
    list(downloader.fetch((desk.part,)))
    assert desk.downloader.path(desk.part).read_bytes() == WHOLE.read()
    assert ranges(desk)[-1] == f"bytes={kept}-"
    door.close()
