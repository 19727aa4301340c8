"""What is refused before a service hears of it, always with the field named."""

from __future__ import annotations

import json

import pytest

from tests.web.api.conftest import Api

AGENT = {"name": "a", "llm": {"provider": "p"}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**AGENT, "nonsense": 1}, "nonsense"),
        ({**AGENT, "name": 5}, "name"),
        ({**AGENT, "tools": "current_time"}, "tools"),
        ({**AGENT, "tools": [5]}, "tools.0"),
        ({**AGENT, "options": []}, "options"),
        ({"name": "a"}, "llm"),
        ({"name": "a", "llm": {"provider": "p", "api_base": "http://evil/"}}, "llm.api_base"),
        ({"name": "a", "llm": {"provider": "p", "type": "scripted"}}, "llm"),
        ({"name": "a\0b", "llm": {"provider": "p"}}, "name"),
        ({"name": "a", "llm": {"provider": "p"}, "instructions": "x\0"}, "instructions"),
    ],
)
def test_a_wrong_field_is_named(api: Api, body: object, field: str) -> None:
    assert field in api.fields("POST", "/api/agents", json=body)
    assert api.get("/api/agents")["agents"] == [], "nothing is half saved"


@pytest.mark.parametrize(
    "raw", [b"", b"  ", b"{", b"[]", b"5", b'"x"', b"null", b"\xff", b'{"a":NaN}', b'{"a":"\\ud800"}']
)
def test_a_body_is_one_json_object(api: Api, raw: bytes) -> None:
    api.fields("POST", "/api/agents", data=raw, content_type="application/json")


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b'{"name":"a","llm":{},"options":' + b'{"a":' * 100 + b"1" + b"}" * 101]
)
def test_deep_json_is_refused(api: Api, raw: bytes) -> None:
    api.fields("POST", "/api/agents", data=raw, content_type="application/json")


def test_huge_numbers_do_no_harm(api: Api) -> None:
    raw = json.dumps({**AGENT, "options": {"temperature": 10**400}})
    api.fields("POST", "/api/agents", data=raw, content_type="application/json")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=abc", "limit"),
        ("limit=1_0", "limit"),
        ("limit=+5", "limit"),
        ("limit=5&limit=5", "limit"),
        ("limit=", "limit"),
        ("cursor=rubbish", "cursor"),
        ("cursor=a%00b", "cursor"),
        ("nonsense=1", "nonsense"),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        *("/api/agents", "/api/llm/providers", "/api/installs", "/api/conversations", "/api/plugins"),
        *("/api/saved-searches", "/api/news"),
    ],
)
def test_lists_name_a_wrong_parameter(api: Api, path: str, query: str, field: str) -> None:
    assert list(api.fields("GET", f"{path}?{query}")) == [field]


@pytest.mark.parametrize("path", ["/api/settings", "/api/llm/catalog", "/api/openapi.json", "/healthz"])
def test_a_route_without_parameters_takes_none(api: Api, path: str) -> None:
    assert list(api.fields("GET", f"{path}?x=1")) == ["x"]


def test_lists_have_pages(api: Api) -> None:
    made = [api.post("/api/llm/providers", {"name": f"P{n}", "type": "scripted"})["id"] for n in range(5)]
    seen, cursor = [], ""
    while True:
        page = api.get(f"/api/llm/providers?limit=2{cursor}")
        seen += [item["id"] for item in page["providers"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == made
    names = api.get("/api/plugins?limit=1")
    assert [plugin["name"] for plugin in names["plugins"]] == ["dock"]
    assert [p["name"] for p in api.get(f"/api/plugins?cursor={names['next']}")["plugins"]] == ["scripted"]


@pytest.mark.parametrize("id", ["%00", "..%2f..%2fetc", "a" * 129, "a%0ab", "%e2%80%ae", "-x", ".", "%2e%2e"])
def test_odd_ids_are_not_found(api: Api, id: str) -> None:
    api.fields("GET", f"/api/agents/{id}", 404)


def test_unknown_ids_are_not_found(api: Api) -> None:
    for path in (
        "agents/x",
        "conversations/x",
        "installs/x",
        "llm/providers/x",
        "plugins/x/config",
        "saved-searches/x",
    ):
        api.fields("GET", f"/api/{path}", 404)


def test_405_says_what_is_allowed(api: Api) -> None:
    response = api.call("DELETE", "/api/agents")
    assert response.status_code == 405
    assert response.content_type == "application/problem+json"
    assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


def test_no_redirect_is_made_from_a_path(api: Api) -> None:
    for path in ("//evil.com/api", "/api//agents", "/api/agents/"):
        assert api.call("GET", path).status_code == 404


def test_body_limits(api: Api, agent: dict[str, object]) -> None:
    megabyte = "x" * (1024 * 1024)
    api.fields("POST", "/api/agents", 413, json={**AGENT, "instructions": megabyte})
    chat = f"/api/agents/{agent['id']}/chat"
    assert api.call("POST", chat, json={"message": megabyte}).status_code == 200
    api.fields("POST", chat, 413, json={"message": megabyte * 9})


def test_compressed_bodies_are_refused(api: Api) -> None:
    headers = {"Content-Encoding": "gzip"}
    api.fields("POST", "/api/agents", 415, data=b"\x1f\x8b", content_type="application/json", headers=headers)


def test_a_route_without_a_body_takes_none(api: Api) -> None:
    assert list(api.fields("POST", "/api/plugins/dock/disable", json={"force": True})) == ["force"]
    assert api.post("/api/plugins/dock/disable", {})["state"] == "disabled"


def test_no_stack_trace_ever(api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(api.host.catalog, "view", broken)
    response = api.call("GET", "/api/llm/catalog")
    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert "secret detail" not in response.text
    assert "secret detail" in caplog.text


def test_errors_of_v1_have_openais_shape(api: Api) -> None:
    for method, path, status in (
        ("GET", "/v1/nope", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/models?x=1", 400),
    ):
        response = api.call(method, path)
        assert response.status_code == status
        assert set(response.json["error"]) == {"message", "type", "param", "code"}
