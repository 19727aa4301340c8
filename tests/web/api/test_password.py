"""A server with a password: closed by default, on every route of the URL map (rows A10, A11, A13, A14)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from werkzeug.test import Client, TestResponse

from moorage.host import Host
from moorage_web.auth import OPEN
from tests.conftest import MakeHost
from tests.host.scripted import Scripted
from tests.web.api.conftest import ORIGIN, PORT, Api
from tests.web.api.test_attacks import routes

PASSWORD = "correct horse battery staple"
OPEN_ROUTES = Path(__file__).parents[2] / "data" / "open_routes.txt"


@pytest.fixture
def locked(make_host: MakeHost) -> Api:
    return Api(make_host(plugins={"scripted": Scripted()}, only=True, password=PASSWORD))


def sign_in(api: Api, password: str = PASSWORD, next: str = "/") -> tuple[Client, TestResponse]:
    client = api.app.test_client()
    return client, client.post("/login", data={"password": password, "next": next}, base_url=ORIGIN)


def test_a10_everything_else_is_closed(locked: Api) -> None:
    open_routes = set()
    for rule in locked.app.url_map.iter_rules():
        if rule.endpoint in OPEN:
            open_routes |= {f"{method} {rule.rule}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert open_routes == set(OPEN_ROUTES.read_text().split("\n")[:-1])
    assert len(open_routes) <= 6
    closed = {rule.rule for rule in locked.app.url_map.iter_rules() if rule.endpoint not in OPEN}
    assert len(closed) > 50
    for method, path in routes(locked):
        response = locked.call(method, path, data=b"")
        endpoint = locked.app.url_map.bind("x").match(path, method=method)[0]
        if endpoint in OPEN:
            assert response.status_code in (200, 302, 304, 401), (method, path)
        elif path.startswith(("/api/", "/v1/")) or path in ("/readyz", "/metrics"):
            assert response.status_code == 401, (method, path)
            assert response.headers["WWW-Authenticate"] == "Bearer"
        else:
            assert response.status_code == 302, (method, path)
            assert response.headers["Location"].startswith("/login")


def test_unknown_addresses_tell_nothing(locked: Api) -> None:
    assert locked.call("GET", "/api/nothing").status_code == 401
    assert locked.call("GET", "/nothing").status_code == 302


def test_a_session_opens_it(locked: Api) -> None:
    client, response = sign_in(locked, next="/agents?x=1")
    assert response.status_code == 303
    assert response.headers["Location"] == "/agents?x=1"
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"moorage_{PORT}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert PASSWORD not in cookie
    assert client.get("/api/agents", base_url=ORIGIN).status_code == 200
    assert client.get("/login", base_url=ORIGIN).status_code == 302


@pytest.mark.parametrize("next", ["//evil.com", "/\\evil.com", "https://evil.com", "evil.com", "/\t/evil.com", ""])
def test_signing_in_leads_to_ourselves(locked: Api, next: str) -> None:
    assert sign_in(locked, next=next)[1].headers["Location"] == "/"


def test_the_login_page_works_without_anything(locked: Api) -> None:
    page = locked.call("GET", "/login?next=/agents").text
    assert 'name="next" value="/agents"' in page
    assert "<script" not in page
    assert 'method="post"' in page
    for address in re.findall(r'href="([^"]+)"', page):
        assert locked.call("GET", address).status_code == 200


def test_every_page_has_a_way_to_sign_out(locked: Api, make_host: MakeHost, tmp_path: Path) -> None:
    client, _ = sign_in(locked)
    assert 'action="/logout"' in client.get("/", base_url=ORIGIN).text
    without = Api(make_host(home=tmp_path / "open", only=True))
    assert 'action="/logout"' not in without.call("GET", "/").text


def test_a14_signing_out_ends_copies_too(locked: Api) -> None:
    client, _ = sign_in(locked)
    cookie = client.get_cookie(f"moorage_{PORT}", domain="127.0.0.1")
    assert cookie is not None
    assert client.post("/logout", base_url=ORIGIN).status_code == 303
    replayed = locked.call("GET", "/api/agents", headers={"Cookie": f"moorage_{PORT}={cookie.value}"})
    assert replayed.status_code == 401


def test_a_forged_session_is_none(locked: Api) -> None:
    client, _ = sign_in(locked)
    cookie = client.get_cookie(f"moorage_{PORT}", domain="127.0.0.1")
    assert cookie is not None
    id, until, signature = cookie.value.split(".")
    for forged in (
        f"{id}.{int(until) + 1}.{signature}",
        f"x{id}.{until}.{signature}",
        f"{id}.{until}.",
        "..",
        "é.1.x",
        "",
    ):
        headers = {"Cookie": f"moorage_{PORT}={forged}"}
        assert locked.call("GET", "/api/agents", headers=headers).status_code == 401, forged


def test_another_password_ends_all_sessions(make_host: MakeHost, tmp_path: Path) -> None:
    first = make_host(plugins={"scripted": Scripted()}, only=True, password=PASSWORD, home=tmp_path)
    session = first.access.sign_in(PASSWORD, "here")
    assert session is not None
    assert first.access.is_session(session)
    first.close()
    again = make_host(plugins={"scripted": Scripted()}, only=True, password=PASSWORD, home=tmp_path)
    assert again.access.is_session(session), "a restart does not"
    assert (tmp_path / "session.key").stat().st_mode & 0o777 == 0o600
    again.close()
    other = make_host(plugins={"scripted": Scripted()}, only=True, password="other", home=tmp_path)
    assert not other.access.is_session(session)


def test_a13_the_sixth_wrong_password_waits(locked: Api) -> None:
    for _ in range(5):
        assert sign_in(locked, "wrong")[1].status_code == 401
    for password in ("wrong", PASSWORD):
        response = sign_in(locked, password)[1]
        assert response.status_code == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert "Set-Cookie" not in response.headers


def test_wrong_passwords_are_forgotten_after_a_minute(make_host: MakeHost) -> None:
    from moorage.access import Access
    from moorage.clock import utc_now
    from moorage.errors import RateLimited

    host: Host = make_host(plugins={"scripted": Scripted()}, only=True, password=PASSWORD)
    now = [0.0]
    access = Access(host.store, host.settings.home, host.settings.access_password(), utc_now, lambda: now[0])
    for _ in range(5):
        assert access.sign_in("wrong", "here") is None
    with pytest.raises(RateLimited):
        access.sign_in(PASSWORD, "here")
    assert access.sign_in(PASSWORD, "elsewhere") is not None
    now[0] = 60.0
    assert access.sign_in(PASSWORD, "here") is not None


def test_a11_tokens_only_in_their_header(locked: Api) -> None:
    client, _ = sign_in(locked)
    made = client.post("/api/tokens", json={"name": "t"}, base_url=ORIGIN).json
    token = made["token"]
    assert locked.call("GET", "/api/agents", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert locked.call("GET", "/v1/models", headers={"Authorization": f"bearer {token}"}).status_code == 200
    for headers in (
        {"Authorization": token},
        {"Authorization": f"Basic {token}"},
        {"Authorization": f"Bearer {token}x"},
        {"Authorization": f"Bearer {token[:-1]}"},
        {"Authorization": f"Bearer mrg_{made['id']}_"},
        {"Authorization": "Bearer mrg__"},
        {"Authorization": "Bearer é"},
        {"X-Api-Key": token},
        {"Cookie": f"moorage_{PORT}={token}"},
    ):
        assert locked.call("GET", "/api/agents", headers=headers).status_code == 401, headers
    assert locked.call("GET", f"/api/agents?token={token}&api_key={token}").status_code == 401
    client.delete(f"/api/tokens/{made['id']}", base_url=ORIGIN)
    assert locked.call("GET", "/api/agents", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_token_does_not_make_another_site_ours(locked: Api) -> None:
    token = locked.host.access.create_token("t").token
    headers = {"Authorization": f"Bearer {token}", "Sec-Fetch-Site": "cross-site"}
    assert locked.call("POST", "/api/tokens", json={"name": "x"}, headers=headers).status_code == 403


def test_secrets_are_not_in_the_data_directory(locked: Api) -> None:
    token = locked.host.access.create_token("t").token
    for path in locked.host.settings.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert token.rpartition("_")[2].encode() not in content
            assert PASSWORD.encode() not in content


def test_allowed_hosts_with_and_without_our_port(make_host: MakeHost) -> None:
    api = Api(
        make_host(plugins={"scripted": Scripted()}, only=True, password=PASSWORD, allowed_hosts="moorage.lan, Box")
    )
    for name, status in (
        ("moorage.lan", 200),
        (f"moorage.lan:{PORT}", 200),
        ("BOX", 200),
        ("moorage.lan:80", 403),
        ("x.moorage.lan", 403),
        ("moorage.lan.evil.com", 403),
    ):
        assert api.call("GET", "/healthz", headers={"Host": name}).status_code == status, name
    form = {"password": PASSWORD}
    for origin, status in (
        ("https://moorage.lan", 303),
        (f"http://moorage.lan:{PORT}", 303),
        ("https://evil.lan", 403),
    ):
        headers = {"Host": "moorage.lan", "Origin": origin}
        assert api.call("POST", "/login", data=form, headers=headers).status_code == status, origin
