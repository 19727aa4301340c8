"""The router byte by byte: ends, silences, scripts, and who closed when."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.faults import Fault
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import Manner, RouterModel
from tests.fakes.server import Seen
from tests.plugins.huggingface.recordings import named, raw, read


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with FakeRouter() as started:
        started.add(RouterModel("acme/chat"))
        yield started


@contextlib.contextmanager
def post(router: FakeRouter, **extra: Any) -> Iterator[http.client.HTTPResponse]:
    body = {"model": "acme/chat", "messages": [{"role": "user", "content": "one two"}], "stream": True, **extra}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", router.port, timeout=10)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        with connection.getresponse() as response:
            yield response


def wait_closed(seen: Seen) -> float:
    """Seconds from now until the router has noticed that its client left."""
    begun = time.monotonic()
    while seen.closed_at is None:
        assert time.monotonic() < begun + 5, "the router never noticed"
        time.sleep(0.01)
    return seen.closed_at - begun


@pytest.mark.parametrize("end", ["done", "eof", "error"])
def test_ends(router: FakeRouter, end: Any) -> None:
    router.manner = Manner(end=end)
    with post(router) as response:
        data = response.read()
    assert data.endswith(b"data: [DONE]\n\n") is (end == "done")
    assert (b"event: error\n" in data) is (end == "error")
    assert b'"finish_reason":"stop"' in data


def test_a_cut_stream_breaks_the_transfer(router: FakeRouter) -> None:
    router.manner = Manner(end="cut", end_after=2)
    with post(router) as response, pytest.raises(http.client.IncompleteRead):
        response.read()


@pytest.mark.parametrize(
    "manner",
    [
        Manner(headers_delay=60),
        Manner(first_delay=60),
        Manner(endless=True),
        Manner(endless=True, chunks_per_second=20),
    ],
    ids=["before the headers", "before the first token", "endless", "slow"],
)
def test_a_client_that_leaves_is_noticed(router: FakeRouter, manner: Manner) -> None:
    router.manner = manner
    body = json.dumps({"model": "acme/chat", "messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", router.port)) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        if not manner.headers_delay:
            sock.recv(1000)
        while not router.requests:
            time.sleep(0.005)
        assert router.requests[0].closed_at is None
    assert wait_closed(router.requests[0]) < 1


def test_slow_means_slow(router: FakeRouter) -> None:
    router.manner = Manner(chunks_per_second=50)
    begun = time.monotonic()
    with post(router) as response:
        events = response.read().count(b"data: ")
    assert time.monotonic() - begun > (events - 1) / 50


@pytest.mark.parametrize("path", named("**/*.sse"), ids=lambda path: path.stem)
def test_recorded_streams_are_replayed_exactly(router: FakeRouter, path: Path) -> None:
    router.script(path)
    with post(router) as response:
        assert response.read() == path.read_bytes()
        assert response.headers["content-type"] == "text/event-stream"
    assert not router.scripts


def test_a_script_may_be_an_error_in_pieces(router: FakeRouter) -> None:
    router.script([b'{"err', b'or":"x"}'], status=500, content_type="application/json", headers={"Retry-After": "1"})
    with post(router) as response:
        assert (response.status, json.loads(response.read())) == (500, {"error": "x"})
        assert response.headers["retry-after"] == "1"


def test_many_chunks_cost_the_server_little(router: FakeRouter) -> None:
    router.add(RouterModel("acme/many", words=50_000))
    with post(router, model="acme/many") as response:
        response.read()
    begun = time.process_time()
    with post(router, model="acme/many") as response:
        data = response.read()
    assert data.count(b"data: ") == 50_002
    assert time.process_time() - begun < 1  # both ends in this process


def test_the_shape_of_a_stream_is_the_recorded_one(router: FakeRouter) -> None:
    recorded = raw("router/pydantic/cancel_stream_huggingface__1.sse").decode()
    with post(router, stream_options={"include_usage": True}) as response:
        ours = response.read().decode()

    def shapes(text: str) -> list[tuple[set[str], set[str]]]:
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        return [(set(e) - {"sla_metrics"}, set(e["choices"][0]["delta"]) if e["choices"] else set()) for e in events]

    first, content, *_ = shapes(recorded)
    assert shapes(ours)[:2] == [first, content]
    assert shapes(ours)[-2:] == shapes(recorded)[-2:]


def test_a_message_list_that_is_none_is_refused_in_serde_words(router: FakeRouter) -> None:
    envelope = read("router/error_422_text_plain_tgi.json")
    with post(router, messages=envelope["request"]["body"]["messages"]) as response:
        text = response.read().decode()
    assert text.split(" at line")[0] == envelope["response"]["body_text"].split(" at line")[0]


def test_nothing_is_left_running_after_stop() -> None:
    router = FakeRouter()
    router.add(RouterModel("acme/chat", manner=Manner(first_delay=60)))
    before = set(threading.enumerate())
    with router, post(router):
        assert set(threading.enumerate()) - before
        router.stop()
        assert not set(threading.enumerate()) - before


def test_a_chat_may_be_sent_to_another_origin(router: FakeRouter) -> None:
    router.faults.append(Fault(method="POST", status=307, headers={"Location": "http://127.0.0.1:9/v1"}))
    with post(router) as response:
        assert (response.status, response.headers["location"]) == (307, "http://127.0.0.1:9/v1")
