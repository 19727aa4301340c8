"""Agents: by saved provider or inline."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.api.conftest import Api

KEY = "key-of-nobody-in-particular-abcd"
INLINE = {"type": "scripted", "model": "m", "config": {"apiKey": KEY}}


def test_create_and_read(api: Api, provider: dict[str, Any]) -> None:
    body = {
        "name": "Pilot",
        "instructions": "Be brief.",
        "llm": {"provider": provider["id"]},
        "options": {"temperature": 0},
        "tools": ["current_time"],
    }
    response = api.call("POST", "/api/agents", json=body)
    assert response.status_code == 201
    made = response.json
    assert response.headers["Location"] == f"/api/agents/{made['id']}"
    assert {key: made[key] for key in body} == body
    assert (made["slug"], made["version"]) == ("pilot", 1)
    assert api.get(f"/api/agents/{made['id']}") == made
    assert api.get("/api/agents") == {"agents": [made], "next": None}


def test_inline_model_with_its_own_key(api: Api) -> None:
    made = api.post("/api/agents", {"name": "a", "llm": INLINE})
    assert made["llm"]["config"]["apiKey"] == {"set": True, "hint": "…abcd"}
    again = api.put(f"/api/agents/{made['id']}", made)
    assert again["llm"] == made["llm"], "what GET gave changes nothing"
    assert KEY not in api.call("GET", "/api/agents").text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"llm": {"provider": "nobody"}}, "llm.provider"),
        ({"llm": {"type": "nothing", "model": "m"}}, "llm.type"),
        ({"llm": {}}, "llm"),
        ({"llm": {**INLINE, "config": {"headers": {}}}}, "llm.config.headers"),
        ({"options": {"nonsense": 1}}, "options.nonsense"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"tools": ["rm_rf"]}, "tools"),
    ],
)
def test_a_bad_agent_names_its_field(api: Api, provider: dict[str, Any], change: dict[str, Any], field: str) -> None:
    good = {"name": "a", "llm": {"provider": provider["id"]}}
    assert list(api.fields("POST", "/api/agents", json={**good, **change})) == [field]
    assert api.get("/api/agents")["agents"] == []


def test_put_llm_alone(api: Api, agent: dict[str, Any]) -> None:
    path = f"/api/agents/{agent['id']}"
    assert api.put(f"{path}/llm", {"type": "scripted", "model": "n"})["model"] == "n"
    changed = api.get(path)
    assert changed["llm"]["type"] == "scripted"
    assert changed["version"] == 2
    assert list(api.fields("PUT", f"{path}/llm", json={})) == ["body"]
    assert list(api.fields("PUT", f"{path}/llm", json={"provider": "nobody"})) == ["llm.provider"]


def test_versions_and_read_only_keys(api: Api, agent: dict[str, Any]) -> None:
    path = f"/api/agents/{agent['id']}"
    assert api.put(path, {**agent, "name": "Mate"})["version"] == 2
    api.fields("PUT", path, 409, json={**agent, "name": "Late"})
    now = api.get(path)
    for key in ("id", "slug", "createdAt", "updatedAt"):
        assert list(api.fields("PUT", path, json={**now, key: "other"})) == [key]
    whole = {"name", "instructions", "llm", "options", "tools", "version"}
    assert set(api.fields("PUT", path, json={})) == whole


def test_delete(api: Api, agent: dict[str, Any]) -> None:
    path = f"/api/agents/{agent['id']}"
    assert api.call("DELETE", path).status_code == 204
    api.fields("GET", path, 404)
    api.fields("PUT", path, 404, json=agent)
    api.fields("POST", f"{path}/chat", 404, json={"message": "x"})
