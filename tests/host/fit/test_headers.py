"""Headers of files at a source: little is fetched, each once, and what cannot be read now is asked for again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from moorage.fit import Headers
from moorage.fit.shape import shape_of
from moorage.gguf import GgufHeader
from moorage.http import HttpDoor
from moorage.models import Credential, FilePart
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Blob, Repo, SparseFile, Token
from tests.gguf_files import gguf

KIB = 1024
KEY = "hf_good"
LLAMA: dict[str, object] = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.context_length": 131_072,
}
VOCABULARY = [f"token {number}" for number in range(60_000)]
LONG: dict[str, object] = {**LLAMA, "tokenizer.ggml.tokens": VOCABULARY, "tokenizer.chat_template": "{{ messages }}"}


def model(values: dict[str, object], size: int = 2_000_000, seed: int = 1) -> SparseFile:
    """A large file with this header, and noise behind it."""
    return SparseFile(size, seed=seed, head=gguf(values, tensors=()))


FILES = {
    "long.gguf": model(LONG),
    "other.gguf": model(LONG, seed=2),
    "late.gguf": model({"a.notes": "x" * 100_000, **LONG}),
    "later.gguf": model({"a.notes": "x" * 600_000, **LONG}),
    "tiny.gguf": gguf(LLAMA),
    "noise.gguf": SparseFile(2_000_000, seed=5),
    "lie.gguf": model({**LLAMA, "llama.attention.head_count_kv": 2**60}),
    "nothing.gguf": b"",
}


@dataclass
class Desk:
    hub: FakeHub
    headers: Headers

    def part(self, name: str, **fields: Any) -> FilePart:
        blob = Blob(FILES[name])
        url = f"{self.hub.url}/acme/m/resolve/{self.hub.repos['acme/m'].sha}/{name}"
        return FilePart(**{"name": name, "size": blob.size, "sha256": blob.sha256, "url": url, **fields})

    def read(self, name: str, **fields: Any) -> GgufHeader | None:
        credential = Credential(value=SecretStr(KEY), origins=(self.hub.url,))
        return self.headers.read(self.part(name, **fields), credential)

    @property
    def ranges(self) -> list[str | None]:
        return [seen.headers.get("range") for seen in self.hub.cdn.requests]


@pytest.fixture
def door() -> Iterator[HttpDoor]:
    made = HttpDoor()
    yield made
    made.close()


@pytest.fixture
def desk(door: HttpDoor) -> Iterator[Desk]:
    hub = FakeHub()
    hub.tokens = {KEY: Token("ada")}
    hub.add(Repo("acme/m", dict(FILES)))
    with hub:
        yield Desk(hub, Headers(door, seconds=2.0))


def test_the_first_64_kib_are_enough_and_are_read_once(desk: Desk) -> None:
    header = desk.read("long.gguf")
    assert header is not None
    shape = shape_of(header)
    assert shape is not None
    assert (shape.kept, shape.vocabulary, shape.exact) == (128 * KIB, 60_000, True)
    assert not header.whole
    assert desk.ranges == ["bytes=0-65535"]
    assert desk.read("long.gguf") is header is desk.headers.known(desk.part("long.gguf"))
    assert len(desk.ranges) == 1


def test_what_begins_late_is_read_on_from_there(desk: Desk) -> None:
    header = desk.read("late.gguf")
    assert header is not None
    assert shape_of(header) is not None
    assert desk.ranges == ["bytes=0-65535", f"bytes=65536-{512 * KIB - 1}"]
    assert desk.hub.cdn.requests[1].headers["if-range"]


def test_512_kib_are_the_end(desk: Desk) -> None:
    header = desk.read("later.gguf")
    assert header is not None
    assert shape_of(header) is None, "what is behind them is not known"
    assert len(desk.ranges) == 2
    assert desk.read("later.gguf") is header
    assert len(desk.ranges) == 2


def test_a_small_file_is_read_whole(desk: Desk) -> None:
    header = desk.read("tiny.gguf")
    assert header is not None
    assert header.whole
    assert desk.ranges == [f"bytes=0-{len(gguf(LLAMA)) - 1}"]


@pytest.mark.parametrize("name", ["noise.gguf", "nothing.gguf"])
def test_what_is_no_gguf_is_remembered_as_such(desk: Desk, name: str) -> None:
    assert desk.read(name) is None
    asked = len(desk.ranges)
    assert asked <= 1
    assert desk.read(name) is None
    assert len(desk.ranges) == asked


def test_a_header_that_lies_is_read_and_not_believed(desk: Desk) -> None:
    header = desk.read("lie.gguf")
    assert header is not None
    assert shape_of(header) is None


@pytest.mark.parametrize("name", ["long.gguf", "late.gguf", "later.gguf"])
def test_a_server_that_knows_no_ranges_is_heard_no_longer_than_needed(desk: Desk, name: str) -> None:
    desk.hub.cdn.faults.append(Fault(ignore_range=True, bytes_per_second=4_000_000, times=None))
    header = desk.read(name)
    assert header is not None
    assert (shape_of(header) is not None) is (name != "later.gguf")
    [seen] = desk.hub.cdn.requests
    until = time.monotonic() + 2
    while seen.closed_at is None and time.monotonic() < until:
        time.sleep(0.01)
    assert seen.closed_at is not None, "the rest was not fetched"


def test_a_server_that_forgets_the_range_half_way(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(ignore_range=True, skip=1))
    header = desk.read("late.gguf")
    assert header is not None
    assert shape_of(header) is not None


def test_a_file_that_changes_half_way_is_read_from_its_start(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(headers={"ETag": '"another"'}))
    header = desk.read("late.gguf")
    assert header is not None
    assert shape_of(header) is not None
    assert len(desk.ranges) == 2


ANSWERS: dict[str, Callable[[], Fault]] = {
    "401": lambda: Fault(status=401),
    "403": lambda: Fault(status=403),
    "404": lambda: Fault(status=404),
    "416": lambda: Fault(status=416),
    "500": lambda: Fault(status=500),
    "503": lambda: Fault(status=503),
    "late": lambda: Fault(delay=10),
    "portal": captive_portal,
}
BODIES: dict[str, Callable[[], Fault]] = {
    "reset": lambda: Fault(reset_after=1000),
    "short": lambda: Fault(end_after=1000),
    "silent": lambda: Fault(stall_after=1000),
    "packed": lambda: Fault(gzip=True),
    "other piece": lambda: Fault(headers={"Content-Range": "bytes 7-65542/2000000"}),
    "other size": lambda: Fault(headers={"Content-Range": "bytes 0-65535/1999999"}),
    "other length": lambda: Fault(headers={"Content-Length": "65000"}),
}


FAULTS = {
    **{f"hub {name}": ("hub", fault) for name, fault in ANSWERS.items()},
    **{f"cdn {name}": ("cdn", fault) for name, fault in (ANSWERS | BODIES).items()},
}


@pytest.mark.parametrize(("place", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_read_now_is_asked_for_again(
    desk: Desk, door: HttpDoor, place: str, fault: Callable[[], Fault]
) -> None:
    desk.headers = Headers(door, seconds=0.5)
    (desk.hub if place == "hub" else desk.hub.cdn).faults.append(fault())
    started = time.monotonic()
    assert desk.read("long.gguf") is None
    assert time.monotonic() - started < 1.5
    assert desk.headers.known(desk.part("long.gguf")) is None
    header = desk.read("long.gguf")
    assert header is not None
    assert shape_of(header) is not None


def test_a_source_that_asks_us_to_wait_is_left_alone(desk: Desk) -> None:
    desk.hub.faults.append(rate_limited(retry_after=1))
    assert desk.read("long.gguf") is None
    asked = len(desk.hub.requests)
    assert desk.read("other.gguf") is None
    assert len(desk.hub.requests) == asked
    time.sleep(1.1)
    assert desk.read("long.gguf") is not None


def test_a_source_that_is_off(desk: Desk) -> None:
    part = desk.part("long.gguf", url="http://127.0.0.1:9/long.gguf", sha256="0" * 64)
    assert desk.headers.read(part, None) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://169.254.169.254/x"},
        {"url": "ftp://127.0.0.1/x"},
        {"url": "nonsense"},
        {"url": "file:///etc/../etc/passwd"},
        {"sha256": "../../etc/passwd"},
        {"size": 2**63},
    ],
)
def test_a_part_that_makes_no_sense(desk: Desk, fields: dict[str, Any]) -> None:
    assert desk.read("long.gguf", **fields) is None
    assert desk.headers.known(desk.part("long.gguf", **fields)) is None


def test_the_key_goes_to_its_origin_only(desk: Desk) -> None:
    desk.hub.repos["acme/m"].gated = "auto"
    desk.hub.tokens = {KEY: Token("ada", granted={"acme/m"})}
    part = desk.part("long.gguf")
    assert desk.headers.read(part, None) is None, "nobody may read it without a key"
    elsewhere = Credential(value=SecretStr(KEY), origins=("https://hub.example",))
    assert desk.headers.read(part, elsewhere) is None
    assert desk.read("long.gguf") is not None
    assert desk.hub.cdn.authorizations == []


def test_what_many_want_at_once_is_read_once(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(delay=0.3, times=None))
    found: list[GgufHeader | None] = []
    threads = [threading.Thread(target=lambda: found.append(desk.read("long.gguf"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desk.ranges) == 1
    assert len(found) == 8
    assert all(header is found[0] for header in found)
    assert found[0] is not None


def test_files_of_the_same_content_are_one(desk: Desk) -> None:
    first = desk.read("long.gguf")
    assert desk.headers.read(desk.part("long.gguf", url="https://elsewhere.example/f"), None) is first


def test_without_a_hash_the_address_is_the_file(desk: Desk) -> None:
    first = desk.read("long.gguf", sha256=None)
    assert first is not None
    assert desk.read("long.gguf", sha256=None) is first
    assert len(desk.ranges) == 1
    assert desk.read("other.gguf", sha256=None) is not None
    assert len(desk.ranges) == 2


def test_only_so_many_are_kept_and_those_that_were_asked_for_last(desk: Desk, door: HttpDoor) -> None:
    desk.headers = Headers(door, most=2)
    for name in ("long.gguf", "other.gguf", "long.gguf", "tiny.gguf"):
        desk.read(name)
    known = [name for name in FILES if desk.headers.known(desk.part(name)) is not None]
    assert known == ["long.gguf", "tiny.gguf"]


def test_nothing_long_is_kept(desk: Desk) -> None:
    header = desk.read("late.gguf")
    assert header is not None
    assert not any(isinstance(value, str) and len(value) > 20 for value in header.values.values())


def test_a_file_of_this_machine_is_read_where_it_lies(tmp_path: Path, door: HttpDoor) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(LONG))
    part = FilePart(name="m.gguf", size=path.stat().st_size, url=path.as_uri())
    headers = Headers(door)
    header = headers.read(part, None)
    assert header is not None
    assert shape_of(header) is not None
    path.unlink()
    assert headers.read(part, None) is header
    gone = part.model_copy(update={"url": (tmp_path / "gone.gguf").as_uri()})
    assert headers.read(gone, None) is None


def test_a_door_that_is_closed(desk: Desk, door: HttpDoor) -> None:
    door.close()
    assert desk.read("long.gguf") is None
