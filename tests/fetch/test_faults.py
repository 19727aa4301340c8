"""The fault matrix of downloads, row by row: `reliability` 5.4."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from moorage.errors import (
    AuthFailed,
    BadAnswer,
    Cancelled,
    DiskFull,
    Gated,
    InvalidConfig,
    NotFound,
    NotGguf,
    RateLimited,
    StoreError,
    Unreachable,
    Unsupported,
)
from moorage.fetch import Downloader, Patience
from moorage.fetch import part as part_module
from moorage.fetch.answers import retry_after
from moorage.http import CallScope, HttpDoor
from moorage.models import FilePart
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.repo import Blob, Repo, SparseFile
from tests.fakes.server import Exchange, FakeServer
from tests.fetch.conftest import CONTENT, SIZE, Desk, file_part

WHOLE = Blob(CONTENT)


def is_right(desk: Desk) -> bool:
    return desk.downloader.path(desk.part).read_bytes() == WHOLE.read() and desk.unfinished == []


def ranges(desk: Desk) -> list[str | None]:
    return [seen.headers.get("range") for seen in desk.hub.cdn.requests]


def test_a_file_is_fetched_checked_and_visible_at_the_end(desk: Desk) -> None:
    result = desk.run()
    assert result.paths == (desk.directory / "blobs" / WHOLE.sha256,)
    assert is_right(desk)
    first, last = result.told[0], result.told[-1]
    assert (first.phase, first.completed, first.total) == ("downloading", 0, SIZE)
    assert (last.phase, last.completed) == ("verifying", SIZE)
    assert desk.hub.requests[0].headers["authorization"] == "Bearer hf_good"
    assert desk.hub.cdn.authorizations == []
    assert desk.hub.cdn.requests[0].headers["accept-encoding"] == "identity"
    assert desk.downloader.path(desk.part).stat().st_mode & 0o077 == 0


def test_what_is_here_is_not_fetched_again(desk: Desk) -> None:
    desk.run()
    seen = len(desk.hub.requests)
    again = desk.run()
    assert len(desk.hub.requests) == seen
    assert again.paths[0].exists()
    assert again.told[0].completed == SIZE


def test_several_parts_and_twice_the_same_content(desk: Desk) -> None:
    """Row 26: one transfer for one content, whatever it is called."""
    shards = {f"s-0000{n}-of-00002.gguf": SparseFile(700_000, seed=n, head=b"GGUF") for n in (1, 2)}
    desk.hub.add(Repo("acme/shards", {**shards, "copy.gguf": shards["s-00001-of-00002.gguf"]}))
    parts = [file_part(desk.hub, name, content, repo="acme/shards") for name, content in shards.items()]
    parts.append(file_part(desk.hub, "copy.gguf", shards["s-00001-of-00002.gguf"], repo="acme/shards"))
    result = desk.run(*parts)
    assert [path.stat().st_size for path in result.paths] == [700_000] * 3
    assert len(desk.hub.cdn.requests) == 2
    assert (result.told[-1].completed, result.told[-1].total) == (2_100_000, 2_100_000)


@pytest.mark.parametrize("fault", [Fault(end_after=SIZE // 2), Fault(reset_after=SIZE // 2)], ids=["FIN", "RST"])
def test_rows_3_and_4_a_cut_is_continued(desk: Desk, fault: Fault) -> None:
    desk.hub.cdn.faults.append(fault)
    result = desk.run()
    assert is_right(desk)
    first, second = ranges(desk)
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= SIZE // 2
    assert desk.hub.cdn.requests[1].headers["if-range"] == f'"{WHOLE.xet_hash}"'
    assert "Trying again" in result.messages


def test_row_5_half_a_body_that_only_its_end_delimits(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 2, headers={"Content-Length": None, "Connection": "close"}))
    desk.run()
    assert is_right(desk)
    assert len(desk.hub.cdn.requests) == 2


@pytest.mark.parametrize("length", [SIZE - 1, SIZE + 1])
def test_rows_6_and_32_a_size_that_is_not_the_announced_one(desk: Desk, length: int) -> None:
    desk.hub.cdn.faults.append(Fault(headers={"Content-Length": str(length)}, times=None))
    with pytest.raises(BadAnswer, match="announces another size"):
        desk.run()
    assert desk.files() == []
    assert len(desk.hub.cdn.requests) == 1


def test_more_bytes_than_announced_are_not_kept(desk: Desk) -> None:
    wrong = desk.part.model_copy(update={"size": SIZE - 10})
    desk.hub.cdn.faults.append(Fault(headers={"Content-Length": None, "Connection": "close"}, times=None))
    with pytest.raises(BadAnswer, match="longer than"):
        desk.run(wrong)
    assert not desk.downloader.path(wrong).exists()


@pytest.mark.parametrize("after", [0, SIZE // 2])
def test_row_7_a_stall_is_noticed(desk: Desk, after: int) -> None:
    desk.hub.cdn.faults.append(Fault(stall_after=after))
    result = desk.run()
    assert is_right(desk)
    assert "0.4 s" in result.messages


def test_row_8_a_drip_counts_as_a_stall(desk: Desk, tmp_path: Path) -> None:
    desk.hub.cdn.faults.append(Fault(bytes_per_second=100))
    door = HttpDoor()
    desk.downloader = Downloader(
        door, desk.directory, reserve=0, patience=Patience(silence=5, slow=0.3, tries=2, first_pause=0.01)
    )
    assert "has all but stopped" in desk.run().messages
    assert is_right(desk)
    door.close()


def test_row_9_a_server_that_ignores_ranges(desk: Desk) -> None:
    desk.hub.cdn.faults += [Fault(end_after=SIZE // 2), Fault(ignore_range=True)]
    result = desk.run()
    assert is_right(desk)
    assert "has to be fetched from its beginning" in result.messages
    shown = [progress.completed or 0 for progress in result.told]
    assert shown == sorted(shown)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 0-9/{SIZE}"},
        {"Content-Range": f"bytes 5-{SIZE - 1}/{SIZE + 1}"},
        {"Content-Range": None, "Content-Type": "multipart/byteranges; boundary=x"},
        {"Content-Range": "nonsense"},
        {"ETag": '"of another file"'},
    ],
)
def test_row_10_a_wrong_piece(desk: Desk, headers: dict[str, str | None]) -> None:
    desk.hub.cdn.faults += [Fault(end_after=SIZE // 2), Fault(headers=headers)]
    desk.run()
    assert is_right(desk)
    assert len(desk.hub.cdn.requests) == 3
    assert ranges(desk)[2] is None


def test_row_10_a_wrong_piece_again_and_again(desk: Desk) -> None:
    desk.hub.cdn.faults += [
        Fault(end_after=SIZE // 2),
        Fault(headers={"Content-Range": "nonsense"}),
        Fault(end_after=SIZE // 2),
        Fault(headers={"Content-Range": "nonsense"}, times=None),
    ]
    with pytest.raises(BadAnswer, match="another piece"):
        desk.run()


def test_row_11_a_range_that_the_server_says_does_not_exist(desk: Desk) -> None:
    desk.hub.cdn.faults += [Fault(end_after=SIZE // 2), Fault(status=416)]
    desk.run()
    assert is_right(desk)


def test_row_11_all_bytes_were_here_already(desk: Desk) -> None:
    """Killed between the last byte and the rename: nothing is fetched, but all is checked."""
    partial = desk.directory / "partial"
    partial.mkdir(parents=True)
    (partial / f"{WHOLE.sha256}.part").write_bytes(WHOLE.read())
    (partial / f"{WHOLE.sha256}.json").write_text(json.dumps({"offset": SIZE, "etag": None, "owners": []}))
    desk.run()
    assert is_right(desk)
    assert desk.hub.requests == []


def test_row_12_the_etag_has_changed(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 2))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    for progress in fetching:
        if progress.message:
            desk.hub.cdn.change_etags()
            break
    for _ in fetching:
        pass
    assert is_right(desk)


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_row_13_without_a_strong_etag_the_hash_allows_to_go_on(desk: Desk, etag: str | None) -> None:
    desk.hub.cdn.faults += [Fault(end_after=SIZE // 2, headers={"ETag": etag}), Fault(headers={"ETag": etag})]
    desk.run()
    assert is_right(desk)
    assert ranges(desk)[1] is not None
    assert "if-range" not in desk.hub.cdn.requests[1].headers


def test_row_13_without_a_hash_and_an_etag_it_begins_anew(desk: Desk) -> None:
    desk.hub.cdn.faults += [Fault(end_after=SIZE // 2, headers={"ETag": None}), Fault(headers={"ETag": None})]
    part = desk.part.model_copy(update={"sha256": None})
    result = desk.run(part)
    assert ranges(desk) == [None, None]
    assert result.paths[0].read_bytes() == WHOLE.read()
    assert "only its size was checked" in result.messages


def test_row_14_expired_links_are_asked_for_again(desk: Desk) -> None:
    for n in (1, 2, 3):
        desk.hub.cdn.faults.append(Fault(end_after=SIZE // 8))
        if n > 1:
            desk.hub.cdn.faults.append(Fault(status=403, body="<Error>Request has expired</Error>"))
    desk.run()
    assert is_right(desk)
    assert len(desk.hub.requests) == len(desk.hub.cdn.requests) == 6
    assert desk.hub.cdn.authorizations == []


def test_row_14_links_that_are_never_valid(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(status=403, body="<Error>", times=None))
    with pytest.raises(Unreachable, match=r"no longer valid \(403\)"):
        desk.run()
    assert len(desk.hub.cdn.requests) == 4
    assert desk.files() == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthFailed), (403, Gated), (404, NotFound), (410, NotFound), (451, Unsupported)],
)
def test_row_15_what_the_source_refuses_is_not_asked_again(desk: Desk, status: int, kind: type[Exception]) -> None:
    desk.hub.faults.append(Fault(status=status, body="no", times=None))
    with pytest.raises(kind):
        desk.run()
    assert len(desk.hub.requests) == 1
    assert desk.files() == []


def test_row_15_a_gated_model_names_its_page(desk: Desk) -> None:
    desk.hub.add(Repo("acme/gated", {"g.gguf": CONTENT}, gated="manual"))
    part = file_part(desk.hub, "g.gguf", CONTENT, repo="acme/gated")
    with pytest.raises(Gated) as raised:
        list(desk.downloader.fetch((part,)))
    assert raised.value.url == f"{desk.hub.url}/acme/gated"
    assert desk.run(part).paths[0].exists()


def test_row_16_a_short_wait_is_waited_and_a_long_one_reported(desk: Desk) -> None:
    desk.hub.faults.append(rate_limited(retry_after=0))
    assert "asks us to wait" in desk.run().messages
    desk.downloader.path(desk.part).unlink()
    desk.hub.faults.append(rate_limited(seconds=120))
    with pytest.raises(RateLimited) as raised:
        desk.run()
    assert raised.value.retry_after == 120


def test_row_16_the_time_to_wait_in_all_its_forms() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    assert retry_after({"retry-after": "7"}) == 7
    assert 85 < (retry_after({"retry-after": format_datetime(soon, usegmt=True)}) or 0) <= 90
    assert retry_after({"retry-after": "Mon, 01 Jan 2024 00:00:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"ratelimit": '"api";r=0;t=55'}) == 55
    assert retry_after({}) is None


def test_row_17_faults_of_the_server(desk: Desk) -> None:
    desk.hub.cdn.faults += [Fault(status=500), Fault(status=502), Fault(status=504)]
    desk.run()
    assert is_right(desk)
    desk.downloader.path(desk.part).unlink()
    desk.hub.faults.append(Fault(status=500, times=None))
    with pytest.raises(Unreachable, match="has a fault"):
        desk.run()


def test_row_18_a_sign_in_page_of_the_network(desk: Desk) -> None:
    desk.hub.faults.append(captive_portal(times=None))
    with pytest.raises(BadAnswer, match="A web page came in place"):
        desk.run()
    assert desk.files() == []


def test_row_18_what_is_no_gguf_is_noticed_at_its_first_bytes(desk: Desk) -> None:
    content = SparseFile(SIZE, seed=9, head=b"<htm")
    desk.hub.add(Repo("acme/m", {"m.gguf": content}))
    with pytest.raises(NotGguf, match=r"m\.gguf is not a GGUF file"):
        desk.run(file_part(desk.hub, "m.gguf", content))
    assert desk.files() == []


def test_row_19_a_packed_body_is_refused_before_it_is_unpacked(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(gzip=True, times=None))
    with pytest.raises(BadAnswer, match="packed"):
        desk.run()
    assert desk.files() == []


def test_row_20_loops_and_forbidden_places(desk: Desk) -> None:
    desk.hub.faults.append(Fault(redirect_loop=True, times=None))
    with pytest.raises(BadAnswer, match="more than 5 times"):
        desk.run()
    with FakeServer() as server:
        server.route("GET", "/lan", lambda exchange: exchange.redirect(302, "http://10.0.0.1/f"))
        server.route("GET", "/metadata", lambda exchange: exchange.redirect(302, "http://169.254.169.254/f"))
        for path in ("/lan", "/metadata"):
            with pytest.raises(InvalidConfig, match="may not be reached"):
                desk.run(desk.part.model_copy(update={"url": server.url + path}))


def test_row_21_a_damaged_byte(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(flip_at=SIZE // 2))
    result = desk.run()
    assert is_right(desk)
    assert "damaged on the way" in result.messages
    shown = [progress.completed or 0 for progress in result.told]
    assert shown == sorted(shown)


def test_row_21_damaged_twice(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(flip_at=SIZE // 2, times=None))
    with pytest.raises(BadAnswer, match="arrived damaged twice"):
        desk.run()
    assert desk.files() == [f"quarantine/{WHOLE.sha256}"]
    desk.hub.cdn.faults.clear()
    desk.run()
    assert is_right(desk)


def test_row_22_no_room_before_the_first_byte(desk: Desk) -> None:
    door = HttpDoor()
    downloader = Downloader(door, desk.directory, reserve=2**30, free=lambda path: 2**30 + SIZE - 1)
    with pytest.raises(DiskFull, match=r"2\.9 MB are still needed, and 1\.0 GB should stay free"):
        next(downloader.fetch((desk.part,)))
    assert desk.hub.requests == []
    door.close()


def test_row_23_the_disk_runs_full_on_the_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdopen

    class Small:
        """A file on a disk with room for half of it."""

        def __init__(self, file: object) -> None:
            self._file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def write(self, data: memoryview) -> int:
            room = SIZE // 2 - self._file.tell()  # type: ignore[attr-defined]
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return int(self._file.write(data[:room]))  # type: ignore[attr-defined]

    monkeypatch.setattr(part_module.os, "fdopen", lambda *args, **more: Small(real(*args, **more)))
    with pytest.raises(DiskFull, match="The disk is full") as raised:
        desk.run()
    assert "kept" in (raised.value.hint or "")
    monkeypatch.undo()
    assert desk.downloader.kept(desk.part) == SIZE // 2
    desk.run()
    assert is_right(desk)
    assert ranges(desk)[-1] == f"bytes={SIZE // 2}-"


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


def test_row_31_no_name_and_no_server(desk: Desk) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/f"
        with pytest.raises(Unreachable, match="Nothing answers"):
            desk.run(desk.part.model_copy(update={"url": url}))

    def no_name(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    door = HttpDoor(resolver=no_name)
    downloader = Downloader(door, desk.directory, reserve=0, patience=Patience(tries=1, first_pause=0.01))
    with pytest.raises(Unreachable, match="cannot be found"):
        list(downloader.fetch([desk.part.model_copy(update={"url": "http://nowhere.example/f"})]))
    door.close()


@pytest.mark.parametrize("hash", ["../../x", "A" * 64, "0" * 63, "sha256:" + "0" * 64, "0" * 64 + "\n"])
def test_a_hash_that_is_none_never_becomes_a_path(desk: Desk, hash: str) -> None:
    with pytest.raises(BadAnswer, match="no usable hash"):
        desk.run(desk.part.model_copy(update={"sha256": hash}))
    assert desk.files() == []


def test_names_never_become_paths(desk: Desk) -> None:
    result = desk.run(desk.part.model_copy(update={"name": "../../../etc/passwd.gguf"}))
    assert result.paths == (desk.directory / "blobs" / WHOLE.sha256,)
    assert desk.files() == [f"blobs/{WHOLE.sha256}"]


def test_progress_is_told_at_most_four_times_a_second(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    told = desk.run().told
    assert 3 <= len(told) <= 8
    shown = [progress.completed or 0 for progress in told]
    assert shown == sorted(shown)


Change = Callable[[Path, Path], None]


def shorten(part: Path, sidecar: Path) -> None:
    """A power cut: the file lost what was not synced, and the sidecar is ahead of it."""
    with part.open("r+b") as file:
        file.truncate(1000)


def forget(part: Path, sidecar: Path) -> None:
    sidecar.unlink()


def damage(part: Path, sidecar: Path) -> None:
    sidecar.write_bytes(b"\0" * 20)


def rot(part: Path, sidecar: Path) -> None:
    with part.open("r+b") as file:
        file.seek(500)
        file.write(b"\0\0\0\0")


@pytest.mark.parametrize("change", [shorten, forget, damage, rot])
def test_row_2_whatever_became_of_the_part_the_result_is_right(desk: Desk, change: Change) -> None:
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 2))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    next(progress for progress in fetching if progress.message)
    fetching.close()
    partial = desk.directory / "partial"
    change(partial / f"{WHOLE.sha256}.part", partial / f"{WHOLE.sha256}.json")
    desk.run()
    assert is_right(desk)


def test_the_server_that_answers_slowly_is_not_asked_for_what_is_here(desk: Desk) -> None:
    """A part that is bigger than the file itself was never one of it."""
    partial = desk.directory / "partial"
    partial.mkdir(parents=True)
    (partial / f"{WHOLE.sha256}.part").write_bytes(b"x" * (SIZE + 5))
    (partial / f"{WHOLE.sha256}.json").write_text(json.dumps({"offset": SIZE + 5, "etag": None, "owners": []}))
    desk.run()
    assert is_right(desk)


def test_a_fault_in_a_message_of_a_stranger_is_not_shown(desk: Desk) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(404, b"<script>", "text/html", {"X-Error-Message": "<script>alert(1)</script>"})

    with FakeServer() as server:
        server.route("GET", "/f", answer)
        part = FilePart(name="f", size=1, sha256="0" * 64, url=f"{server.url}/f?Signature=s3cret")
        with pytest.raises(NotFound) as raised:
            desk.run(part)
    assert "script" not in str(raised.value)
    assert "s3cret" not in str(raised.value)
