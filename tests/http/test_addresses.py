from __future__ import annotations

import ipaddress

import pytest

from moorage.errors import InvalidConfig
from moorage.http import HttpDoor, check_url
from moorage.http.addresses import Purpose, classify
from tests.fakes.server import FakeServer

LOOPBACK = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "127.255.255.254", "localhost",
    "api.localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]", "[0:0:0:0:0:0:0:1]",
]  # fmt: skip
LAN = [
    "10.0.0.1", "192.168.1.20", "172.16.0.1", "172.31.255.255", "100.64.0.1", "[fd12:3456::1]", "[::ffff:192.168.1.20]",
    "[64:ff9b::c0a8:114]", "3232235796", "198.18.0.1", "192.0.2.1", "[2001:db8::1]", "[64:ff9b:1::1]",
]  # fmt: skip
NEVER = [
    "169.254.169.254", "169.254.0.1", "2852039166", "0xa9fea9fe", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fe80::1]", "0.0.0.0", "0",
    "[::]", "224.0.0.1", "255.255.255.255", "240.0.0.1", "[ff02::1]", "metadata.google.internal", "[::a9fe:a9fe]",
    "[::ffff:0.0.0.0]", "[2001:0:a9fe:a9fe::1]",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "16843009", "example.org", "[2606:4700::1111]", "[::ffff:1.1.1.1]", "[64:ff9b::101:101]"]
ALLOWED: dict[Purpose, set[str]] = {
    "provider": {*PUBLIC, *LAN, *LOOPBACK},
    "download": {*PUBLIC, *LAN, *LOOPBACK},
    "tool": {*PUBLIC},
}


@pytest.mark.parametrize("purpose", ["provider", "download", "tool"])
@pytest.mark.parametrize("host", [*LOOPBACK, *LAN, *NEVER, *PUBLIC])
def test_each_spelling_counts_as_what_it_is(host: str, purpose: Purpose) -> None:
    if host in ALLOWED[purpose]:
        check_url(f"http://{host}/", purpose)
    else:
        with pytest.raises(InvalidConfig, match="may not be reached"):
            check_url(f"http://{host}/", purpose)


@pytest.mark.parametrize("host", ["0177.0.0.1", "256.1.1.1", "1.2.3.4.5", "0x", "1..1", "99999999999"])
def test_a_number_that_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidConfig):
        check_url(f"http://{host}/", "provider")


def test_teredo_counts_both_of_its_addresses() -> None:
    client = ipaddress.IPv6Address("2001:0:101:101:0:63bf:80ff:fffe")
    assert client.teredo == (ipaddress.IPv4Address("1.1.1.1"), ipaddress.IPv4Address("127.0.0.1"))
    assert classify(client) == "loopback"


class Names:
    """A name server with one answer after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(0, 0, 0, "", (address, port)) for address in answer]


def test_the_name_is_resolved_once_and_the_checked_address_is_used(server: FakeServer) -> None:
    """A rebinding name server says something else the second time: nobody asks it."""
    server.route("GET", "/", lambda exchange: exchange.text(200, exchange.seen.headers["host"]))
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    door = HttpDoor(resolver=names)
    answer = door.client("provider").request("GET", f"http://ollama.example:{server.port}/")
    assert answer.text == f"ollama.example:{server.port}"
    assert names.asked == 1
    door.close()


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["10.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_tool_does_not_reach_this_machine_through_a_name(server: FakeServer, answer: list[str]) -> None:
    door = HttpDoor(resolver=Names(answer))
    with pytest.raises(InvalidConfig, match="may not be reached"):
        door.client("tool").request("GET", f"http://innocent.example:{server.port}/")
    assert server.requests == []
    door.close()


@pytest.mark.parametrize(
    "answer", [["169.254.169.254"], ["fd00:ec2::254"], ["127.0.0.1", "100.100.100.200"], ["fe80::1%2"]]
)
def test_no_purpose_reaches_metadata_through_a_name(answer: list[str]) -> None:
    door = HttpDoor(resolver=Names(answer))
    for purpose in ("provider", "download", "tool"):
        with pytest.raises(InvalidConfig, match="may not be reached"):
            door.client(purpose).request("GET", "http://innocent.example:8000/")
    door.close()


def test_a_link_local_address_beside_a_usable_one_is_passed_over(server: FakeServer) -> None:
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    door = HttpDoor(resolver=Names(["fe80::1%2", "127.0.0.1"]))
    assert door.client("provider").request("GET", f"http://box.local:{server.port}/").text == "ok"
    door.close()


def test_a_connection_kept_for_providers_is_not_lent_to_tools(server: FakeServer) -> None:
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    door = HttpDoor(resolver=Names(["127.0.0.1"]))
    url = f"http://innocent.example:{server.port}/"
    assert door.client("provider").request("GET", url).status == 200
    with pytest.raises(InvalidConfig):
        door.client("tool").request("GET", url)
    door.close()
