"""Files that a source names on this machine: copied as carefully as they are downloaded, and nothing else is read."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from moorage.errors import (
    BadAnswer,
    Cancelled,
    DiskFull,
    InvalidConfig,
    MoorageError,
    NotFound,
    NotGguf,
    RemoteError,
    Unreachable,
    Unsupported,
)
from moorage.fetch import Downloader
from moorage.fetch import job as job_module
from moorage.fetch import local as local_module
from moorage.fetch import part as part_module
from moorage.fetch.local import local_path
from moorage.fetch.part import key_of
from moorage.http import CallScope, HttpDoor
from moorage.models import FilePart, InstallProgress
from tests.fakes.server import FakeServer
from tests.fetch.conftest import SIZE, WHOLE, Desk, is_honest, is_right
from tests.fetch.test_full import SmallDisk

STEP = 100_000


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "models of mine" / "ä 50 %.gguf"
    path.parent.mkdir()
    path.write_bytes(WHOLE.read())
    return path


@pytest.fixture
def local(desk: Desk, original: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk, with its part in a folder; the Hub is never asked."""
    monkeypatch.setattr(local_module, "BLOCK", STEP)
    desk.part = desk.part.model_copy(update={"url": original.as_uri()})
    return desk


def without_hash(desk: Desk, **fields: Any) -> FilePart:
    return desk.part.model_copy(update={"sha256": None, **fields})


def copied(desk: Desk, size: int, part: FilePart | None = None) -> None:
    """Copy about so much, and stop."""
    fetching = desk.downloader.fetch((part or desk.part,), owner="install-1")
    for progress in fetching:
        if (progress.completed or 0) >= size:
            break
    fetching.close()


@contextmanager
def reading(action: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Do something after each block that is read of a local file; gives where the reads began."""
    real, begun = local_module._mark, []

    def mark(source: IO[bytes]) -> str:
        begun.append(source.tell())
        action(source.tell())
        return real(source)

    with monkeypatch.context() as patch:
        patch.setattr(local_module, "_mark", mark)
        yield begun


def test_it_is_copied_and_stays_where_it_was(local: Desk, original: Path) -> None:
    result = local.run(owner="install-1")
    assert is_right(local)
    assert result.paths == (local.downloader.path(local.part),)
    assert original.read_bytes() == WHOLE.read()
    assert not original.samefile(result.paths[0]), "what is done to one must not touch the other"
    assert is_honest(result.told)
    assert [told.phase for told in result.told][-1] == "verifying"
    assert local.hub.requests == []


def test_what_is_here_is_not_copied_again_whoever_had_it(local: Desk, original: Path) -> None:
    """Its hash is its name: a file of the Hub and one of the folder are one."""
    local.run()
    original.unlink()
    local.run()
    assert is_right(local)


def test_a_file_that_was_begun_from_the_hub_is_finished_from_here(desk: Desk, original: Path) -> None:
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    next(progress for progress in fetching if progress.completed)
    fetching.close()
    part = desk.part.model_copy(update={"url": original.as_uri()})
    told = desk.run(part).told
    assert is_right(desk)
    assert is_honest(told)


# -- stopped on the way -----------------------------------------------------------------------------------------------


def test_it_goes_on_where_it_was_stopped(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "PROGRESS_SECONDS", 0.0)
    copied(local, SIZE // 2)
    kept = local.downloader.kept(local.part)
    assert SIZE // 2 <= kept < SIZE
    with reading(lambda _: None, monkeypatch) as begun:
        told = local.run(owner="install-1").told
    assert begun[1] == kept + STEP
    assert is_right(local)
    assert is_honest(told)


SLOWLY = """
import sys, time
from pathlib import Path
from moorage.fetch import Downloader, local, part
from moorage.http import HttpDoor
from moorage.models import FilePart
part.SYNC_BYTES, local.BLOCK = 200_000, 50_000
real = local._mark
local._mark = lambda source: time.sleep(0.02) or real(source)
for _ in Downloader(HttpDoor(), Path(sys.argv[1]), reserve=0).fetch((FilePart.model_validate_json(sys.argv[2]),)):
    pass
"""


def test_a_kill_loses_only_what_was_not_synced(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(local.directory), local.part.model_dump_json()])
    until = time.monotonic() + 20
    while local.downloader.kept(local.part) < 600_000:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = local.downloader.kept(local.part)
    assert not local.downloader.path(local.part).exists()
    with reading(lambda _: None, monkeypatch) as begun:
        local.run()
    assert begun[1] == kept + STEP
    assert is_right(local)


def test_killed_between_the_last_byte_and_the_name(local: Desk, original: Path) -> None:
    """Nothing more is needed of the file, so it may even be gone."""
    partial = local.directory / "partial"
    partial.mkdir(parents=True)
    (partial / f"{WHOLE.sha256}.part").write_bytes(WHOLE.read())
    (partial / f"{WHOLE.sha256}.json").write_text(json.dumps({"offset": SIZE, "etag": None}))
    original.unlink()
    local.run()
    assert is_right(local)


def test_bytes_here_that_are_not_of_this_file_are_found_out(local: Desk, original: Path) -> None:
    partial = local.directory / "partial"
    partial.mkdir(parents=True)
    (partial / f"{WHOLE.sha256}.part").write_bytes(bytes(SIZE // 2))
    stat = original.stat()
    etag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
    (partial / f"{WHOLE.sha256}.json").write_text(json.dumps({"offset": SIZE // 2, "etag": etag}))
    with pytest.raises(BadAnswer, match="hash"):
        local.run()
    assert local.files() == []
    local.run()
    assert is_right(local)


def test_a_cancel_holds_at_once_and_keeps_what_is_here(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = CallScope(None)
    with (
        reading(lambda offset: scope.cancel() if offset > SIZE // 2 else None, monkeypatch) as begun,
        pytest.raises(Cancelled),
    ):
        local.run(scope=scope, owner="install-1")
    assert SIZE // 2 < begun[-1] <= SIZE // 2 + STEP
    assert SIZE // 2 < local.downloader.kept(local.part) < SIZE
    local.downloader.remove_partial("install-1")
    assert local.files() == []


# -- who wants it -----------------------------------------------------------------------------------------------------


def test_two_installs_share_one_copy(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    results: dict[str, str] = {}

    def run(owner: str) -> None:
        results[owner] = local.run(owner=owner).messages

    with reading(lambda _: time.sleep(0.03), monkeypatch) as begun:
        threads = [threading.Thread(target=run, args=(f"install-{number}",)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert begun.count(STEP) == 1
    assert any("being fetched by another install" in messages for messages in results.values())
    assert is_right(local)


def test_the_bandwidth_limit_is_for_the_line_only(local: Desk) -> None:
    door = HttpDoor()
    capped = Downloader(door, local.directory, reserve=0, rate=lambda: 1000)
    began = time.monotonic()
    list(capped.fetch((local.part,)))
    assert time.monotonic() - began < 5
    assert is_right(local)
    door.close()


# -- the disk ---------------------------------------------------------------------------------------------------------


def test_no_room_before_the_first_byte(local: Desk) -> None:
    door = HttpDoor()
    downloader = Downloader(door, local.directory, reserve=10**9, free=lambda path: 10**9 + SIZE - 1)
    with pytest.raises(DiskFull, match=r"3\.0 MB are still needed"):
        next(downloader.fetch((local.part,)))
    assert local.unfinished == []
    door.close()


@pytest.mark.parametrize("how", ["write", "sidecar", "fsync"])
def test_the_disk_runs_full_on_the_way(local: Desk, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(part_module, "SYNC_BYTES", STEP)
        disk = SmallDisk(patch, SIZE // 2, how)
        with pytest.raises(DiskFull, match="The disk is full"):
            local.run()
        assert disk.is_full
    kept = local.downloader.kept(local.part)
    assert SIZE // 2 - 2 * STEP < kept <= SIZE // 2
    with reading(lambda _: None, monkeypatch) as begun:
        local.run()
    assert begun[1] == kept + STEP
    assert is_right(local)


def test_it_stops_before_others_have_no_room(local: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "PROGRESS_SECONDS", 0.0)
    free = [10**9 + SIZE, 10**9, 10**9 // 2 - 1]
    door = HttpDoor()
    downloader = Downloader(door, local.directory, free=lambda path: free.pop(0) if len(free) > 1 else free[0])
    with pytest.raises(DiskFull, match=r"only 500\.0 MB left"):
        list(downloader.fetch((local.part,)))
    assert 0 < downloader.kept(local.part) < SIZE
    door.close()


# -- a file that is not the one announced -----------------------------------------------------------------------------


def test_another_size_is_found_before_the_first_byte(local: Desk, original: Path) -> None:
    original.write_bytes(b"GGUF" + bytes(10))
    with pytest.raises(BadAnswer, match=f"should have {SIZE} bytes, but it has 14") as raised:
        local.run()
    assert raised.value.hint == "Look the model up again."
    assert not raised.value.retryable
    assert local.unfinished == []


def test_another_content_is_found_by_its_hash_and_copied_once(
    local: Desk, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No damaged copy is put aside: the file is still where it was."""
    original.write_bytes(b"GGUF" + bytes(SIZE - 4))
    with reading(lambda _: None, monkeypatch) as begun, pytest.raises(BadAnswer, match="its hash is not the one"):
        local.run()
    assert begun.count(STEP) == 1
    assert local.files() == []


@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_that_changed_between_two_tries_is_copied_anew(local: Desk, original: Path, hashed: bool) -> None:
    part = local.part if hashed else without_hash(local)
    copied(local, 0, part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_module, "PROGRESS_SECONDS", 0.0)
        copied(local, SIZE // 2, part)
    if not hashed:
        original.write_bytes(b"GGUF" + bytes(SIZE - 4))
    os.utime(original, ns=(1, 1))
    result = local.run(part)
    assert "it has to be copied from its beginning" in result.messages
    assert is_honest(result.told)
    assert local.downloader.path(part).read_bytes() == original.read_bytes()


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("change", ["overwritten", "longer", "shorter", "touched"])
def test_a_file_that_changes_while_it_is_copied(
    local: Desk, original: Path, monkeypatch: pytest.MonkeyPatch, change: str, hashed: bool
) -> None:
    part = local.part if hashed else without_hash(local)

    def meddle(offset: int) -> None:
        if offset < SIZE // 2:
            return
        with original.open("r+b") as file:
            if change == "overwritten":
                file.write(b"GGUF and more")
            elif change == "longer":
                file.seek(0, os.SEEK_END)
                file.write(b"more")
            elif change == "shorter":
                file.truncate(SIZE - 1)
        os.utime(original, ns=(2, 2))

    with reading(meddle, monkeypatch), pytest.raises(BadAnswer, match="wrote to it while it was copied"):
        local.run(part)
    assert local.files() == []


def test_a_file_that_is_replaced_while_it_is_copied_is_copied_as_it_was(
    local: Desk, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(offset: int) -> None:
        if offset == STEP:
            other = original.with_suffix(".new")
            other.write_bytes(bytes(SIZE))
            other.replace(original)

    with reading(replace, monkeypatch):
        local.run()
    assert is_right(local)


def test_what_is_no_gguf_is_left_at_the_first_block(
    local: Desk, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original.write_bytes(b"PK\3\4" + bytes(SIZE - 4))
    with reading(lambda _: None, monkeypatch) as begun, pytest.raises(NotGguf, match="is not a GGUF file"):
        local.run()
    assert begun[-1] <= STEP
    assert local.files() == []


def test_without_a_hash_only_the_size_is_checked_and_it_is_said(local: Desk, original: Path) -> None:
    part = without_hash(local)
    result = local.run(part)
    assert "only its size was checked" in result.messages
    assert result.paths[0].read_bytes() == original.read_bytes()
    assert local.unfinished == []


def test_without_a_hash_the_version_tells_two_contents_apart(local: Desk, original: Path) -> None:
    first, second = (without_hash(local, version=version) for version in ("1", "2"))
    assert len({key_of(part) for part in (without_hash(local), first, second)}) == 3
    assert key_of(local.part) == key_of(local.part.model_copy(update={"version": "1"})) == WHOLE.sha256
    local.run(first)
    original.write_bytes(b"GGUF" + bytes(SIZE - 4))
    local.run(second)
    assert local.downloader.path(second).read_bytes() == original.read_bytes()
    assert local.downloader.path(first).read_bytes() == WHOLE.read()


@pytest.mark.parametrize("size", [0, 1, STEP, 3 * STEP])
def test_sizes(local: Desk, original: Path, size: int) -> None:
    original.write_bytes(b"GGUF"[:size].ljust(size, b"x"))
    part = without_hash(local, size=size)
    assert local.run(part).paths[0].read_bytes() == original.read_bytes()
    assert local.unfinished == []


# -- a file that cannot be read ---------------------------------------------------------------------------------------


def test_a_file_that_is_gone(local: Desk, original: Path) -> None:
    copied(local, 0)
    original.unlink()
    with pytest.raises(NotFound, match=r"m\.gguf is not there any more") as raised:
        local.run()
    assert "Put it back" in (raised.value.hint or "")
    original.parent.rmdir()
    original.parent.write_text("now a file")
    with pytest.raises(NotFound):
        local.run()
    assert local.unfinished == []


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EACCES, RemoteError, "may not read"),
        (errno.EPERM, RemoteError, "may not read"),
        (errno.EIO, Unreachable, "cannot be read: Input/output error"),
        (errno.ESTALE, Unreachable, "cannot be read: Stale file handle"),
    ],
)
@pytest.mark.parametrize("at_the_start", [True, False])
def test_a_disk_that_does_not_give_it(
    local: Desk, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[MoorageError], words: str, at_the_start: bool
) -> None:
    monkeypatch.setattr(job_module, "PROGRESS_SECONDS", 0.0)

    def fail(offset: int = SIZE) -> None:
        if offset > SIZE // 2:
            raise OSError(number, os.strerror(number))

    if at_the_start:
        monkeypatch.setattr(os, "open", _failing_for(os.open, ".gguf", fail))
    with reading(fail, monkeypatch), pytest.raises(MoorageError, match=words) as raised:
        local.run(owner="install-1")
    assert type(raised.value) is kind
    assert raised.value.hint
    assert str(local.directory) not in str(raised.value)
    monkeypatch.undo()
    assert (local.downloader.kept(local.part) > 0) is not at_the_start
    local.run(owner="install-1")
    assert is_right(local)


def _failing_for(real: Callable[..., int], suffix: str, fail: Callable[[], None]) -> Callable[..., int]:
    def opened(path: object, *args: object, **more: object) -> int:
        if str(path).endswith(suffix):
            fail()
        return real(path, *args, **more)

    return opened


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are elsewhere there")
@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "a link to a device", "a pipe since a moment ago"])
def test_only_ordinary_files_are_read(local: Desk, original: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat(original)
    original.unlink()
    path = original
    if kind == "directory":
        original.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "a link to a device":
        original.symlink_to("/dev/zero")
    else:
        os.mkfifo(original)
    if "moment" in kind:
        monkeypatch.setattr(os, "stat", _failing_stat(os.stat, original, real))
    part = local.part.model_copy(update={"url": path.as_uri()})
    with pytest.raises(Unsupported, match="no ordinary file"):
        local.run(part)
    assert local.unfinished == []


def _failing_stat(real: Callable[..., Any], path: Path, answer: os.stat_result) -> Callable[..., Any]:
    return lambda asked, *args, **more: answer if asked == path else real(asked, *args, **more)


# -- which addresses are read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "file:",
        "file:///",
        "file://",
        "file:m.gguf",
        "file:./m.gguf",
        "file:/etc/passwd",
        "file://localhost/etc/passwd",
        "file://nas.example/models/m.gguf",
        "file:////nas.example/models/m.gguf",
        "file:///%2Fnas.example/m.gguf",
        "file:///models/../etc/passwd",
        "file:///models/%2e%2e/etc/passwd",
        "file:///etc/passwd%00.gguf",
        "file:///models/m.gguf?download=true",
        "file:///models/m.gguf#part",
        "FILE://nas.example/models/m.gguf",
    ],
)
def test_only_plain_absolute_paths_of_this_machine_are_read(local: Desk, url: str) -> None:
    part = local.part.model_copy(update={"url": url})
    with pytest.raises((BadAnswer, Unsupported), match=r"no usable place|no ordinary file"):
        local.run(part)
    assert local.unfinished == []
    assert local.hub.requests == []


@pytest.mark.parametrize(
    "name", ["m.gguf", "a b.gguf", "50%.gguf", "what?.gguf", "#1.gguf", "ä.gguf", "..gguf", "a\\b"]
)
def test_every_name_of_a_file_is_found_again(local: Desk, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    part = without_hash(local, size=4, url=path.as_uri())
    assert local_path(part) == path
    path.write_bytes(b"GGUF")
    local.run(part)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are always Unicode")
def test_a_name_that_is_no_unicode_is_found_again(local: Desk, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.gguf")
    path.write_bytes(b"GGUF")
    local.run(without_hash(local, size=4, url=path.as_uri()))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_server_can_send_us_to_a_file(desk: Desk, original: Path, status: int) -> None:
    for target in (original.as_uri(), f"FILE://{original}", "file:///etc/passwd"):
        with FakeServer() as server:
            server.route("GET", "/f", lambda exchange, target=target: exchange.redirect(status, target))  # type: ignore[misc]
            with pytest.raises((InvalidConfig, BadAnswer)) as raised:
                desk.run(desk.part.model_copy(update={"url": f"{server.url}/f"}))
            assert len(server.requests) == 1
        assert not raised.value.retryable
        assert desk.files() == []


def test_the_clients_of_plugins_read_no_file(original: Path) -> None:
    door = HttpDoor()
    client = door.client("provider", scope=CallScope(5.0))
    with pytest.raises(InvalidConfig):
        client.request("GET", original.as_uri())
    with pytest.raises(InvalidConfig), client.stream("GET", original.as_uri()):
        pass
    door.close()


def test_parts_of_both_kinds_in_one_fetch(desk: Desk, original: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"here")
    local = FilePart(name="other.bin", size=4, url=other.as_uri())
    told: list[InstallProgress] = list(desk.downloader.fetch((desk.part, local), credential=desk.credential))
    assert (told[-1].completed, told[-1].total) == (SIZE + 4, SIZE + 4)
    assert desk.downloader.path(local).read_bytes() == b"here"
