"""The plugin against the test server that passes for Ollama with Ollama's own client."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import groupby
from typing import Any

import httpx
import pytest

from moorage import (
    AuthFailed,
    BadAnswer,
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    DiskFull,
    Finish,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    MoorageError,
    PluginContext,
    Provider,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Unreachable,
    Unsupported,
    Usage,
)
from moorage_ollama.config import OllamaOptions, OllamaProvider
from moorage_ollama.plugin import OllamaPlugin
from moorage_ollama.pull import PullProgress
from tests.fakes.hub_registry import ONLY_SHARDED, SHARDED_TAG
from tests.fakes.ollama import FakeOllama, load_failure
from tests.fakes.ollama_models import OllamaModel
from tests.fakes.ollama_pull import PullFault, digest_mismatch, disk_full, dying_download, retries_exceeded, stall
from tests.plugins.ollama.conftest import QUICK, model_detail, model_file

NAME = "hf.co/org/m-GGUF:Q4_K_M"
CLOCK = Tool(
    name="current_time",
    description="The time.",
    parameters={"type": "object", "properties": {"timezone": {"type": "string"}}},
    run=lambda _: "noon",
)


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama() as fake:
        fake.pulls.tick = 0.01
        yield fake


class Driver:
    """The hooks for one server."""

    def __init__(self, server: FakeOllama, plugin: OllamaPlugin, context: PluginContext) -> None:
        self.plugin, self.context = plugin, context
        config = OllamaProvider(endpoint=server.url)
        self.provider = Provider(id="p", name="Ollama", type="ollama", config=config)

    def models(self) -> dict[str, Any]:
        return {model.name: model for model in self.plugin.list_models(self.provider, self.context)}

    def plan(self, size: int = 1_929_912_432) -> InstallPlan:
        file = model_file("m-Q4_K_M.gguf", "Q4_K_M", size=size)
        detail = model_detail("org/m-GGUF", file)
        return self.plugin.plan_install(InstallRequest(target=self.provider, model=detail, file=file), self.context)

    def install(self) -> list[InstallProgress]:
        return list(self.plugin.install_model(self.plan(), self.context))

    def ask(self, *messages: ChatMessage, model: str, **fields: Any) -> list[CompletionEvent]:
        request = CompletionRequest(provider=self.provider, model=model, messages=messages, **fields)
        return list(self.plugin.complete(request, self.context))


@pytest.fixture
def driver(server: FakeOllama, plugin: OllamaPlugin, context: PluginContext) -> Driver:
    return Driver(server, plugin, context)


@pytest.mark.parametrize("version", ["0.5.4", "0.12.0", "0.32.15"])
def test_lists_are_the_same_on_old_and_new_servers(plugin: OllamaPlugin, context: PluginContext, version: str) -> None:
    models = [
        OllamaModel("tooly:7b", ("completion", "tools")),
        OllamaModel("embedder:latest", ("embedding",), family="nomic-bert", context_length=2048),
    ]
    with FakeOllama(version, models) as server:
        listed = Driver(server, plugin, context).models()
        assert listed["tooly:7b"].capabilities == ("completion", "tools")
        assert listed["tooly:7b"].context_length == 131_072
        assert listed["tooly:7b"].parameters == 3_200_000_000
        assert listed["embedder:latest"].capabilities == ("embedding",)
        assert listed["embedder:latest"].loaded is False


def test_from_pull_to_chat_to_removal(server: FakeOllama, driver: Driver) -> None:
    server.registry.publish(OllamaModel(NAME), more={"projector": 800_000_000})  # type: ignore[attr-defined]
    shown = driver.install()
    sizes = [(item.completed or 0, item.total or 0) for item in shown]
    assert sizes == sorted(sizes)
    assert sizes[-1][0] == sizes[-1][1] > 1_929_912_432 + 800_000_000
    assert driver.models()[NAME].size == sizes[-1][1]
    events = driver.ask(ChatMessage(role="user", content="Hello there"), model=NAME)
    assert "".join(event.text for event in events if isinstance(event, TextDelta))
    assert isinstance(events[-2], Usage)
    assert events[-1] == Finish("stop")
    assert driver.models()[NAME].loaded
    driver.plugin.remove_model(driver.provider, NAME, driver.context)
    assert driver.models() == {}


@pytest.mark.parametrize(
    ("fault", "pulls"),
    [
        (PullFault(ends=True), 2),
        (PullFault(cut=True), 2),
        (PullFault("verify", ends=True), 2),
        (PullFault("manifest", cut=True), 2),
        (PullFault(falls_to=10.0), 1),
        (PullFault(cut=True, falls_to=10.0), 2),
        (PullFault(line=b'{"status": "pulling'), 1),
        (retries_exceeded(), 2),
        (dying_download(), 2),
        (digest_mismatch(), 2),
        (stall(), 2),
    ],
)
def test_rows_33_and_34_what_a_pull_gets_over(server: FakeOllama, driver: Driver, fault: PullFault, pulls: int) -> None:
    server.library.publish(OllamaModel(NAME))
    server.pulls.faults = [fault]
    shown = driver.install()
    completed = [item.completed or 0 for item in shown]
    assert completed == sorted(completed)
    assert NAME in driver.models()
    assert len(server.seen("POST", "/api/pull")) == pulls


def test_row_33_a_pull_that_is_cut_goes_on_where_it_was(server: FakeOllama, driver: Driver) -> None:
    server.library.publish(OllamaModel(NAME))
    server.pulls.faults = [PullFault(cut=True)]
    shown = driver.install()
    size = OllamaModel(NAME).size
    again = next(n for n, item in enumerate(shown) if "started again" in (item.message or ""))
    before, after = shown[:again], shown[again:]
    assert max(item.completed or 0 for item in before) <= size * 0.51, "it never says more than there is"
    assert not any(item.phase in ("verifying", "importing") for item in before)
    assert not any("again; the bar waits" in (item.message or "") for item in after), "nothing was lost"
    first = next(item for item in after if item.phase == "downloading")
    assert first.completed == max(item.completed or 0 for item in before)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (disk_full(), DiskFull),
        (digest_mismatch(times=None), BadAnswer),
        (PullFault(ends=True, times=None), Unreachable),
        (PullFault("write", ends=True, times=None), Unreachable),
        (retries_exceeded(times=None), Unreachable),
        (PullFault(unlisted=True), BadAnswer),
        (PullFault("manifest", error="pull model manifest: 401: Invalid username or password."), AuthFailed),
    ],
)
def test_rows_34_and_36_what_a_pull_does_not_get_over(
    server: FakeOllama, driver: Driver, fault: PullFault, kind: type[MoorageError]
) -> None:
    server.library.publish(OllamaModel(NAME))
    server.pulls.faults = [fault]
    with pytest.raises(kind) as raised:
        driver.install()
    assert raised.value.hint
    assert NAME not in driver.models()


@pytest.mark.parametrize("text", [SHARDED_TAG, ONLY_SHARDED])
def test_the_registry_refuses_what_is_in_parts(server: FakeOllama, driver: Driver, text: str) -> None:
    server.library.refuse(NAME, 400, text)
    with pytest.raises(Unsupported, match="several parts") as raised:
        driver.install()
    assert "import" in (raised.value.hint or "")
    assert len(server.seen("POST", "/api/pull")) == 1


@pytest.mark.parametrize("prune", [False, True])
def test_row_35_a_server_that_restarts_during_a_pull(server: FakeOllama, context: PluginContext, prune: bool) -> None:
    """What it has kept is not fetched again; what it has thrown away is, and is said."""
    driver = Driver(server, OllamaPlugin(dataclasses.replace(QUICK, stall=60.0, waits=(1.0,))), context)
    server.library.publish(OllamaModel(NAME))
    server.pulls.faults = [stall(percent=60.0)]
    restart = threading.Thread(target=server.restart, kwargs={"prune": prune})
    shown = []
    for item in driver.plugin.install_model(driver.plan(), driver.context):
        shown.append(item)
        if (item.completed or 0) > 1_000_000_000 and restart.ident is None:
            restart.start()
    restart.join(5)
    completed = [item.completed or 0 for item in shown]
    assert completed == sorted(completed)
    assert any("fetches" in (item.message or "") for item in shown) is prune
    assert NAME in driver.models()
    assert len(server.seen("POST", "/api/pull")) == 2


def test_row_35_a_new_install_after_a_server_forgot(server: FakeOllama, driver: Driver) -> None:
    server.library.publish(OllamaModel(NAME))
    server.pulls.faults = [stall(percent=60.0, times=None)]
    steps = driver.plugin.install_model(driver.plan(), driver.context)
    seen = next(steps)
    while (seen.completed or 0) < 1_000_000_000:
        seen = next(steps)
    steps.close()  # type: ignore[attr-defined]  # it is a generator
    server.pulls.faults = []
    server.restart(prune=True)
    shown = driver.install()
    assert next(item.completed for item in shown if item.phase == "downloading") == 0, "the bar begins anew"
    assert NAME in driver.models()


def test_row_35_a_server_that_is_away_is_for_the_host_to_wait_for(server: FakeOllama, driver: Driver) -> None:
    server.stop()
    with pytest.raises(Unreachable) as raised:
        driver.install()
    assert raised.value.retryable
    assert "ollama serve" in (raised.value.hint or "")


def test_the_shape_of_a_real_pull(server: FakeOllama, driver: Driver) -> None:
    """Five layers in 23 lines: the first ends without saying so, the small ones hardly have a `completed`."""
    model = OllamaModel(NAME, template="{{ .Prompt }}" * 100, system="Be brief.", license="MIT " * 2000)
    server.library.publish(model)
    server.pulls.tick = 0.06
    server.pulls.speed = model.size / (13.5 * 0.06)
    answer = httpx.post(f"{server.url}/api/pull", json={"model": NAME}, trust_env=False)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert 20 <= len(lines) <= 28
    layers = [
        list(group) for _, group in groupby((line for line in lines if "digest" in line), lambda line: line["digest"])
    ]
    assert len(layers) == 5, "one after another"
    assert "completed" not in layers[0][0]
    assert layers[0][-1]["completed"] < layers[0][-1]["total"]
    assert [line["status"] for line in lines if "digest" not in line] == [
        "pulling manifest", "verifying sha256 digest", "writing manifest", "success",
    ]  # fmt: skip
    progress = PullProgress(0)
    completed = [progress.feed(line).completed or 0 for line in lines]
    assert progress.succeeded
    assert completed == sorted(completed)
    assert completed[-1] == progress.total == sum(group[-1]["total"] for group in layers)


def test_a_pull_outlasts_the_end_of_the_one_before(server: FakeOllama, context: PluginContext) -> None:
    """Ollama ends a download that was given up only after the pause of its own retry, up to 32 s later."""
    plugin = OllamaPlugin(dataclasses.replace(QUICK, waits=(0.1, 0.2, 0.3)))
    driver = Driver(server, plugin, context)
    server.library.publish(OllamaModel(NAME))
    server.pulls.faults = [retries_exceeded()]
    server.pulls.wind_down = 0.25
    shown = driver.install()
    assert any("earlier pull" in (item.message or "") for item in shown)
    assert NAME in driver.models()


def test_tools_and_their_results(server: FakeOllama, driver: Driver) -> None:
    server.store.install(OllamaModel("tooly:7b"))
    server.chats.manner.calls_tools = True
    question = ChatMessage(role="user", content="What time is it?")
    events = driver.ask(question, model="tooly:7b", tools=(CLOCK,))
    (call,) = [event for event in events if isinstance(event, ToolCallDelta)]
    assert call.name == "current_time"
    assert isinstance(json.loads(call.arguments), dict)
    assert events[-1] == Finish("tool_calls")
    asked = ToolCall(id=call.id or "", name="current_time", arguments=call.arguments)
    events = driver.ask(
        question,
        ChatMessage(role="assistant", tool_calls=(asked,)),
        ChatMessage(role="tool", name="current_time", tool_call_id=call.id, content="noon"),
        model="tooly:7b",
        tools=(CLOCK,),
    )
    assert events[-1] == Finish("stop")
    assert any(isinstance(event, TextDelta) for event in events)


def test_a_model_without_tools_says_so(server: FakeOllama, driver: Driver) -> None:
    server.store.install(OllamaModel("plain:1b", ("completion",)))
    with pytest.raises(Unsupported, match="plain:1b cannot call tools"):
        driver.ask(ChatMessage(role="user", content="Hi"), model="plain:1b", tools=(CLOCK,))


@pytest.mark.parametrize(("think", "thinks"), [(None, True), ("on", True), ("off", False)])
def test_thinking(server: FakeOllama, driver: Driver, think: Any, thinks: bool) -> None:
    server.store.install(OllamaModel("thinker:8b", ("completion", "thinking")))
    hello = ChatMessage(role="user", content="Hello")
    events = driver.ask(hello, model="thinker:8b", options=OllamaOptions(think=think))
    assert any(isinstance(event, ReasoningDelta) for event in events) is thinks
    assert events[-1] == Finish("stop")


def test_think_is_kept_from_a_model_that_cannot(server: FakeOllama, driver: Driver) -> None:
    server.store.install(OllamaModel("plain:1b", ("completion",)))
    events = driver.ask(ChatMessage(role="user", content="Hi"), model="plain:1b", options=OllamaOptions(think="on"))
    assert events[-1] == Finish("stop")


def test_the_context_length_is_what_was_asked_for(server: FakeOllama, driver: Driver) -> None:
    server.store.install(OllamaModel("tiny:1b"))
    driver.ask(ChatMessage(role="user", content="Hi"), model="tiny:1b", options=OllamaOptions(num_ctx=2048))
    assert [row["context_length"] for row in (one.row() for one in server.chats.running())] == [2048]


@pytest.mark.parametrize(
    ("manner", "kind"), [("eof_after", None), ("cut_after", Unreachable), ("error_after", Unsupported)]
)
def test_an_answer_that_breaks_off_has_no_finish(
    server: FakeOllama, driver: Driver, manner: str, kind: type[MoorageError] | None
) -> None:
    server.store.install(OllamaModel("tiny:1b"))
    setattr(server.chats.manner, manner, 2)
    events: list[CompletionEvent] = []
    request = CompletionRequest(
        provider=driver.provider,
        model="tiny:1b",
        messages=(ChatMessage(role="user", content="Tell me a long story, please."),),
    )
    with pytest.raises(kind) if kind else nullcontext():
        events.extend(driver.plugin.complete(request, driver.context))
    assert events
    assert not any(isinstance(event, Finish) for event in events)


def test_text_in_pieces_of_one_byte_is_whole(server: FakeOllama, driver: Driver) -> None:
    server.store.install(OllamaModel("tiny:1b"))
    server.chats.manner.split_every = 1
    server.chats.manner.garbage_after = 1
    events = driver.ask(ChatMessage(role="user", content="Grüße, 世界"), model="tiny:1b")
    assert events[-1] == Finish("stop")


def test_a_model_that_does_not_fit(server: FakeOllama, driver: Driver) -> None:
    server.store.install(OllamaModel("big:70b"))
    server.faults = [load_failure()]
    with pytest.raises(Unsupported, match=r"9\.1 GiB"):
        driver.ask(ChatMessage(role="user", content="Hi"), model="big:70b")


def test_two_calls_at_once(server: FakeOllama, driver: Driver) -> None:
    server.store.install(OllamaModel("tiny:1b"))
    results: list[CompletionEvent] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(driver.ask(ChatMessage(role="user", content="Hi"), model="tiny:1b")[-1])
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [Finish("stop")] * 4
