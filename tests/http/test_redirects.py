"""No credential leaves its origin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from moorage.errors import BadAnswer, InvalidConfig, RedirectRefused
from moorage.http import HttpDoor, ProxySettings
from tests.fakes.server import Exchange, FakeServer

CODES = (301, 302, 303, 307, 308)
Send = Callable[[HttpDoor, str, str], None]
SECRETS = {"X-Api-Key": "s1", "Api-Key": "s2", "X-Goog-Api-Key": "s3", "Cookie": "s4=1"}


def request(door: HttpDoor, method: str, url: str) -> None:
    door.client("provider").request(method, url, headers=SECRETS, key=SecretStr("s0"))


def stream(door: HttpDoor, method: str, url: str) -> None:
    with door.client("provider").stream(method, url, headers=SECRETS, key=SecretStr("s0")):
        pass


@pytest.mark.parametrize("send", [request, stream])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", ["port", "host", "scheme"])
@pytest.mark.parametrize("code", CODES)
def test_another_origin_is_refused(
    server: FakeServer, other: FakeServer, door: HttpDoor, code: int, target: str, method: str, send: Send
) -> None:
    location = {
        "port": f"{other.url}/steal",
        "host": f"http://localhost:{other.port}/steal",
        "scheme": f"https://127.0.0.1:{server.port}/steal",
    }[target]
    server.route(method, "/", lambda exchange: exchange.redirect(code, location))
    with pytest.raises(InvalidConfig, match="Redirect refused") as raised:
        send(door, method, f"{server.url}/")
    assert server.url in str(raised.value)
    assert location.removesuffix("/steal") in str(raised.value)
    assert other.requests == []
    assert [seen.path for seen in server.requests] == ["/"]


@pytest.mark.parametrize("code", CODES)
def test_a_refused_redirect_says_where_to_and_what_else(
    server: FakeServer, other: FakeServer, door: HttpDoor, code: int
) -> None:
    headers = {"X-Linked-Size": "7"}
    server.route("GET", "/", lambda exchange: exchange.redirect(code, f"{other.url}/x?Signature=secret", headers))
    with pytest.raises(RedirectRefused) as raised:
        request(door, "GET", f"{server.url}/")
    assert (raised.value.location, raised.value.headers["x-linked-size"]) == (other.url, "7")
    assert "secret" not in f"{raised.value} {raised.value.hint}"


@pytest.mark.parametrize(
    "location", ["ftp://files.example/x", "http://[bad/", "javascript:alert(1)", "http://x:99999/"]
)
def test_what_is_no_web_address_is_no_redirect(server: FakeServer, door: HttpDoor, location: str) -> None:
    server.route("GET", "/", lambda exchange: exchange.redirect(302, location))
    with pytest.raises(InvalidConfig) as raised:
        request(door, "GET", f"{server.url}/")
    assert not isinstance(raised.value, RedirectRefused)


def test_a_redirect_that_is_followed_sends_what_was_sent_before(server: FakeServer, door: HttpDoor) -> None:
    """And nothing of what the answer brought along."""
    there = {"X-Odd": "1", "Set-Cookie": "a=b", "ETag": '"e"'}
    server.route("GET", "/old", lambda exchange: exchange.redirect(307, "/new", there))
    server.route("GET", "/new", lambda exchange: exchange.json(200, {}))
    request(door, "GET", f"{server.url}/old")
    first, second = (seen.headers for seen in server.requests)
    assert dict(first) == dict(second)


@pytest.mark.parametrize("code", CODES)
def test_the_same_origin_is_followed(server: FakeServer, door: HttpDoor, code: int) -> None:
    """As the Hub does for a model that was renamed: 307 with a relative Location."""
    server.route("GET", "/old", lambda exchange: exchange.redirect(code, "/new?full=true"))
    server.route("GET", "/new", lambda exchange: exchange.json(200, {"id": "new"}))
    answer = door.client("provider").request("GET", f"{server.url}/old", key=SecretStr("s0"))
    assert answer.json() == {"id": "new"}
    assert answer.url == f"{server.url}/new?full=true"
    assert server.requests[1].headers["authorization"] == "Bearer s0"


def test_a_post_is_repeated_only_where_the_code_says_so(server: FakeServer, door: HttpDoor) -> None:
    server.route("POST", "/308", lambda exchange: exchange.redirect(308, "/new"))
    server.route("POST", "/302", lambda exchange: exchange.redirect(302, "/new"))
    server.route("POST", "/new", lambda exchange: exchange.json(200, exchange.seen.json))
    client = door.client("provider")
    assert client.request("POST", f"{server.url}/308", json=[1]).json() == [1]
    with pytest.raises(InvalidConfig, match="cannot be followed"):
        client.request("POST", f"{server.url}/302", json=[1])
    with pytest.raises(InvalidConfig, match="cannot be followed"):
        client.request("POST", f"{server.url}/308", content=iter([b"once"]))


def test_a_loop_ends(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.redirect(302, "/"))
    with pytest.raises(BadAnswer, match="more than 5 times"):
        door.client("provider").request("GET", f"{server.url}/")
    assert len(server.requests) == 6


def test_a_realm_is_not_followed(server: FakeServer, other: FakeServer, door: HttpDoor) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{other.url}/token",service="x"'}
    server.route("GET", "/", lambda exchange: exchange.send(401, b"", "text/plain", challenge))
    assert door.client("provider").request("GET", f"{server.url}/", key=SecretStr("s0")).status == 401
    assert other.requests == []


def download(door: HttpDoor, url: str, origins: tuple[str, ...]) -> bytes:
    def key_for(where: str) -> SecretStr | None:
        return SecretStr("s0") if where in origins else None

    with door.client("download").download(url, headers={"Range": "bytes=3-"}, key_for=key_for, idle_timeout=5) as reply:
        assert reply.status == 200
        return b"".join(reply.raw())


@pytest.mark.parametrize("code", CODES)
def test_a_download_goes_on_elsewhere_without_its_key(
    server: FakeServer, other: FakeServer, door: HttpDoor, code: int
) -> None:
    server.route("GET", "/a", lambda exchange: exchange.redirect(code, "/b"))
    server.route("GET", "/b", lambda exchange: exchange.redirect(code, f"{other.url}/c?Signature=x"))
    other.route("GET", "/c", lambda exchange: exchange.send(200, b"bytes", "application/octet-stream"))
    assert download(door, f"{server.url}/a", (server.url,)) == b"bytes"
    assert [seen.headers.get("authorization") for seen in server.requests] == ["Bearer s0", "Bearer s0"]
    assert "authorization" not in other.requests[0].headers
    assert other.requests[0].headers["accept-encoding"] == "identity"
    assert other.requests[0].headers["range"] == "bytes=3-"


def test_a_download_that_comes_home_has_its_key_again_and_no_more_than_five_hops(
    server: FakeServer, other: FakeServer, door: HttpDoor
) -> None:
    def step(exchange: Exchange) -> None:
        left = int(exchange.match[1])
        target = other if exchange.server is server else server
        if left:
            exchange.redirect(302, f"{target.url}/{left - 1}")
        else:
            exchange.text(200, "end")

    server.route("GET", r"/(\d)", step)
    other.route("GET", r"/(\d)", step)
    assert download(door, f"{server.url}/5", (server.url,)) == b"end"
    assert {seen.headers.get("authorization") for seen in server.requests} == {"Bearer s0"}
    assert {seen.headers.get("authorization") for seen in other.requests} == {None}
    with pytest.raises(BadAnswer, match="more than 5 times"):
        download(door, f"{server.url}/6", ())


@pytest.mark.parametrize("inner", ["http://127.0.0.1:{port}/b", "http://localhost:{port}/b", "http://10.0.0.1/b"])
def test_a_public_download_does_not_end_up_inside(server: FakeServer, other: FakeServer, inner: str) -> None:
    """The way to the public host is played by a proxy, which is what resolves its name."""
    server.route("GET", "/a", lambda exchange: exchange.redirect(302, inner.format(port=other.port)))
    door = HttpDoor(proxy=lambda: ProxySettings(server.url))
    with pytest.raises(InvalidConfig, match="may not be reached"):
        download(door, "http://hub.example/a", ())
    assert server.requests[0].target == "http://hub.example/a"
    assert len(server.requests) == 1
    assert other.requests == []
    door.close()


def test_a_download_from_a_mirror_on_this_machine_does_not_wander_into_the_network(
    server: FakeServer, other: FakeServer
) -> None:
    answers = {"start.example": "127.0.0.1", "end.example": "10.0.0.1"}
    server.route("GET", "/a", lambda exchange: exchange.redirect(302, f"http://end.example:{other.port}/b"))
    door = HttpDoor(resolver=lambda host, port, **_: [(0, 0, 0, "", (answers[host], port))])
    with pytest.raises(InvalidConfig, match=r"end\.example may not be reached"):
        download(door, f"http://start.example:{server.port}/a", ())
    door.close()


def test_a_redirect_to_metadata_is_refused(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/a", lambda exchange: exchange.redirect(302, "http://169.254.169.254/latest/"))
    with pytest.raises(InvalidConfig, match="may not be reached"):
        download(door, f"{server.url}/a", ())
