"""What a model shows right after its install: that it answers, how fast, and that it calls tools if it claims to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moorage.host import Host
from moorage.models import Install
from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama, load_failure
from tests.host.installs.story import SOURCE, Story, add, weights

TOOLS = "{% if tools %}{{ tools }}{% endif %}{{ messages }}"


@pytest.fixture
def ollama(hub: FakeHub) -> Iterator[FakeOllama]:
    with FakeOllama(registry=hub) as running:
        running.pulls.tick = 0.01
        yield running


def run(host: Host, ollama: FakeOllama, hub: FakeHub, story: Story, template: str | None = None) -> Install:
    """Onto the Ollama server, by import: what the file's own template says is what the model can."""
    content = weights(100_000, **({"tokenizer.chat_template": template} if template else {}))
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": content})
    target = host.providers.create("Workshop", "ollama", {"endpoint": ollama.url}).id
    install, _ = host.installs.request(SOURCE, "a/m-GGUF", target=target)
    return story.ended(install.id)


def test_it_answers_and_how_fast(host: Host, hub: FakeHub, story: Story, ollama: FakeOllama) -> None:
    ollama.chats.manner.words_per_second = 50
    done = run(host, ollama, hub, story)
    assert done.state == "installed"
    assert done.warning is None
    assert done.proof is not None
    assert done.proof.chat is not None
    assert done.proof.chat.ok
    assert done.proof.chat.tokens_per_second is not None
    assert 10 < done.proof.chat.tokens_per_second < 100, "of the writing alone"
    assert done.proof.tools is None, "it claims none"
    asked = [seen.json for seen in ollama.requests if seen.path == "/api/chat"]
    assert [body["options"]["num_ctx"] for body in asked] == [4096], "the length of the settings"


def test_it_calls_a_tool(host: Host, hub: FakeHub, story: Story, ollama: FakeOllama) -> None:
    done = run(host, ollama, hub, story, TOOLS)
    assert (done.state, done.warning) == ("installed", None)
    assert done.proof is not None
    assert done.proof.tools is not None
    assert done.proof.tools.ok


def test_a_claim_that_is_not_kept_is_a_warning(host: Host, hub: FakeHub, story: Story, ollama: FakeOllama) -> None:
    ollama.chats.manner.tool_rounds = 0
    done = run(host, ollama, hub, story, TOOLS)
    assert done.state == "installed"
    assert done.proof is not None
    assert done.proof.chat is not None
    assert done.proof.chat.ok
    assert done.proof.tools is not None
    assert not done.proof.tools.ok
    assert done.warning is not None
    assert done.warning.code == "calls-no-tools"
    assert "without a call" in done.warning.message


def test_one_that_cannot_answer_is_installed_with_a_warning(
    host: Host, hub: FakeHub, story: Story, ollama: FakeOllama
) -> None:
    ollama.chats.manner.error_after = 0
    done = run(host, ollama, hub, story, TOOLS)
    assert done.state == "installed"
    assert done.proof is not None
    assert done.proof.chat is not None
    assert not done.proof.chat.ok
    assert done.proof.tools is None, "there is no point in asking for more"
    assert done.warning is not None
    assert done.warning.code == "does-not-answer"
    assert done.warning.hint


def test_one_that_cannot_be_loaded(host: Host, hub: FakeHub, story: Story, ollama: FakeOllama) -> None:
    ollama.chats.manner.error_after, ollama.chats.manner.error = 0, load_failure("a/m")
    done = run(host, ollama, hub, story)
    assert done.state == "installed"
    assert done.warning is not None
