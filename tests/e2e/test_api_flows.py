"""The main job by plain calls of the HTTP API over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.api import Api, Event, Watching, text_of
from tests.site import Site
from tests.world import REAL, SERVED, World


@pytest.fixture
def api(running: Site) -> Iterator[Api]:
    with Api(running.url) as client:
        yield client


@pytest.mark.engine
def test_import_into_the_built_in_engine_and_chat(api: Api, running: Site) -> None:
    found = api.get("/api/llm/models/search", q="smollm2", source="huggingface", format="gguf")
    assert [hit["id"] for hit in found["results"]] == [REAL]
    assert found["sources"][0]["ok"]
    asked = {"source": "huggingface", "model": REAL, "target": "builtin"}
    plan = api.post("/api/llm/models/plan", asked)
    assert (plan["road"], plan["ok"], plan["alreadyHere"]) == ("import", True, 0)

    with Watching(running.url) as watching:
        install = api.post("/api/llm/models/import", asked, status=202)
        again = api.post("/api/llm/models/import", asked, status=200)
        assert again["id"] == install["id"]
        watching.until(lambda event: event.type == "install.installed")
        progress = [event.data["data"] for event in watching.events if event.type == "install.progressed"]
    assert {step["phase"] for step in progress} >= {"downloading", "importing"}
    assert all(one["completed"] <= other["completed"] for one, other in pairwise(progress))

    done = api.get(f"/api/installs/{install['id']}")
    assert (done["state"], done["completed"], done["attempt"]) == ("installed", plan["bytes"], 1)
    assert done["proof"]["chat"]["ok"]
    assert done["warning"] is None
    targets = {target["target"]: target for target in api.get("/api/local/models")["targets"]}
    assert [model["name"] for model in targets["builtin"]["models"]] == [done["modelName"]]

    agent = api.post(
        "/api/agents",
        {
            "name": "Deckhand",
            "llm": {"provider": "builtin", "model": done["modelName"]},
            "options": {"temperature": 0.0, "maxTokens": 24},
        },
        status=201,
    )
    events = api.chat(agent["id"], "Say hello to the crew in one short sentence.")
    assert events[0].type == "start"
    assert [event.type for event in events].count("text") > 2, "real tokens come one by one"
    assert text_of(events).strip()
    usage = next(event.data for event in events if event.type == "usage")
    assert usage["outputTokens"] > 2
    assert events[-1].data == {"state": "complete"}
    kept = api.get(f"/api/conversations/{events[0].data['conversation']}")
    assert kept["messages"][-1]["content"] == text_of(events)

    api.delete("/api/local/models", target="builtin", name=done["modelName"])
    assert api.post("/api/llm/models/import", asked, status=202)["id"] != install["id"], "it is no longer there"


def test_hugging_face_from_search_to_a_tool_call(api: Api, world: World) -> None:
    found = api.get("/api/llm/models/search", q="pilot", servedBy="all")
    model = found["results"][0]["id"]
    assert model == SERVED
    config = {"model": model}
    result = api.post("/api/llm/providers/test", {"type": "huggingface", "config": config})
    assert (result["ok"], result["model"]) == (True, SERVED), result
    assert [item["id"] for item in api.get("/api/llm/providers")["providers"]] == ["builtin"], "a test saves nothing"
    provider = api.post("/api/llm/providers", {"name": "Pilot", "type": "huggingface", "config": config}, status=201)
    assert api.post("/api/llm/providers/test", {"id": provider["id"]})["ok"]
    agent = api.post(
        "/api/agents",
        {"name": "Pilot", "llm": {"provider": provider["id"]}, "tools": ["current_time"]},
        status=201,
    )
    events = api.chat(agent["id"], "What is the current time?")
    kinds = [event.type for event in events]
    call = next(event.data for event in events if event.type == "tool-call")
    answer = next(event.data for event in events if event.type == "tool-result")
    assert (call["name"], call["needsApproval"], answer["ok"], answer["id"]) == (
        "current_time",
        False,
        True,
        call["id"],
    )
    assert kinds.index("tool-call") < kinds.index("tool-result") < kinds.index("text")
    assert "The tool said: 20" in text_of(events)
    assert events[-1].data == {"state": "complete"}
    sent = world.router.seen("POST", "/v1/chat/completions")[-1].json
    assert sent["messages"][-1]["role"] == "tool"


@pytest.mark.parametrize("road", ["import", "pull"])
def test_onto_an_ollama_server_by_either_road_and_chat(api: Api, running: Site, world: World, road: str) -> None:
    made = {"name": "Galley", "type": "ollama", "config": {"endpoint": world.ollama.url}}
    target = api.post("/api/llm/providers", made, status=201)["id"]
    with Watching(running.url) as watching:
        # No target: the first reachable Ollama server is the default one.
        wanted = {"source": "huggingface", "model": REAL, "road": road}
        install = api.post("/api/llm/models/import", wanted, status=202)
        assert install["target"] == target
        ended = watching.until(lambda event: event.type in ("install.installed", "install.failed"))
    assert ended.type == "install.installed", ended
    done = api.get(f"/api/installs/{install['id']}")
    assert (done["state"], done["road"], done["completed"]) == ("installed", road, done["total"])
    offered = api.get(f"/api/llm/providers/{target}/models")["models"]
    assert [model["name"] for model in offered] == [done["modelName"]]
    agent = api.post(
        "/api/agents", {"name": "Cook", "llm": {"provider": target, "model": done["modelName"]}}, status=201
    )
    events: list[Event] = api.chat(agent["id"], "Ahoy out there")
    assert "Ahoy out there" in text_of(events)
    assert events[-1].data == {"state": "complete"}
    first = events[0].data["conversation"]
    again = api.chat(agent["id"], "And again", first)
    assert again[0].data["conversation"] == first
    assert len(api.get(f"/api/conversations/{first}")["messages"]) == 4
