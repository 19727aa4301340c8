from __future__ import annotations

import pytest

from moorage.errors import InvalidConfig
from moorage.http import check_url, origin
from moorage.http.urls import parse_url


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://host", "https://host:443"),
        ("HTTPS://Host.Example:443/v1?q=1", "https://host.example:443"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
        ("http://host.", "http://host:80"),
        ("https://bücher.example", "https://xn--bcher-kva.example:443"),
    ],
)
def test_an_origin_has_one_form(url: str, normal: str) -> None:
    assert origin(url) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:8080",
        "file:///etc/passwd",
        "gopher://host/",
        "unix:/var/run/x",
        "ftp://host/",
        "//host/",
        "http://",
        "http:///path",
        "http:host",
        "http://127.0.0.1:6666\\@1.1.1.1/",
        "http://1.1.1.1\\@127.0.0.1/",
        "http://user@host/",
        "http://user:password@host/",
        "http://127.0.0.1:8080#@evil.example/",
        "http://host/\tpath",
        "http://ho st/",
        "http://host/a b",
        "http://host/\r\nX: y",
        "\nhttp://host/",
        "http://host\u3000/",
        "http://host/\u2028",
        "http://127%2e0%2e0%2e1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://::1/",
        "http://host:0/",
        "http://host:22/",
        "http://host:25/",
        "http://host:6379/",
        "http://host:65536/",
        "http://host:99999999/",
        "http://host:80:80/",
        "http://host:8o/",
        "http://-host/",
        "http://ho<st/",
        "http://host/" + "a" * 9000,
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(url: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        check_url(url, "provider")
    assert raised.value.hint
    assert "password" not in str(raised.value)


def test_a_redirect_leads_where_a_browser_would_go() -> None:
    start = parse_url("https://hub.example/api/models/a?x=1#part")
    assert str(start.join("/api/models/b").url) == "https://hub.example/api/models/b"
    assert start.join("//cdn.example/f").origin == "https://cdn.example:443"
    assert start.join("b?y=2").without_query == "https://hub.example/api/models/b"
    for bad in ("https://a\\@b/", "http://x@y/", "javascript:alert(1)", "/a\tb"):
        with pytest.raises(InvalidConfig):
            start.join(bad)
