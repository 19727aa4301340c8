from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moorage.errors import Unreachable
from moorage.http import ApiClient, api_client
from tests.fakes.server import FakeServer


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    if environ["PATH_INFO"] == "/api/stream":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return iter([b"event: start\ndata: {}\n\n", b"event: end\ndata: {}\n\n"])
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    return iter([b'{"got":%s,"query":"%s"}' % (body or b"null", environ["QUERY_STRING"].encode())])


@pytest.fixture(params=["socket", "in process"])
def client(request: pytest.FixtureRequest, server: FakeServer) -> Iterator[ApiClient]:
    server.route(
        "GET",
        "/api/stream",
        lambda exchange: exchange.stream(app({"PATH_INFO": "/api/stream"}, print), "text/event-stream"),
    )
    server.route("POST", "/api/x", lambda exchange: exchange.json(200, {"got": exchange.seen.json, "query": "a=1"}))
    with api_client(server.url) if request.param == "socket" else api_client(app=app) as opened:
        yield opened


def test_it_asks_and_streams(client: ApiClient) -> None:
    answer = client.request("POST", "/api/x", params={"a": "1"}, json={"b": [2]})
    assert (answer.status, answer.json()) == (200, {"got": {"b": [2]}, "query": "a=1"})
    with client.stream("GET", "/api/stream") as reply:
        assert [event.event for event in reply.events()] == ["start", "end"]


def test_it_sends_its_token(server: FakeServer) -> None:
    with api_client(server.url, token="mrg_1") as client:
        client.request("GET", "/")
    assert server.requests[0].headers["authorization"] == "Bearer mrg_1"


def test_no_server(server: FakeServer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with api_client(url) as client, pytest.raises(Unreachable, match=f"No Moorage server answers at {url}"):
            client.request("GET", "/")
    server.route("GET", "/cut", lambda exchange: exchange.hang_up())
    with api_client(server.url) as client, pytest.raises(Unreachable, match="was cut"):
        client.request("GET", "/cut")
