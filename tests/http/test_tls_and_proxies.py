from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from moorage.errors import Cancelled, InvalidConfig, Unreachable
from moorage.http import CallScope, HttpDoor, ProxySettings
from moorage.http.urls import parse_url
from tests.fakes.server import Exchange, FakeServer
from tests.http.certificates import Certificate, TlsServer
from tests.http.conftest import Eventually
from tests.http.proxy import FakeProxy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("tls") / "hub.pem", "hub.example", "localhost")


@pytest.fixture
def secure(certificate: Certificate) -> Iterator[TlsServer]:
    with TlsServer(certificate) as started:
        yield started


def to_loopback(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
    return [(0, 0, 0, "", ("127.0.0.1", port))]


def test_the_name_is_what_the_certificate_is_checked_for(secure: TlsServer, certificate: Certificate) -> None:
    """Connected to the checked address, with the name in SNI, Host and the check of the certificate."""
    secure.route("GET", "/", lambda exchange: exchange.text(200, "x" * 100_000))
    door = HttpDoor(resolver=to_loopback, tls=certificate.trusted)
    client = door.client("provider")
    for _ in range(2):
        assert len(client.request("GET", f"https://hub.example:{secure.port}/").content) == 100_000
    assert secure.names == ["hub.example"]
    assert secure.requests[0].headers["host"] == f"hub.example:{secure.port}"
    with pytest.raises(InvalidConfig, match=r"certificate of evil\.example cannot be trusted"):
        client.request("GET", f"https://evil.example:{secure.port}/")
    door.close()


def test_a_certificate_that_nobody_vouches_for(secure: TlsServer) -> None:
    door = HttpDoor()
    with pytest.raises(InvalidConfig, match="cannot be trusted") as raised:
        door.client("provider").request("GET", f"{secure.url}/")
    assert not raised.value.retryable
    door.close()


def test_no_tls_where_tls_was_expected(server: FakeServer, door: HttpDoor) -> None:
    with pytest.raises(Unreachable, match="No secure connection"):
        door.client("provider").request("GET", f"https://127.0.0.1:{server.port}/")


def test_a_stream_over_tls_can_be_stopped_and_left(
    secure: TlsServer, certificate: Certificate, eventually: Eventually
) -> None:
    arrived = threading.Event()

    def hang(exchange: Exchange) -> None:
        arrived.set()
        exchange.headers(200, {"Transfer-Encoding": "chunked"})
        exchange.write(b"b\r\ndata: one\n\n\r\n")
        secure.stopping.wait(10)

    secure.route("GET", "/", hang)
    door = HttpDoor(tls=certificate.trusted)
    scope = CallScope(None)
    threading.Thread(target=lambda: (arrived.wait(5), time.sleep(0.1), scope.cancel())).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):  # noqa: SIM117
        with door.client("provider", scope=scope).stream("GET", f"{secure.url}/") as reply:
            list(reply.events())
    assert time.monotonic() - started < 1
    door.close()


def test_a_download_does_not_leave_https(secure: TlsServer, server: FakeServer, certificate: Certificate) -> None:
    secure.route("GET", "/f", lambda exchange: exchange.redirect(302, f"{server.url}/f"))
    door = HttpDoor(tls=certificate.trusted)
    client = door.client("download")
    with pytest.raises(InvalidConfig, match="without encryption"):  # noqa: SIM117
        with client.download(f"{secure.url}/f", headers={}, key_for=lambda _: None, idle_timeout=5):
            pass
    assert server.requests == []
    door.close()


def test_a_body_that_ends_without_a_goodbye_was_cut(secure: TlsServer, certificate: Certificate) -> None:
    """Only the end of the connection delimits this body, and TLS can tell whether the server meant it."""

    def cut(exchange: Exchange) -> None:
        exchange.headers(200, {"Connection": "close"})
        exchange.write(b"half")
        exchange.hang_up()

    secure.route("GET", "/", cut)
    door = HttpDoor(tls=certificate.trusted)
    with pytest.raises(Unreachable, match="was cut"):
        door.client("provider").request("GET", f"{secure.url}/")
    door.close()


@pytest.mark.parametrize("proxy_tls", [False, True])
def test_https_goes_through_a_proxy_in_a_tunnel(secure: TlsServer, certificate: Certificate, proxy_tls: bool) -> None:
    """Also where the proxy itself is reached by TLS; the proxy learns nothing but host and port."""
    secure.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    with FakeProxy({"hub.example:443": secure.port}, certificate.server() if proxy_tls else None) as proxy:
        url = proxy.url.replace("://", "://me:p%40ss@")
        door = HttpDoor(proxy=lambda: ProxySettings(url), tls=certificate.trusted)
        answer = door.client("provider").request("GET", "https://hub.example/", key=SecretStr("s0"))
        assert answer.text == "ok"
        with door.client("provider").stream("GET", "https://hub.example/") as reply:
            assert reply.read() == b"ok"
        door.close()
        assert proxy.lines == ["CONNECT hub.example:443 HTTP/1.1"] * 2
        assert proxy.auth == ["me:p@ss"] * 2
    assert secure.requests[0].headers["authorization"] == "Bearer s0"
    assert "proxy-authorization" not in secure.requests[0].headers


def test_http_goes_through_a_proxy_and_this_machine_does_not(server: FakeServer) -> None:
    server.route("GET", "/x", lambda exchange: exchange.text(200, "ok"))
    with FakeProxy({"hub.example": server.port}) as proxy:
        door = HttpDoor(proxy=lambda: ProxySettings(proxy.url))
        assert door.client("tool").request("GET", "http://hub.example/x").text == "ok"
        assert door.client("provider").request("GET", f"{server.url}/x").text == "ok"
        assert door.client("provider").request("GET", f"http://localhost:{server.port}/x").text == "ok"
        assert proxy.lines == ["GET http://hub.example/x HTTP/1.1"]
        door.close()


def test_a_changed_proxy_takes_effect_at_once(server: FakeServer) -> None:
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    settings = ProxySettings()
    url = f"http://hub.example:{server.port}/"
    with FakeProxy({f"hub.example:{server.port}": server.port}) as proxy:
        door = HttpDoor(proxy=lambda: settings, resolver=to_loopback)
        client = door.client("provider")
        client.request("GET", url)
        settings = ProxySettings(proxy.url)
        client.request("GET", url)
        assert len(proxy.lines) == 1
        settings = ProxySettings(proxy.url, "hub.example")
        client.request("GET", url)
        assert len(proxy.lines) == 1
        assert len(server.requests) == 3
        door.close()


def test_what_a_proxy_refuses_or_does_not_answer_is_said(certificate: Certificate) -> None:
    with FakeProxy({}, refuse=True) as proxy:
        door = HttpDoor(proxy=lambda: ProxySettings(proxy.url), tls=certificate.trusted)
        with pytest.raises(Unreachable, match="The proxy did not let us through") as raised:
            door.client("provider").request("GET", "https://hub.example/")
        assert raised.value.hint
    with pytest.raises(Unreachable, match="The proxy 127"):
        door.client("provider").request("GET", "https://hub.example/")
    door.close()


def test_a_proxy_does_not_lead_into_forbidden_places() -> None:
    with FakeProxy({}) as proxy:
        door = HttpDoor(proxy=lambda: ProxySettings(proxy.url))
        for url in ("http://169.254.169.254/", "http://[::ffff:a9fe:a9fe]/", "http://metadata.google.internal/"):
            with pytest.raises(InvalidConfig, match="may not be reached"):
                door.client("provider").request("GET", url)
        with pytest.raises(InvalidConfig, match="may not be reached"):
            door.client("tool").request("GET", "http://192.168.1.1/")
        assert proxy.lines == []
        door.close()


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        (None, "https://hub.example/", False),
        ("*", "https://hub.example/", True),
        ("hub.example", "https://hub.example/", True),
        ("example", "https://hub.example/", True),
        (".example", "https://hub.example/", True),
        ("*.example", "https://hub.example/", True),
        ("ub.example", "https://hub.example/", False),
        ("HUB.example:443, other", "https://hub.example/", True),
        ("hub.example:80", "https://hub.example/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("fd00::/8 192.168.1.5", "http://[fd00::1]/", True),
        ("192.168.1.5", "http://192.168.1.5:8000/", True),
        ("nonsense/99", "http://10.1.2.3/", False),
        (None, "http://127.0.0.1:11434/", True),
        (None, "http://[::1]:11434/", True),
    ],
)
def test_the_list_of_exceptions_is_read_as_curl_reads_it(no_proxy: str | None, url: str, direct: bool) -> None:
    assert (ProxySettings("http://proxy:3128", no_proxy).url_for(parse_url(url)) is None) == direct


def test_a_context_is_made_once_and_only_when_needed(server: FakeServer, secure: TlsServer) -> None:
    made: list[ssl.SSLContext] = []

    def tls() -> ssl.SSLContext:
        made.append(ssl.create_default_context())
        return made[-1]

    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    door = HttpDoor(tls=tls)
    door.client("provider").request("GET", f"{server.url}/")
    assert made == []
    call: Callable[[], object] = lambda: door.client("provider").request("GET", f"{secure.url}/")  # noqa: E731
    for _ in range(2):
        with pytest.raises(InvalidConfig):
            call()
    assert len(made) == 1
    door.close()
