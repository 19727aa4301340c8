"""Provider types and saved providers."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import AuthFailed, CompletionEvent, CompletionRequest, PluginContext
from tests.host.scripted import Scripted
from tests.web.api.conftest import Api

KEY = "key-of-nobody-in-particular-abcd"
PATH = "/api/llm/providers"


def test_types_have_schemas(api: Api) -> None:
    types = {item["type"]: item for item in api.get("/api/llm/provider-types")["providerTypes"]}
    assert types["dock"]["searchSource"] == "dock"
    assert types["scripted"]["capabilities"] == {"chat": True, "tools": True, "install": False}
    assert types["scripted"]["schema"]["properties"]["apiKey"]["anyOf"][0]["format"] == "password"
    assert "temperature" in types["scripted"]["optionsSchema"]["properties"]


def test_create_and_read(api: Api) -> None:
    response = api.call(
        "POST", PATH, json={"name": "Tide", "type": "scripted", "config": {"model": "m", "apiKey": KEY}}
    )
    assert response.status_code == 201
    made = response.json
    assert response.headers["Location"] == f"{PATH}/{made['id']}"
    assert made["config"] == {"model": "m", "apiKey": {"set": True, "hint": "…abcd"}}
    assert KEY not in response.text
    assert api.get(f"{PATH}/{made['id']}") == made
    assert api.get(PATH)["providers"] == [made]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "", "type": "scripted"}, "name"),
        ({"name": "x" * 121, "type": "scripted"}, "name"),
        ({"name": "a\nb", "type": "scripted"}, "name"),
        ({"name": "a", "type": "nothing"}, "type"),
        ({"name": "a", "type": "scripted", "config": {"model": 5}}, "config.model"),
        ({"name": "a", "type": "scripted", "config": {"base_url": "http://evil/"}}, "config.base_url"),
        ({"name": "a", "type": "scripted", "config": {"apiKey": {"any": "thing"}}}, "config.apiKey"),
        ({"name": "a", "type": "scripted", "config": {"endpoint": "file:///etc"}}, "config.endpoint"),
        ({"name": "a", "type": "scripted", "headers": {}}, "headers"),
    ],
)
def test_a_bad_provider_names_its_field(api: Api, body: dict[str, Any], field: str) -> None:
    assert list(api.fields("POST", PATH, json=body)) == [field]
    assert api.get(PATH)["providers"] == []


def test_put_what_get_gave(api: Api, provider: dict[str, Any]) -> None:
    path = f"{PATH}/{provider['id']}"
    changed = api.put(path, {**provider, "name": "Ebb"})
    assert (changed["name"], changed["version"]) == ("Ebb", 2)
    api.fields("PUT", path, 409, json={**provider, "name": "Late"})
    same_moment = changed["createdAt"].replace("Z", "+00:00")
    assert api.put(path, {**changed, "createdAt": same_moment})["version"] == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "other"),
        ("type", "dock"),
        ("slug", "other"),
        ("createdAt", "2001-01-01T00:00:00Z"),
        ("updatedAt", "rubbish"),
        ("preset", True),
    ],
)
def test_read_only_keys_must_be_equal(api: Api, provider: dict[str, Any], key: str, value: object) -> None:
    assert list(api.fields("PUT", f"{PATH}/{provider['id']}", json={**provider, key: value})) == [key]
    assert api.get(f"{PATH}/{provider['id']}")["version"] == 1


def test_put_needs_the_whole_object(api: Api, provider: dict[str, Any]) -> None:
    assert set(api.fields("PUT", f"{PATH}/{provider['id']}", json={})) == {"name", "config", "version"}


def test_a_key_is_kept_and_goes_with_its_origin(api: Api) -> None:
    config = {"model": "m", "apiKey": KEY, "endpoint": "http://127.0.0.1:8001"}
    made = api.post(PATH, {"name": "a", "type": "scripted", "config": config})
    path = f"{PATH}/{made['id']}"
    kept = api.put(path, {"name": "a", "config": {"endpoint": "http://127.0.0.1:8001/v2"}, "version": 1})
    assert kept["config"]["apiKey"]["set"] is True
    masked = api.put(path, kept)
    assert masked["config"]["apiKey"]["set"] is True, "a mask sent back keeps it"
    moved = api.put(path, {**masked, "config": {**masked["config"], "endpoint": "http://127.0.0.1:8002"}})
    assert moved["config"]["apiKey"]["set"] is False


def test_delete(api: Api, provider: dict[str, Any]) -> None:
    path = f"{PATH}/{provider['id']}"
    assert api.call("DELETE", path).status_code == 204
    api.fields("DELETE", path, 404)


def test_test_saves_nothing(api: Api, scripted: Scripted, provider: dict[str, Any]) -> None:
    result = api.post(f"{PATH}/test", {"type": "scripted", "config": {"model": "n"}})
    assert (result["ok"], result["model"], result["reply"], result["error"]) == (True, "n", "Hello there.", None)
    assert api.post(f"{PATH}/test", {"id": provider["id"]})["ok"] is True
    assert len(api.get(PATH)["providers"]) == 1

    def refuse(request: CompletionRequest, context: PluginContext) -> Any:
        raise AuthFailed("The key was not accepted.", hint="Look at it.")
        yield CompletionEvent

    scripted.answers = [refuse]
    result = api.post(f"{PATH}/test", {"id": provider["id"]})
    assert result["ok"] is False
    assert result["error"] == {"part": "key", "message": "The key was not accepted.", "hint": "Look at it."}


@pytest.mark.parametrize("extra", ["api_base", "base_url", "headers", "command", "env", "data"])
def test_nothing_foreign_reaches_a_test(api: Api, scripted: Scripted, extra: str) -> None:
    body = {"type": "scripted", "config": {"model": "m"}}
    assert list(api.fields("POST", f"{PATH}/test", json={**body, extra: "x"})) == [extra]
    inner = {"type": "scripted", "config": {"model": "m", extra: "x"}}
    assert list(api.fields("POST", f"{PATH}/test", json=inner)) == [f"config.{extra}"]
    assert scripted.requests == []


@pytest.mark.parametrize("body", [{}, {"config": {}}, {"id": "a", "type": "b"}])
def test_a_test_says_what(api: Api, body: dict[str, Any]) -> None:
    assert list(api.fields("POST", f"{PATH}/test", json=body)) == ["type"]


def test_models_of_an_endpoint(api: Api, provider: dict[str, Any]) -> None:
    assert [m["name"] for m in api.get(f"{PATH}/{provider['id']}/models")["models"]] == ["m"]
