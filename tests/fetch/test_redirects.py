"""Row 20 of the fault matrix (`reliability` 5.4): where a download may be sent on to, and what goes with it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from pydantic import SecretStr

from moorage.errors import BadAnswer, InvalidConfig, MoorageError
from moorage.fetch import Downloader, Patience
from moorage.http import HttpDoor
from moorage.models import Credential, FilePart
from tests.fakes.cdn import serve_blob
from tests.fakes.faults import Fault, FaultyExchange, FaultyServer
from tests.fakes.repo import Blob
from tests.fakes.server import Exchange, FakeServer
from tests.fetch.conftest import CONTENT, WHOLE, Desk, is_right
from tests.http.certificates import Certificate, TlsServer


def serve(exchange: Exchange) -> None:
    assert isinstance(exchange, FaultyExchange)
    serve_blob(exchange, Blob(CONTENT), "e", {})


def at(desk: Desk, url: str) -> FilePart:
    return desk.part.model_copy(update={"url": url})


def test_row_20_a_loop_is_left_at_once(desk: Desk) -> None:
    desk.hub.faults.append(Fault(redirect_loop=True, times=None))
    with pytest.raises(BadAnswer, match="more than 5 times"):
        desk.run()
    assert len(desk.hub.requests) == 6
    assert desk.files() == []


def test_row_20_five_hops_are_gone_and_six_are_not(desk: Desk) -> None:
    with FaultyServer() as server:
        for left in range(1, 7):
            server.route("GET", f"/{left}", lambda exchange, left=left: exchange.redirect(302, f"/{left - 1}"))  # type: ignore[misc]
        server.route("GET", "/0", serve)
        with pytest.raises(BadAnswer, match="more than 5 times"):
            desk.run(at(desk, f"{server.url}/6"))
        assert len(server.requests) == 6
        assert desk.files() == []
        desk.run(at(desk, f"{server.url}/5"))
    assert is_right(desk)


@pytest.mark.parametrize(
    "target",
    [
        "http://10.0.0.1/f",
        "http://192.168.1.1/f",
        "http://[fd00::1]/f",
        "http://169.254.169.254/latest/meta-data",
        "http://100.100.100.200/f",
        "http://[::ffff:169.254.169.254]/f",
        "http://metadata.google.internal/f",
    ],
)
def test_row_20_not_to_the_local_network_and_not_to_what_hands_out_credentials(desk: Desk, target: str) -> None:
    with FakeServer() as server:
        server.route("GET", "/f", lambda exchange: exchange.redirect(302, target))
        with pytest.raises(InvalidConfig, match="may not be reached") as raised:
            desk.run(at(desk, f"{server.url}/f"))
        assert len(server.requests) == 1
    assert not raised.value.retryable
    assert desk.files() == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/f", "http://user:word@127.0.0.1/f"])
def test_row_20_not_to_what_is_no_address_of_the_web(desk: Desk, target: str) -> None:
    with FakeServer() as server:
        server.route("GET", "/f", lambda exchange: exchange.redirect(302, target))
        with pytest.raises(MoorageError) as raised:
            desk.run(at(desk, f"{server.url}/f"))
        assert len(server.requests) == 1
    assert not raised.value.retryable
    assert desk.files() == []


def test_row_20_never_from_https_to_http(desk: Desk, tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path / "hub.pem", "localhost")
    door = HttpDoor(tls=certificate.trusted)
    downloader = Downloader(door, desk.directory, reserve=0, patience=Patience(tries=2, first_pause=0.01))
    with TlsServer(certificate) as secure, FaultyServer() as plain:
        plain.route("GET", "/f", serve)
        secure.route("GET", "/f", lambda exchange: exchange.redirect(302, f"{plain.url}/f"))
        with pytest.raises(InvalidConfig, match="without encryption"):
            list(downloader.fetch([at(desk, f"{secure.url}/f")], credential=desk.credential))
        assert len(secure.requests) == 1
        assert plain.requests == []
    door.close()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_row_20_no_credential_leaves_its_origin(desk: Desk, code: int) -> None:
    """Neither the key nor a cookie that the first one set: not to another port, and not when it is tried again."""
    with FaultyServer() as home, FaultyServer() as elsewhere:
        cookie = {"Set-Cookie": "session=s3cret; Path=/"}
        home.route("GET", "/f", lambda exchange: exchange.redirect(code, f"{elsewhere.url}/f", cookie))
        elsewhere.route("GET", "/f", serve)
        elsewhere.faults.append(Fault(end_after=1_000_000))
        key = Credential(value=SecretStr("hf_good"), origins=(home.url,))
        list(desk.downloader.fetch([at(desk, f"{home.url}/f")], credential=key))
        assert [seen.headers.get("authorization") for seen in home.requests] == ["Bearer hf_good"] * 2
        assert len(elsewhere.requests) == 2
        for seen in itertools.chain(home.requests, elsewhere.requests):
            assert "cookie" not in seen.headers
        for seen in elsewhere.requests:
            assert "hf_good" not in str(seen.headers)
            assert not {"authorization", "x-api-key", "api-key", "x-goog-api-key", "referer"} & seen.headers.keys()
    assert desk.downloader.path(desk.part).read_bytes() == WHOLE.read()


def test_row_20_a_key_is_for_its_own_origin_from_the_first_request_on(desk: Desk) -> None:
    with FaultyServer() as stranger:
        stranger.route("GET", "/f", serve)
        desk.run(at(desk, f"{stranger.url}/f"))
        assert "authorization" not in stranger.requests[0].headers
