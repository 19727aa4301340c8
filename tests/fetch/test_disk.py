"""The fault matrix of downloads (`reliability` 5.4), row by row: what disks do, and what is here from earlier."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from moorage.errors import (
    BadAnswer,
    Cancelled,
    DiskFull,
    StoreError,
)
from moorage.fetch import Downloader
from moorage.fetch import job as job_module
from moorage.fetch import part as part_module
from moorage.fetch.part import PartFile, key_of
from moorage.fetch.room import human
from moorage.http import CallScope, HttpDoor
from moorage.models import FilePart
from tests.fakes.faults import Fault
from tests.fakes.repo import Blob, Repo, SparseFile
from tests.fetch.conftest import SIZE, WHOLE, Desk, file_part, half, is_right, ranges

Change = Callable[[Path, Path], None]


def test_row_11_all_bytes_were_here_already(desk: Desk) -> None:
    """Killed between the last byte and the rename: nothing is fetched, but all is checked."""
    partial = desk.directory / "partial"
    partial.mkdir(parents=True)
    (partial / f"{WHOLE.sha256}.part").write_bytes(WHOLE.read())
    (partial / f"{WHOLE.sha256}.json").write_text(json.dumps({"offset": SIZE, "etag": None, "owners": []}))
    desk.run()
    assert is_right(desk)
    assert desk.hub.requests == []


def test_row_22_no_room_before_the_first_byte(desk: Desk) -> None:
    door = HttpDoor()
    downloader = Downloader(door, desk.directory, reserve=2 * 10**9, free=lambda path: 2 * 10**9 + SIZE - 1)
    with pytest.raises(
        DiskFull, match=r"3\.0 MB are still needed, and 2\.0 GB should stay free, but .* has 2\.0 GB left"
    ):
        next(downloader.fetch((desk.part,)))
    assert desk.hub.requests == []
    door.close()


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, number: int, suffix: str) -> None:
    """Let a function of `os` that takes a path fail for files with this suffix."""
    real = getattr(os, name)

    def failing(path: object, *args: object, **more: object) -> object:
        if str(path).endswith(suffix):
            raise OSError(number, os.strerror(number))
        return real(path, *args, **more)

    monkeypatch.setattr(os, name, failing)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("suffix", [".lock", ".part"])
def test_row_24_a_directory_that_cannot_be_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int, suffix: str
) -> None:
    """Whichever file is the first to fail: it is said at once, and nothing was asked of the source."""
    desk.downloader._shelf.prepare()
    refuse(monkeypatch, "open", number, suffix)
    with pytest.raises(StoreError, match="cannot be written") as raised:
        desk.run()
    assert os.strerror(number) in str(raised.value)
    assert not raised.value.retryable
    assert desk.hub.requests == []
    monkeypatch.undo()
    assert desk.unfinished == []
    desk.run()
    assert is_right(desk)


class Faulty:
    """A file of which one method fails after some bytes."""

    def __init__(self, file: object, method: str) -> None:
        self._file = file
        self._method = method

    def __getattr__(self, name: str) -> object:
        if name == self._method and self._file.tell() > 500_000:  # type: ignore[attr-defined]
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return getattr(self._file, name)


@pytest.mark.parametrize("method", ["write", "read"])
def test_row_24_a_disk_that_fails_on_the_way(desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    half(desk, "install-1")
    asked = len(desk.hub.requests)
    real = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *args, **more: Faulty(real(*args, **more), method))
    monkeypatch.setattr(part_module, "BLOCK", 100_000)
    with pytest.raises(StoreError, match="Input/output error") as raised:
        desk.run()
    assert not raised.value.retryable
    assert len(desk.hub.requests) - asked == (1 if method == "write" else 0)
    monkeypatch.undo()
    assert desk.downloader.kept(desk.part) > 500_000
    desk.run()
    assert is_right(desk)


def test_row_24_bytes_that_a_failed_sync_lost_do_not_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux tells it once: the next fsync succeeds, though the bytes are gone."""
    monkeypatch.setattr(part_module, "SYNC_BYTES", 1_000_000)
    real, failed = os.fsync, []

    def lossy(number: int) -> None:
        if os.fstat(number).st_size > 1_500_000 and not failed:
            failed.append(os.fstat(number).st_size)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(number)

    monkeypatch.setattr(os, "fsync", lossy)
    with pytest.raises(StoreError, match="Input/output error"):
        desk.run()
    assert failed
    assert 1_000_000 <= desk.downloader.kept(desk.part) < 1_500_000
    desk.run()
    assert is_right(desk)


def test_row_24_a_directory_that_is_a_file(desk: Desk) -> None:
    desk.directory.write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        desk.run()


def test_row_27_a_stop_keeps_what_is_here(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(stall_after=SIZE // 2))
    scope = CallScope(None)
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            desk.run(scope=scope)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    part = desk.directory / "partial" / f"{WHOLE.sha256}.part"
    while not part.exists() or part.stat().st_size < 100_000:
        thread.join(0.005)
    scope.cancel()
    thread.join(2)
    assert [type(error) for error in outcome] == [Cancelled]
    kept = desk.downloader.kept(desk.part)
    assert kept >= 100_000
    result = desk.run()
    assert is_right(desk)
    assert result.told[0].completed == kept
    assert ranges(desk)[-1] == f"bytes={kept}-"


@pytest.mark.parametrize("size", [0, 1, 65536, 2 * 1024 * 1024])
def test_row_30_sizes_at_the_edge(desk: Desk, size: int) -> None:
    content = SparseFile(size, seed=5)
    desk.hub.add(Repo("acme/m", {"m.bin": content}))
    assert desk.run(file_part(desk.hub, "m.bin", content)).paths[0].stat().st_size == size


@pytest.mark.parametrize("hash", ["../../x", "A" * 64, "0" * 63, "sha256:" + "0" * 64, "0" * 64 + "\n"])
def test_a_hash_that_is_none_never_becomes_a_path(desk: Desk, hash: str) -> None:
    with pytest.raises(BadAnswer, match="no usable hash"):
        desk.run(desk.part.model_copy(update={"sha256": hash}))
    assert desk.files() == []


def test_names_never_become_paths(desk: Desk) -> None:
    result = desk.run(desk.part.model_copy(update={"name": "../../../etc/passwd.gguf"}))
    assert result.paths == (desk.directory / "blobs" / WHOLE.sha256,)
    assert desk.files() == [f"blobs/{WHOLE.sha256}"]


def shorten(part: Path, sidecar: Path) -> None:
    """A power cut: the file lost what was not synced, and the sidecar is ahead of it."""
    with part.open("r+b") as file:
        file.truncate(1000)


@pytest.mark.parametrize(("change", "left"), [("shorten", 1000), ("none", SIZE // 4)])
def test_row_2_it_goes_on_at_what_file_and_sidecar_agree_on(desk: Desk, change: str, left: int) -> None:
    half(desk, "install-1")
    partial = desk.directory / "partial"
    if change == "shorten":
        shorten(partial / f"{WHOLE.sha256}.part", partial / f"{WHOLE.sha256}.json")
    else:
        with (partial / f"{WHOLE.sha256}.part").open("ab") as file:
            file.write(b"written, but not yet synced when the power went")
    result = desk.run()
    assert is_right(desk)
    assert ranges(desk)[-1] == f"bytes={left}-"
    assert result.messages == ""


def test_a_disk_that_takes_a_little_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def __init__(self, file: IO[bytes]) -> None:
            self._file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def write(self, data: memoryview) -> int:
            return self._file.write(data[:7777])

    real = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *args, **more: Slow(real(*args, **more)))
    assert desk.run().messages == ""
    assert is_right(desk)


def forget(part: Path, sidecar: Path) -> None:
    sidecar.unlink()


def damage(part: Path, sidecar: Path) -> None:
    sidecar.write_bytes(b"\0" * 20)


def distort(part: Path, sidecar: Path) -> None:
    sidecar.write_text('{"offset": -5, "etag": 7, "owners": [1], "name": [], "total": "9"}')


def rot(part: Path, sidecar: Path) -> None:
    with part.open("r+b") as file:
        file.seek(500)
        file.write(b"\0\0\0\0")


@pytest.mark.parametrize("change", [shorten, forget, damage, distort, rot])
def test_row_2_whatever_became_of_the_part_the_result_is_right(desk: Desk, change: Change) -> None:
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 2))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    next(progress for progress in fetching if progress.message)
    fetching.close()
    partial = desk.directory / "partial"
    change(partial / f"{WHOLE.sha256}.part", partial / f"{WHOLE.sha256}.json")
    assert [file.kind for file in desk.downloader.files()] == ["partial"]
    desk.run()
    assert is_right(desk)


def test_row_2_a_part_that_is_longer_than_the_file(desk: Desk) -> None:
    """A part that is bigger than the file itself was never one of it."""
    partial = desk.directory / "partial"
    partial.mkdir(parents=True)
    (partial / f"{WHOLE.sha256}.part").write_bytes(b"x" * (SIZE + 5))
    (partial / f"{WHOLE.sha256}.json").write_text(json.dumps({"offset": SIZE + 5, "etag": None, "owners": []}))
    desk.run()
    assert is_right(desk)


def test_what_is_here_is_not_fetched_again(desk: Desk) -> None:
    desk.run()
    seen = len(desk.hub.requests)
    again = desk.run()
    assert len(desk.hub.requests) == seen
    assert again.paths[0].exists()
    assert again.told[0].completed == SIZE


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_row_27_a_stop_while_it_is_checked_keeps_all_that_was_here(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A part of 40 GB takes a minute to be hashed again: who stops in that minute must not lose it."""
    half(desk, "install-1")
    kept = desk.downloader.kept(desk.part)
    monkeypatch.setattr(part_module, "BLOCK", 100_000)
    monkeypatch.setattr(job_module, "PROGRESS_SECONDS", 0.0)
    scope = CallScope(None)
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential, scope=scope)
    next(progress for progress in fetching if "Checking" in (progress.message or ""))
    if how == "close":
        fetching.close()
    else:
        scope.cancel()
        with pytest.raises(Cancelled):
            next(fetching)
    assert desk.downloader.kept(desk.part) == kept
    desk.run()
    assert is_right(desk)
    assert ranges(desk)[-1] == f"bytes={kept}-"


def test_row_27_a_cancel_leaves_nothing(desk: Desk) -> None:
    half(desk, "install-1")
    desk.downloader.remove_partial("install-1")
    assert desk.files() == []


ZEROS_SHA256 = "9f48ebd2f30521a3da1170860a0a3a11074b13cc6be5466294cac23a9a3ee0c0"  # of 2**32 + 300,000 of them


class Zeros(SparseFile):
    """Like a file with a hole."""

    def read(self, offset: int, length: int) -> bytes:
        return bytes(min(length, self.size - offset))


def test_row_30_more_than_four_gigabytes(desk: Desk, soak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the last bytes are here, as a hole that takes no room: offsets beyond 32 bits in every place."""
    size, here = 2**32 + 300_000, 2**32 + 11
    blob = Blob(Zeros(size))
    blob.__dict__["sha256"] = ZEROS_SHA256  # known, so that it need not be computed
    desk.hub.add(Repo("acme/m", {"m.bin": blob}))
    url = f"{desk.hub.url}/acme/m/resolve/{desk.hub.repos['acme/m'].sha}/m.bin"
    part = FilePart(name="m.bin", size=size, sha256=blob.sha256, url=url)
    if not soak:  # to hash it takes many seconds: without, there is nothing to compare with
        part = part.model_copy(update={"sha256": None})
        monkeypatch.setattr(PartFile, "reread", lambda file: iter([_seek(file, here)]))
    partial = desk.directory / "partial"
    partial.mkdir(parents=True)
    with (partial / f"{key_of(part)}.part").open("wb") as file:
        file.truncate(here)
    known = {"offset": here, "etag": f'"{blob.xet_hash}"', "owners": []}
    (partial / f"{key_of(part)}.json").write_text(json.dumps(known))
    result = desk.run(part)
    assert ranges(desk) == [f"bytes={here}-"]
    assert result.paths[0].stat().st_size == size
    assert (result.told[0].completed, result.told[-1].completed) == (here, size)


def _seek(file: PartFile, offset: int) -> int:
    file.offset = offset
    file._file.seek(offset)
    return offset


def test_sizes_are_in_powers_of_ten() -> None:
    sizes = [0, 999, 1000, 4_100_000_000, 3 * 10**12]
    assert [human(size) for size in sizes] == ["0 B", "999 B", "1.0 kB", "4.1 GB", "3.0 TB"]


def no_more(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From now on nothing can be removed."""

    def refuse(path: object, *args: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "unlink", refuse)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO])
def test_row_24_what_cannot_be_removed_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    half(desk, "install-1")
    kept = desk.downloader.kept(desk.part)
    (desk.directory / "partial" / f"{WHOLE.sha256}.tmp").touch()
    with monkeypatch.context() as patch:
        no_more(patch, number)
        with pytest.raises(StoreError, match=os.strerror(number)):
            desk.downloader.remove(WHOLE.sha256)
        with pytest.raises(StoreError, match=os.strerror(number)):
            desk.downloader.remove_partial("install-1")
        desk.downloader.sweep()
    assert desk.downloader.kept(desk.part) == kept
    desk.downloader.remove_partial("install-1")
    assert desk.files() == []


def test_row_24_a_finished_file_that_cannot_be_removed_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run()
    with monkeypatch.context() as patch:
        no_more(patch, errno.EACCES)
        with pytest.raises(StoreError):
            desk.downloader.remove(WHOLE.sha256)
    assert desk.downloader.remove(WHOLE.sha256) == SIZE


def test_row_24_what_is_right_counts_though_what_was_known_of_it_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        no_more(patch, errno.EACCES)
        desk.downloader._shelf.prepare()
        assert desk.run().paths[0].read_bytes() == WHOLE.read()
    desk.downloader.sweep()
    assert is_right(desk)


@pytest.mark.parametrize("fails", ["unlink", "fsync"])
@pytest.mark.parametrize("begun", [False, True])
def test_row_24_to_let_go_of_a_part_never_fails(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fails: str, begun: bool
) -> None:
    shelf = desk.downloader._shelf
    shelf.prepare()
    file = shelf.open(desk.part, "install-1")
    if begun:
        file.append(b"GGUF")

    class Closing:
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        def close(self) -> None:
            inner.close()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    inner, file._file = file._file, Closing()  # type: ignore[assignment]
    refuse(monkeypatch, fails, errno.EIO, "") if fails == "unlink" else monkeypatch.setattr(os, fails, _fail)
    file.close()
    assert inner.closed


def _fail(number: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
