"""The main job by commands, each a process of its own: with a server on the data directory, and without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import Commands, serving
from tests.world import REAL, SERVED, TOKEN, World

pytestmark = pytest.mark.engine


@pytest.fixture(params=["server", "alone"])
def moorage(request: pytest.FixtureRequest, tmp_path: Path, world: World) -> Iterator[Commands]:
    """Commands on one data directory, which a running server holds in half of the tests."""
    home = tmp_path / "home"
    env = {**world.environment, "HF_TOKEN": TOKEN}
    if request.param == "alone":
        yield Commands(home, env)
        return
    with serving(home, env) as running:
        # Only the server lives in the demo world, so its commands must have asked it.
        yield Commands(home, {})
        assert running.process.poll() is None


def test_import_into_the_built_in_engine_and_chat(moorage: Commands) -> None:
    found = moorage.json("search", "smollm2", "--gguf")
    assert [hit["id"] for hit in found["results"]] == [REAL]
    done = moorage("install", REAL, "--target", "builtin")
    assert "is installed on Built-in engine" in done.out
    assert "tokens/s" in done.out
    listed = moorage.json("models", "list")
    target = next(item for item in listed["targets"] if item["target"] == "builtin")
    name = target["models"][0]["name"]
    options = ("--provider", "builtin", "--model", name, "--option", "temperature=0", "--option")
    moorage("agents", "create", "Deckhand", *options, "maxTokens=64")
    question = "Say hello to the crew in one short sentence."
    answer = moorage("chat", "Deckhand", question)
    assert answer.out.strip()
    whole = moorage.json("chat", "Deckhand", question)
    assert (whole["state"], whole["error"]) == ("complete", None)
    assert whole["text"].strip() == answer.out.strip(), "the same at temperature 0"
    assert whole["usage"]["outputTokens"] > 2
    moorage("agents", "create", "Curt", *options, "maxTokens=2")
    cut = moorage("chat", "Curt", question, ok=False)
    assert (cut.code, cut.err.strip()) == (3, "The answer is incomplete.")
    moorage("models", "remove", name)
    assert "No models are installed yet" in moorage("models").out


def test_hugging_face_from_search_to_a_tool_call(moorage: Commands) -> None:
    found = moorage.json("search", "pilot", "--served-by", "all")
    assert [hit["id"] for hit in found["results"]] == [SERVED]
    made = moorage.json("providers", "add", "huggingface", "--name", "Pilot", "--set", f"model={SERVED}")
    assert "It works" in moorage("providers", "test", made["id"]).out
    moorage("agents", "create", "Pilot agent", "--provider", made["id"], "--tool", "current_time")
    answer = moorage("chat", "Pilot agent", "What is the current time?")
    assert "The tool said: 20" in answer.out
    assert "[tool] current_time" in answer.err, "what is not the answer goes to stderr"
    whole = moorage.json("chat", "Pilot agent", "What is the current time?")
    assert whole["tools"][0]["name"] == "current_time"
    assert whole["tools"][1]["ok"] is True


def test_import_into_ollama_and_chat(moorage: Commands, world: World) -> None:
    made = moorage.json("providers", "add", "ollama", "--name", "Galley", "--set", f"endpoint={world.ollama.url}")
    done = moorage.json("install", REAL)
    assert (done["state"], done["target"], done["askedBy"]) == ("installed", made["id"], "cli")
    assert done["modelName"] in moorage("providers", "models", made["id"]).out
    moorage("agents", "create", "Cook", "--provider", made["id"], "--model", done["modelName"])
    talk = moorage("chat", "Cook", input="Ahoy out there\n\nAnd the second line\n")
    assert "Ahoy out there" in talk.out
    assert "And the second line" in talk.out
    sent = world.ollama.seen("POST", "/api/chat")[-1].json["messages"]
    assert [message["role"] for message in sent][-3:] == ["user", "assistant", "user"], "one conversation"
