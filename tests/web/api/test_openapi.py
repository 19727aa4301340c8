"""The published document and the routes are one thing."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from moorage_web.openapi import operations, path_of
from tests.web.api.conftest import Api
from tests.web.api.dock import MODEL, Dock

METHODS = {"get", "put", "post", "delete"}


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/api/openapi.json")
    return found


def test_every_route_is_in_it_and_nothing_else(api: Api, document: dict[str, Any]) -> None:
    routes = set()
    for rule in api.app.url_map.iter_rules():
        if rule.rule.startswith(("/api", "/v1")) or rule.rule in ("/healthz", "/readyz", "/metrics"):
            routes |= {(path_of(rule), method.lower()) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    documented = {(path, method) for path, item in document["paths"].items() for method in item}
    assert routes == documented
    assert len(list(operations(api.app))) == len(documented)


def test_every_promise_of_the_contract_is_there(document: dict[str, Any]) -> None:
    promised = """
    get /healthz, get /readyz, get /metrics, get /api/llm/models/search, get /api/llm/models/detail,
    post /api/llm/models/plan, post /api/llm/models/import, get /api/llm/catalog, get /api/llm/provider-types,
    get /api/llm/providers, post /api/llm/providers, get /api/llm/providers/{provider_id},
    put /api/llm/providers/{provider_id}, delete /api/llm/providers/{provider_id}, post /api/llm/providers/test,
    get /api/llm/providers/{provider_id}/models, get /api/local/models, delete /api/local/models, get /api/installs,
    get /api/installs/{install_id}, post /api/installs/{install_id}/pause, post /api/installs/{install_id}/resume,
    post /api/installs/{install_id}/cancel, post /api/installs/{install_id}/retry, post /api/installs/{install_id}/move,
    delete /api/installs/{install_id}, get /api/agents, post /api/agents, get /api/agents/{agent_id},
    put /api/agents/{agent_id}, delete /api/agents/{agent_id}, put /api/agents/{agent_id}/llm,
    post /api/agents/{agent_id}/chat, post /api/conversations/{conversation_id}/approve,
    post /api/conversations/{conversation_id}/stop, get /api/conversations, get /api/conversations/{conversation_id},
    delete /api/conversations/{conversation_id}, get /api/settings, put /api/settings, get /api/plugins/{name}/config,
    put /api/plugins/{name}/config, get /api/events, get /api/plugins, post /api/plugins/{name}/enable,
    post /api/plugins/{name}/disable, get /v1/models, post /v1/chat/completions
    """
    for promise in promised.replace("\n", " ").split(","):
        method, path = promise.split()
        assert method in document["paths"].get(path, {}), promise


def test_it_is_sound(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    for path, item in document["paths"].items():
        assert set(item) <= METHODS
        for operation in item.values():
            assert operation["summary"], path
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for ref in _refs(document):
        assert ref.removeprefix("#/components/schemas/") in document["components"]["schemas"], ref


def _refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for item in value.values() for ref in _refs(item)]
    return [ref for item in value for ref in _refs(item)] if isinstance(value, list) else []


def check(document: dict[str, Any], method: str, path: str, status: int, answer: Any) -> None:
    """The answer fits the schema that the document has for it."""
    responses = document["paths"][path][method]["responses"]
    content = responses.get(str(status), responses["default"])["content"]
    [media] = content.values()
    Draft202012Validator({**media["schema"], "components": document["components"]}).validate(answer)


def test_answers_fit_their_schemas(api: Api, dock: Dock, document: dict[str, Any]) -> None:
    checked = set()

    def call(method: str, path: str, query: str = "", body: Any = None, **ids: str) -> Any:
        options = {} if body is None else {"json": body}
        response = api.call(method.upper(), path.format(**ids) + query, **options)
        if response.data:
            check(document, method, path, response.status_code, response.json)
        if response.status_code < 300:
            checked.add((method, path))
        return response.json if response.data else None

    provider = call(
        "post", "/api/llm/providers", body={"name": "a", "type": "scripted", "config": {"apiKey": "k" * 20}}
    )
    pier = call("post", "/api/llm/providers", body={"name": "b", "type": "dock"})
    one = {"provider_id": provider["id"]}
    call("get", "/api/llm/providers")
    call("get", "/api/llm/providers/{provider_id}", **one)
    call("put", "/api/llm/providers/{provider_id}", body=provider, **one)
    call("get", "/api/llm/providers/{provider_id}/models", **one)
    call("post", "/api/llm/providers/test", body={"id": provider["id"]})
    call("get", "/api/llm/provider-types")
    call("get", "/api/llm/catalog")
    call("get", "/api/llm/models/search", "?q=tug")
    call("get", "/api/llm/models/search")
    call("get", "/api/llm/models/detail", f"?source=dock&id={MODEL}")
    call("post", "/api/llm/models/plan", body={"source": "dock", "model": MODEL})
    ask_for = {"source": "dock", "model": MODEL}
    install = call("post", "/api/llm/models/import", body=ask_for)
    call("post", "/api/llm/models/import", body=ask_for)
    call("get", "/api/installs")
    it = {"install_id": install["id"]}
    call("get", "/api/installs/{install_id}", **it)
    call("post", "/api/installs/{install_id}/pause", **it)
    call("post", "/api/installs/{install_id}/move", body={"to": "front"}, **it)
    call("post", "/api/installs/{install_id}/resume", **it)
    call("post", "/api/installs/{install_id}/cancel", **it)
    call("post", "/api/installs/{install_id}/retry", **it)
    far = "2099-01-01T00:00:00Z"
    later = call("post", "/api/llm/models/import", body={**ask_for, "quantization": "Q8_0", "when": far})
    call("post", "/api/installs/{install_id}/reschedule", body={"when": far}, install_id=later["id"])
    call("post", "/api/installs/{install_id}/start", install_id=later["id"])
    call("post", "/api/installs/{install_id}/cancel", body={"generation": 1}, **it)
    call("post", "/api/installs/{install_id}/cancel", **it)
    call("get", "/api/installs/{install_id}/timeline", **it)
    call("get", "/api/local/storage")
    call("post", "/api/local/storage/clean-up")
    call("delete", "/api/installs/{install_id}", **it)
    dock.installed.append("tug")
    call("get", "/api/local/models")
    call("delete", "/api/local/models", f"?target={pier['id']}&name=tug")
    wanted = {"name": "a", "query": {"q": "tug", "minParameters": "1B"}, "rule": {"maxPerDay": 2}}
    search = call("post", "/api/saved-searches", body=wanted)
    this = {"search_id": search["id"]}
    call("get", "/api/saved-searches")
    call("get", "/api/saved-searches/{search_id}", **this)
    call("put", "/api/saved-searches/{search_id}", body=search, **this)
    call("post", "/api/saved-searches/{search_id}/run", **this)
    call("get", "/api/news")
    call("post", "/api/saved-searches/{search_id}/read", **this)
    call("delete", "/api/saved-searches/{search_id}", **this)
    agent = call(
        "post", "/api/agents", body={"name": "a", "llm": {"type": "scripted", "model": "m"}, "tools": ["current_time"]}
    )
    me = {"agent_id": agent["id"]}
    call("get", "/api/agents")
    call("get", "/api/agents/{agent_id}", **me)
    call("put", "/api/agents/{agent_id}", body=agent, **me)
    call("put", "/api/agents/{agent_id}/llm", body={"provider": provider["id"]}, **me)
    api.call("POST", f"/api/agents/{agent['id']}/chat", json={"message": "x"})
    checked.add(("post", "/api/agents/{agent_id}/chat"))
    talk = {"conversation_id": call("get", "/api/conversations")["conversations"][0]["id"]}
    call("get", "/api/conversations/{conversation_id}", **talk)
    call("post", "/api/conversations/{conversation_id}/stop", **talk)
    call("post", "/api/conversations/{conversation_id}/approve", body={"call": "c", "allow": True}, **talk)
    call("delete", "/api/conversations/{conversation_id}", **talk)
    call("put", "/api/settings", body=call("get", "/api/settings"))
    call("get", "/api/plugins")
    call("post", "/api/plugins/{name}/check-key", name="dock")
    call("post", "/api/plugins/{name}/disable", name="dock")
    call("post", "/api/plugins/{name}/enable", name="dock")
    call("put", "/api/plugins/{name}/config", body=call("get", "/api/plugins/{name}/config", name="dock"), name="dock")
    token = call("post", "/api/tokens", body={"name": "t"})
    call("get", "/api/tokens")
    call("delete", "/api/tokens/{token_id}", token_id=token["id"])
    call("get", "/healthz")
    call("get", "/v1/models")
    call("get", "/v1/models/{model_id}", model_id="agent/a")
    call("get", "/v1/models/{model_id}", model_id="agent/nobody")
    ask = {"model": "agent/a", "messages": [{"role": "user", "content": "x"}]}
    call("post", "/v1/chat/completions", body=ask)
    call("post", "/v1/chat/completions", body={**ask, "n": 2})
    call("delete", "/api/agents/{agent_id}", **me)
    call("delete", "/api/llm/providers/{provider_id}", **one)
    elsewhere = {
        ("get", "/api/events"),
        ("get", "/api/openapi.json"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("post", "/api/conversations/{conversation_id}/approve"),
        ("post", "/api/installs/{install_id}/on-update"),
    }
    documented = {(method, path) for path, item in document["paths"].items() for method in item}
    assert documented - checked == elsewhere
