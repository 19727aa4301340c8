from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator

import psutil
import pytest

from moorage.context import ServerSentEvent
from moorage.errors import BadAnswer, Cancelled, InvalidConfig, Unreachable
from moorage.http import CallScope, HttpDoor
from tests.fakes.server import Exchange, FakeServer
from tests.http.conftest import Eventually

SSE = "text/event-stream"


def test_events_and_lines_arrive_as_they_come(server: FakeServer, door: HttpDoor) -> None:
    go_on = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"data: one\n\n"
        assert go_on.wait(5)
        yield b"data: two\n\n"

    server.route("POST", "/", lambda exchange: exchange.stream(pieces(), SSE))
    with door.client("provider").stream("POST", f"{server.url}/", json={"stream": True}) as reply:
        assert (reply.status, reply.headers["content-type"]) == (200, SSE)
        events = reply.events()
        assert next(events) == ServerSentEvent("message", "one")
        go_on.set()
        assert [event.data for event in events] == ["two"]


def test_lines_with_any_end(server: FakeServer, door: HttpDoor) -> None:
    body = [b'{"a":1}\r\n{"b"', b":2}\n", b"\n", b'{"error":"\xc3', b'\xa4"}']
    server.route("GET", "/", lambda exchange: exchange.stream(body, "application/x-ndjson"))
    with door.client("provider").stream("GET", f"{server.url}/") as reply:
        assert list(reply.lines()) == [b'{"a":1}', b'{"b":2}', b"", b'{"error":"\xc3\xa4"}']


def test_an_error_answer_can_be_read(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.json(402, {"error": "no credits"}))
    with door.client("provider").stream("GET", f"{server.url}/") as reply:
        assert (reply.status, reply.read()) == (402, b'{"error": "no credits"}')


def test_leaving_the_block_closes_the_connection_at_once(
    server: FakeServer, door: HttpDoor, eventually: Eventually
) -> None:
    def forever(exchange: Exchange) -> None:
        exchange.headers(200, {"Content-Type": SSE, "Transfer-Encoding": "chunked"})
        exchange.write(b"b\r\ndata: one\n\n\r\n")
        exchange.sleep(60)

    server.route("GET", "/", forever)
    with door.client("provider").stream("GET", f"{server.url}/") as reply:
        assert next(reply.events()).data == "one"
    left = time.monotonic()
    eventually(lambda: server.requests[0].closed_at, 1)
    assert (server.requests[0].closed_at or 0) - left < 0.5


@pytest.mark.parametrize("when", ["before the headers", "before the first byte", "between bytes", "outside of a read"])
def test_cancel_ends_a_stream_from_another_thread(
    server: FakeServer, door: HttpDoor, eventually: Eventually, when: str
) -> None:
    arrived = threading.Event()

    def hang(exchange: Exchange) -> None:
        if when != "before the headers":
            exchange.headers(200, {"Content-Type": SSE, "Transfer-Encoding": "chunked"})
        if when not in ("before the headers", "before the first byte"):
            exchange.write(b"b\r\ndata: one\n\n\r\n")
        arrived.set()
        exchange.sleep(60)

    server.route("GET", "/", hang)
    scope = CallScope(None)
    outcome: list[BaseException] = []
    first = threading.Event()

    def read() -> None:
        try:
            with door.client("provider", scope=scope).stream("GET", f"{server.url}/") as reply:
                events = reply.events()
                if when == "outside of a read":
                    next(events)
                    first.set()
                    eventually(lambda: server.requests[0].closed_at, 2)  # while this thread is busy elsewhere
                list(events)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert arrived.wait(5)
    if when == "outside of a read":
        assert first.wait(5)
    started = time.monotonic()
    scope.cancel()
    thread.join(5)
    assert [type(error) for error in outcome] == [Cancelled]
    assert time.monotonic() - started < 0.5
    eventually(lambda: server.requests[0].closed_at, 1)
    with pytest.raises(Cancelled):
        door.client("provider", scope=scope).request("GET", f"{server.url}/")
    assert len(server.requests) == 1


def test_cancel_ends_a_connect_and_a_lookup(server: FakeServer) -> None:
    blocked = threading.Event()
    asked = threading.Event()

    def resolver(*_: object, **__: object) -> list[tuple[object, ...]]:
        asked.set()
        blocked.wait(10)
        return []

    door = HttpDoor(resolver=resolver)
    scope = CallScope(None)
    canceller = threading.Thread(target=lambda: (asked.wait(5), scope.cancel()))
    canceller.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        door.client("provider", scope=scope).request("GET", "http://slow.example/")
    assert time.monotonic() - started < 1
    canceller.join()
    blocked.set()
    door.close()


def test_cancel_ends_an_upload(server: FakeServer, door: HttpDoor) -> None:
    """The other side does not read: send blocks."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    scope = CallScope(None)
    pieces = 0

    def content() -> Iterator[bytes]:
        nonlocal pieces
        while True:
            pieces += 1
            yield b"x" * 1_000_000

    threading.Timer(0.2, scope.cancel).start()
    with pytest.raises(Cancelled):
        door.client("provider", scope=scope).request(
            "POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", content=content()
        )
    assert pieces > 0
    listener.close()


def test_cancelling_one_call_leaves_the_kept_connection_of_others_alone(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    first = CallScope(None)
    assert door.client("provider", scope=first).request("GET", f"{server.url}/").text == "ok"
    second = door.client("provider")
    first.cancel()
    assert second.request("GET", f"{server.url}/").text == "ok"


def test_an_error_in_the_block_is_not_renamed(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    with pytest.raises(UnicodeEncodeError), door.client("provider").stream("GET", f"{server.url}/"):
        "ä".encode("ascii")


# Time limits


def test_silence_before_the_first_byte(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/none", lambda exchange: exchange.sleep(60))

    def headers_only(exchange: Exchange) -> None:
        exchange.headers(200, {"Content-Type": SSE, "Transfer-Encoding": "chunked"})
        exchange.sleep(60)

    server.route("GET", "/headers", headers_only)
    for path in ("/none", "/headers"):
        with pytest.raises(Unreachable, match=r"did not begin to answer within 0\.2 s"):  # noqa: SIM117
            with door.client("provider").stream("GET", server.url + path, first_timeout=0.2) as reply:
                list(reply.events())


@pytest.mark.parametrize("noise", [b"", b": ping\n\n"])
def test_silence_between_bytes_and_pings_are_silence_too(server: FakeServer, door: HttpDoor, noise: bytes) -> None:
    def stall(exchange: Exchange) -> None:
        exchange.headers(200, {"Content-Type": SSE, "Transfer-Encoding": "chunked"})
        exchange.write(b"b\r\ndata: one\n\n\r\n")
        while not server.stopping.is_set():
            exchange.sleep(0.03)
            if noise:
                exchange.write(b"%x\r\n%s\r\n" % (len(noise), noise))

    server.route("GET", "/", stall)
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"sent nothing for 0\.2 s"):  # noqa: SIM117
        with door.client("provider").stream("GET", f"{server.url}/", idle_timeout=0.2) as reply:
            list(reply.events())
    assert time.monotonic() - started < 2


def test_a_slow_stream_is_no_silent_one(server: FakeServer, door: HttpDoor) -> None:
    def slow() -> Iterator[bytes]:
        for _ in range(6):
            time.sleep(0.05)
            yield b"data: x\n\n"

    server.route("GET", "/", lambda exchange: exchange.stream(slow(), SSE))
    with door.client("provider").stream("GET", f"{server.url}/", first_timeout=0.2, idle_timeout=0.2) as reply:
        assert len(list(reply.events())) == 6


def test_an_upload_may_take_longer_than_the_first_byte(server: FakeServer, door: HttpDoor) -> None:
    def slowly() -> Iterator[bytes]:
        for _ in range(6):
            time.sleep(0.05)
            yield b"x" * 10

    server.route("POST", "/", lambda exchange: exchange.text(200, str(len(exchange.seen.body))))
    with door.client("provider").stream(
        "POST", f"{server.url}/", headers={"Content-Length": "60"}, content=slowly(), first_timeout=0.2
    ) as reply:
        assert reply.read() == b"60"


def test_a_door_that_is_closed_lets_nobody_through(server: FakeServer) -> None:
    door = HttpDoor()
    client = door.client("provider")
    door.close()
    with pytest.raises(Cancelled):
        client.request("GET", f"{server.url}/")


# Cut and broken


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_what_came_before_a_cut_is_given_first(server: FakeServer, door: HttpDoor, how: str) -> None:
    def break_off(exchange: Exchange) -> None:
        exchange.headers(200, {"Content-Type": SSE, "Transfer-Encoding": "chunked"})
        exchange.write(b"b\r\ndata: one\n\n\r\n")
        exchange.sleep(0.05)
        exchange.hang_up() if how == "cut" else exchange.reset()

    server.route("GET", "/", break_off)
    with door.client("provider").stream("GET", f"{server.url}/") as reply:
        events = reply.events()
        assert next(events).data == "one"
        with pytest.raises(Unreachable, match="was cut"):
            next(events)


# Caps


def test_a_line_of_8_mb_is_refused_cheaply(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.stream((b"x" * 65536 for _ in range(128)), SSE, odd=False))
    process = psutil.Process()
    for read in ("lines", "events"):
        before, cpu = process.memory_info().rss, time.thread_time()
        with pytest.raises(BadAnswer, match="1024 KiB"):  # noqa: SIM117
            with door.client("provider").stream("GET", f"{server.url}/") as reply:
                list(getattr(reply, read)())
        assert time.thread_time() - cpu < 0.2
        assert process.memory_info().rss - before < 8_000_000


@pytest.mark.parametrize("read", ["request", "read", "lines", "events"])
def test_a_gzip_bomb_does_not_expand(server: FakeServer, door: HttpDoor, read: str) -> None:
    packer = zlib.compressobj(9, wbits=31)
    line = b"data: " + b"a" * 1000 + b"\n\n"
    bomb = b"".join(packer.compress(line * 1000) for _ in range(200)) + packer.flush()
    server.route("GET", "/", lambda exchange: exchange.send(200, bomb, SSE, {"Content-Encoding": "gzip"}))
    process = psutil.Process()
    before = process.memory_info().rss
    count = 0
    with pytest.raises(BadAnswer, match="more than 32 MB"):  # noqa: PT012
        if read == "request":
            door.client("provider").request("GET", f"{server.url}/")
        else:
            with door.client("provider").stream("GET", f"{server.url}/") as reply:
                for _ in getattr(reply, read)():
                    count += 1
    assert process.memory_info().rss - before < (80_000_000 if read in ("request", "read") else 8_000_000)


def test_packed_answers_are_unpacked_and_strange_ones_refused(server: FakeServer, door: HttpDoor) -> None:
    packed = b"".join(zlib.compress(part, wbits=31) for part in (b'{"a":', b"1}"))  # two members
    for path, body, encoding in (
        ("/gzip", packed, "gzip"),
        ("/deflate", zlib.compress(b'{"a":1}'), "deflate"),
        ("/cut", packed[:-9], "gzip"),
        ("/broken", b"no gzip at all", "gzip"),
        ("/br", b"x", "br"),
    ):
        server.route(
            "GET",
            path,
            lambda exchange, body=body, encoding=encoding: exchange.send(
                200, body, "application/json", {"Content-Encoding": encoding}
            ),
        )
    client = door.client("provider")
    assert client.request("GET", f"{server.url}/gzip").json() == {"a": 1}
    assert client.request("GET", f"{server.url}/deflate").json() == {"a": 1}
    with pytest.raises(Unreachable, match="was cut"):
        client.request("GET", f"{server.url}/cut")
    with pytest.raises(BadAnswer, match="cannot be unpacked"):
        client.request("GET", f"{server.url}/broken")
    with pytest.raises(BadAnswer, match="not asked for"):
        client.request("GET", f"{server.url}/br")


def test_an_endless_stream_ends_at_the_cap_but_not_for_an_install(server: FakeServer, door: HttpDoor) -> None:
    piece = b"data: " + b"x" * 65000 + b"\n\n"
    server.route("GET", "/", lambda exchange: exchange.stream((piece for _ in range(600)), SSE, odd=False))
    with pytest.raises(BadAnswer, match="more than 32 MB"):  # noqa: SIM117
        with door.client("provider").stream("GET", f"{server.url}/") as reply:
            deque(reply.events(), maxlen=0)
    with door.client("provider", scope=CallScope(None, endless=True)).stream("GET", f"{server.url}/") as reply:
        assert sum(1 for _ in reply.events()) == 600


def test_a_stream_to_a_forbidden_place_is_refused(door: HttpDoor) -> None:
    with pytest.raises(InvalidConfig), door.client("provider").stream("GET", "http://169.254.169.254/"):
        pass
