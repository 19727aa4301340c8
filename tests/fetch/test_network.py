"""The fault matrix of downloads (`reliability` 5.4), row by row: what servers and networks do."""

from __future__ import annotations

import itertools
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from moorage.errors import (
    AuthFailed,
    BadAnswer,
    Gated,
    InvalidConfig,
    NotFound,
    NotGguf,
    RateLimited,
    Unreachable,
    Unsupported,
)
from moorage.fetch import Downloader, Patience
from moorage.fetch.answers import retry_after
from moorage.http import HttpDoor
from moorage.models import FilePart
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.repo import Blob, Repo, SparseFile
from tests.fakes.server import Exchange, FakeServer
from tests.fetch.conftest import CONTENT, SIZE, WHOLE, Desk, file_part, is_honest, is_right, ranges
from tests.http.certificates import Certificate, TlsServer


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
    with pytest.raises(BadAnswer, match=r"changed at the source: it should have .* announces another size"):
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
    [again] = [progress for progress in result.told if progress.again]
    assert (again.completed, again.message) == (0, "m.gguf has to be fetched from its beginning.")
    assert is_honest(result.told)


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
    result = desk.run()
    assert is_right(desk)
    assert len(desk.hub.cdn.requests) == 3
    assert ranges(desk)[2] is None
    assert [progress.completed for progress in result.told if progress.again] == [0]
    assert is_honest(result.told)


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


def test_row_12_the_etag_has_changed(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 2))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    for progress in fetching:
        if progress.message:
            desk.hub.cdn.change_etags()
            break
    messages = [progress.message for progress in fetching if progress.again]
    assert messages == ["m.gguf seems to have changed at the source: it has to be fetched from its beginning."]
    assert is_right(desk)


def test_row_12_other_bytes_under_a_pinned_commit(desk: Desk) -> None:
    """The source now has another file of the same size there: half of each would be neither."""
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 2))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    next(progress for progress in fetching if progress.message)
    desk.hub.cdn.replaced[WHOLE.sha256] = Blob(SparseFile(SIZE, seed=4, head=b"GGUF"))
    with pytest.raises(BadAnswer, match="has changed at the source: its hash is not the one"):
        list(fetching)
    assert [path.name for path in (desk.directory / "blobs").iterdir()] == []
    assert ranges(desk)[-1] is None


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
    assert [progress.completed for progress in result.told if progress.again] == [0]
    assert is_honest(result.told)


def expire(desk: Desk, times: int) -> None:
    """Some of the file comes, and then the link is no longer valid, so many times."""
    for _ in range(times):
        desk.hub.cdn.faults.append(Fault(end_after=SIZE // 8))
        desk.hub.cdn.faults.append(Fault(status=403, body="<Error>Request has expired</Error>"))


def test_row_14_a_link_that_expires_five_times(desk: Desk) -> None:
    expire(desk, 5)
    desk.run()
    assert is_right(desk)
    assert len(desk.hub.requests) == len(desk.hub.cdn.requests) == 11
    offsets = [int((asked or "bytes=0-")[6:-1]) for asked in ranges(desk)]
    assert offsets == sorted(offsets), "nothing is fetched twice"
    assert desk.hub.cdn.authorizations == []


def test_row_14_a_sixth_time_within_the_hour_is_too_much(desk: Desk) -> None:
    expire(desk, 6)
    with pytest.raises(Unreachable, match="keep expiring"):
        desk.run()
    assert desk.downloader.kept(desk.part) > SIZE // 2


def test_row_14_links_that_are_never_valid(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(status=403, body="<Error>", times=None))
    with pytest.raises(Unreachable, match=r"no longer valid \(403\)"):
        desk.run()
    assert len(desk.hub.cdn.requests) == 4
    assert desk.files() == []


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (401, "Please log in.", "sign in first"),
        (403, "You are not in the authorized list.", "not accepted yet"),
        (403, "Your request has been rejected by the repo's authors.", "has refused your account"),
    ],
)
def test_row_15_a_gate_is_said_in_its_own_words(desk: Desk, status: int, said: str, words: str) -> None:
    headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": said}
    desk.hub.faults.append(Fault(status=status, headers=headers, times=None))
    with pytest.raises(Gated, match=words) as raised:
        desk.run()
    assert raised.value.url


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthFailed), (403, AuthFailed), (404, NotFound), (410, NotFound), (451, Unsupported)],
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
    asked = len(desk.hub.requests)
    with pytest.raises(Unreachable, match="has a fault"):
        desk.run()
    assert len(desk.hub.requests) - asked == 4, "the first and three more"


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


def test_row_31_a_name_that_is_found_again(desk: Desk) -> None:
    """The network was away for a moment."""
    asked: list[str] = []

    def resolver(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    door = HttpDoor(resolver=resolver)
    downloader = Downloader(door, desk.directory, reserve=0, patience=Patience(tries=3, first_pause=0.01))
    url = desk.part.url.replace("127.0.0.1", "hub.example")
    told = [p.message for p in downloader.fetch([desk.part.model_copy(update={"url": url})]) if p.message]
    assert is_right(desk)
    assert told == ["The host name hub.example cannot be found. Trying again."], "each try asks twice"
    door.close()


def test_row_31_a_black_hole_beside_a_way_that_works(desk: Desk) -> None:
    """An address that never answers, as IPv6 without a route, costs a moment and no try."""
    with socket.socket() as full:  # its queue is full, so that further connections stay unanswered
        full.bind(("127.0.0.2", desk.hub.port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.2", desk.hub.port))
        addresses = ["127.0.0.2", "127.0.0.1"]
        door = HttpDoor(resolver=lambda host, port, **_: [(0, 0, 0, "", (each, port)) for each in addresses])
        downloader = Downloader(door, desk.directory, reserve=0, patience=Patience(tries=1))
        url = desk.part.url.replace("127.0.0.1", "hub.example")
        began = time.monotonic()
        told = [p.message for p in downloader.fetch([desk.part.model_copy(update={"url": url})]) if p.message]
        assert time.monotonic() - began < 4
        assert told == []
        assert is_right(desk)
        for sock in waiting:
            sock.close()
        door.close()


def test_row_31_a_certificate_that_nobody_vouches_for_is_not_tried_again(desk: Desk, tmp_path: Path) -> None:
    with TlsServer(Certificate.make(tmp_path / "hub.pem", "hub.example")) as secure:
        door = HttpDoor(resolver=lambda host, port, **_: [(0, 0, 0, "", ("127.0.0.1", port))])
        downloader = Downloader(door, desk.directory, reserve=0, patience=Patience(tries=3, first_pause=0.01))
        url = f"https://hub.example:{secure.port}/f"
        with pytest.raises(InvalidConfig, match="cannot be trusted"):
            list(downloader.fetch([desk.part.model_copy(update={"url": url})], credential=desk.credential))
        assert secure.names == ["hub.example"], "one handshake"
        assert secure.requests == []
        door.close()
    assert desk.files() == []


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_row_29_the_clock_jumps_by_a_day(desk: Desk, monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
    """Forth or back, every time that it is looked at: no stall is seen where there is none."""
    content = SparseFile(300_000, seed=6)
    desk.hub.add(Repo("acme/m", {"m.bin": content}))
    part = file_part(desk.hub, "m.bin", content)
    real, looks = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() + next(looks) * jump)
    desk.hub.cdn.faults.append(Fault(bytes_per_second=200_000))
    result = desk.run(part)
    assert result.messages == ""
    assert len(desk.hub.cdn.requests) == 1
    shown = [progress.completed or 0 for progress in result.told]
    assert 3 <= len(shown) <= 12
    assert shown == sorted(shown)


def test_progress_is_told_at_most_four_times_a_second(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    told = desk.run().told
    assert 3 <= len(told) <= 8
    shown = [progress.completed or 0 for progress in told]
    assert shown == sorted(shown)


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


@pytest.mark.parametrize(
    "after", ["²", "1" * 400, "nan", "Mon, 01 Jan 0001 00:00:00 +9999", "Fri, 31 Dec 9999 23:59:59 -9999"]
)
def test_a_retry_after_that_makes_no_sense(after: str) -> None:
    assert retry_after({"retry-after": after}) is None


def test_a_disabled_repository_is_no_gate(desk: Desk) -> None:
    desk.hub.faults.append(
        Fault(status=403, headers={"X-Error-Message": "Access to this resource is disabled."}, times=None)
    )
    with pytest.raises(AuthFailed, match="disabled"):
        desk.run()
