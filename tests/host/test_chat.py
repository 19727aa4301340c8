"""Conversations, end states, stopping, and the tool loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    CompletionEvent,
    CompletionRequest,
    Finish,
    PluginContext,
    RateLimited,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallDelta,
    Unreachable,
)
from moorage.chat import turn as turn_module
from moorage.errors import Conflict, InvalidInput, Missing, StoreError
from moorage.host import Host
from moorage.models import Message
from tests.conftest import MakeHost
from tests.host.scripted import Answer, Scripted, events_of, words


def host_with(make_host: MakeHost, plugin: Scripted, tools: tuple[str, ...] = (), **more: Any) -> tuple[Host, str]:
    host = make_host(plugins={"scripted": plugin}, only=True, **more)
    llm = {"type": "scripted", "model": "m"}
    agent = host.agents.create({"name": "A", "instructions": "Be brief.", "llm": llm, "tools": list(tools)})
    return host, agent.id


def calls(*deltas: ToolCallDelta) -> Answer:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield from deltas
        yield Finish("tool_calls")

    return answer


def raises(error: Exception, *before: str) -> Answer:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        for text in before:
            yield TextDelta(text)
        raise error

    return answer


def cut(*before: str) -> Answer:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        for text in before:
            yield TextDelta(text)

    return answer


def test_an_answer_from_start_to_end(make_host: MakeHost) -> None:
    plugin = Scripted()
    host, agent = host_with(make_host, plugin)
    turn = host.chat.send(agent, "Hi")
    events = events_of(turn)
    assert [kind for kind, _ in events] == ["start", "text", "text", "usage", "end"]
    assert events[-1] == ("end", {"state": "complete"})
    kept = host.chat.get(turn.conversation)
    assert [(m.role, m.content, m.state) for m in kept.messages] == [
        ("user", "Hi", None),
        ("assistant", "Hello there.", "complete"),
    ]
    assert kept.messages[1].output_tokens == 2
    assert [m.role for m in plugin.requests[0].messages] == ["system", "user"]
    assert not kept.active


def test_a_conversation_goes_on(make_host: MakeHost) -> None:
    plugin = Scripted(words("One."), words("Two."))
    host, agent = host_with(make_host, plugin)
    first = host.chat.send(agent, "a")
    events_of(first)
    events_of(host.chat.send(agent, "b", first.conversation))
    told = [(m.role, m.content) for m in plugin.requests[1].messages]
    assert told == [("system", "Be brief."), ("user", "a"), ("assistant", "One."), ("user", "b")]


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        (cut("Half an"), "incomplete", None),
        (cut(), "failed", "ended before it began"),
        (raises(Unreachable("Gone.", hint="Look.")), "failed", "Gone."),
        (raises(RateLimited("Slow down.", retry_after=3), "Some"), "failed", "Slow down."),
        (raises(KeyError("bug"), "Some"), "failed", "KeyError"),
    ],
    ids=["eof-after-text", "eof-at-once", "error", "error-after-text", "bug"],
)
def test_exactly_one_end_state(make_host: MakeHost, answer: Answer, state: str, error: str | None) -> None:
    host, agent = host_with(make_host, Scripted(answer))
    turn = host.chat.send(agent, "Hi")
    events = events_of(turn)
    assert [kind for kind, _ in events].count("end") == 1
    assert events[-1] == ("end", {"state": state})
    errors = [data for kind, data in events if kind == "error"]
    assert len(errors) == (error is not None)
    last = host.chat.get(turn.conversation).messages[-1]
    assert last.state == state
    if error is not None:
        assert error in errors[0]["detail"]
        assert error in (last.error or "")


def test_reasoning_is_kept_apart(make_host: MakeHost) -> None:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield ReasoningDelta("Let me think.")
        yield TextDelta("Done.")
        yield Finish("stop")

    host, agent = host_with(make_host, Scripted(answer))
    turn = host.chat.send(agent, "Hi")
    events_of(turn)
    message = host.chat.get(turn.conversation).messages[-1]
    assert (message.reasoning, message.content) == ("Let me think.", "Done.")


def silent(started: threading.Event) -> Answer:
    """Waits for a remote that says nothing, until it is stopped."""

    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        started.set()
        while not context.cancelled():
            time.sleep(0.01)
        yield from ()

    return answer


def test_stop_before_the_first_token(make_host: MakeHost) -> None:
    started = threading.Event()
    plugin = Scripted(silent(started))
    host, agent = host_with(make_host, plugin)
    turn = host.chat.send(agent, "Hi")
    got: list[tuple[str, dict[str, Any]]] = []
    reader = threading.Thread(target=lambda: got.extend(events_of(turn)))
    reader.start()
    assert started.wait(5)
    stopped = time.monotonic()
    assert host.chat.stop(turn.conversation)
    reader.join(5)
    assert time.monotonic() - stopped < 3
    assert plugin.closed.wait(3)
    assert got[-1] == ("end", {"state": "stopped"})
    assert not host.chat.stop(turn.conversation)


def test_a_watcher_who_leaves_stops_it(make_host: MakeHost) -> None:
    def endless(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        while not context.cancelled():
            yield TextDelta("more ")
            time.sleep(0.005)

    plugin = Scripted(endless)
    host, agent = host_with(make_host, plugin)
    turn = host.chat.send(agent, "Hi")
    run = turn.run()
    for batch in run:
        if any(event.type == "text" for event in batch):
            break
    run.close()
    assert plugin.closed.wait(3)
    last = host.chat.get(turn.conversation).messages[-1]
    assert last.state == "stopped"
    assert last.content.startswith("more")


def test_a_turn_nobody_ran_can_be_closed(make_host: MakeHost) -> None:
    host, agent = host_with(make_host, Scripted())
    turn = host.chat.send(agent, "Hi")
    with pytest.raises(Conflict, match="still being answered"):
        host.chat.send(agent, "Hi again", turn.conversation)
    turn.close()
    assert host.chat.get(turn.conversation).messages[-1].state == "stopped"
    assert events_of(host.chat.send(agent, "Now", turn.conversation))[-1] == ("end", {"state": "complete"})


def test_detached_turns_end_by_themselves(make_host: MakeHost) -> None:
    host, agent = host_with(make_host, Scripted())
    turn = host.chat.send(agent, "Hi")
    turn.detach()
    assert turn.finished.wait(5)
    assert host.chat.get(turn.conversation).messages[-1].state == "complete"


def test_what_a_killed_process_left_is_incomplete(make_host: MakeHost, tmp_path: Path) -> None:
    host, agent = host_with(make_host, Scripted(), home=tmp_path)
    turn = host.chat.send(agent, "Hi")
    host.chat._turns.clear()  # as after kill -9: nobody is left to end it
    host.close()
    again = make_host(plugins={"scripted": Scripted()}, only=True, home=tmp_path)
    last = again.chat.get(turn.conversation).messages[-1]
    assert last.state == "incomplete"
    assert "ended while" in (last.error or "")


ECHO = Tool(
    name="echo",
    description="Say it again.",
    parameters={
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
    run=lambda arguments: f"echo: {arguments['text']}",
)


def test_the_tool_loop(make_host: MakeHost) -> None:
    pieces = calls(
        ToolCallDelta(0, "c1", "echo", '{"te'),
        ToolCallDelta(0, None, None, 'xt": "ahoy"}'),
        ToolCallDelta(1, "c2", "current_time"),
    )
    plugin = Scripted(pieces, words("It said ahoy."), tools=(ECHO,))
    host, agent = host_with(make_host, plugin, ("echo", "current_time"))
    turn = host.chat.send(agent, "Say ahoy")
    events = events_of(turn)
    results = {data["id"]: data for kind, data in events if kind == "tool-result"}
    assert results["c1"] == {"id": "c1", "ok": True, "content": "echo: ahoy"}
    assert results["c2"]["ok"]
    told = plugin.requests[1].messages
    assert [(m.role, m.tool_call_id) for m in told[-3:]] == [("assistant", None), ("tool", "c1"), ("tool", "c2")]
    kept = host.chat.get(turn.conversation).messages
    assert kept[1].tool_calls[0].content == "echo: ahoy"
    assert kept[2].content == "It said ahoy."
    assert events[-1] == ("end", {"state": "complete"})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ToolCallDelta(0, "c", "echo", '{"text": 5}'), "text: 5 is not of type 'string'"),
        (ToolCallDelta(0, "c", "echo", '{"text": "a", "x": 1}'), "Additional properties"),
        (ToolCallDelta(0, "c", "echo", "{not json"), "not valid JSON"),
        (ToolCallDelta(0, "c", "nobody", "{}"), "no tool named 'nobody'"),
        (ToolCallDelta(0, "c", "current_time", '{"timeZone": "Mars/Base"}'), "not a time zone"),
    ],
    ids=["type", "extra", "json", "unknown", "raises"],
)
def test_a_wrong_call_is_answered_and_not_made(make_host: MakeHost, call: ToolCallDelta, said: str) -> None:
    host, agent = host_with(make_host, Scripted(calls(call), words("ok"), tools=(ECHO,)), ("echo", "current_time"))
    results = [data for kind, data in events_of(host.chat.send(agent, "x")) if kind == "tool-result"]
    assert not results[0]["ok"]
    assert said in results[0]["content"]


def test_the_loop_is_bounded(make_host: MakeHost) -> None:
    again = calls(ToolCallDelta(0, "c", "echo", '{"text": "a"}'))
    host, agent = host_with(make_host, Scripted(again, tools=(ECHO,)), ("echo",))
    events = events_of(host.chat.send(agent, "x"))
    assert events[-1] == ("end", {"state": "incomplete"})
    assert [kind for kind, _ in events].count("tool-result") == turn_module.MAX_SAME_CALLS


def test_calls_of_a_cut_answer_are_not_made(make_host: MakeHost) -> None:
    ran: list[dict[str, Any]] = []
    tool = ECHO.model_copy(update={"run": lambda arguments: ran.append(arguments) or "x"})

    def cut_call(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield TextDelta("Let me")
        yield ToolCallDelta(0, "c", "echo", '{"text": "a"}')

    host, agent = host_with(make_host, Scripted(cut_call, tools=(tool,)), ("echo",))
    assert events_of(host.chat.send(agent, "x"))[-1] == ("end", {"state": "incomplete"})
    assert ran == []


def test_a_tool_says_no_key(make_host: MakeHost) -> None:
    """What a tool raises goes to a model and into the conversation."""
    key = "sk-of-the-provider-0123456789"

    def run(arguments: dict[str, Any]) -> str:
        raise ValueError(f"401 for {key}")

    tool = ECHO.model_copy(update={"run": run})
    call = calls(ToolCallDelta(0, "c", "echo", '{"text": "x"}'))
    host, agent = host_with(make_host, Scripted(call, words("ok"), tools=(tool,)), ("echo",))
    host.providers.create("P", "scripted", {"apiKey": key})
    (result,) = [data for kind, data in events_of(host.chat.send(agent, "x")) if kind == "tool-result"]
    assert not result["ok"]
    assert result["content"].startswith("ValueError: 401 for ")
    assert key not in result["content"]


@pytest.mark.parametrize("allow", [True, False])
def test_a_tool_that_changes_things_waits_for_a_person(make_host: MakeHost, allow: bool) -> None:
    tool = ECHO.model_copy(update={"needs_approval": True})
    call = calls(ToolCallDelta(0, "c", "echo", '{"text": "a"}'))
    host, agent = host_with(make_host, Scripted(call, words("ok"), tools=(tool,)), ("echo",))
    turn = host.chat.send(agent, "x")
    results = []
    for batch in turn.run():
        for event in batch:
            if event.type == "tool-call":
                assert event.data["needsApproval"]
                with pytest.raises(Conflict):
                    host.chat.approve(turn.conversation, "other", True)
                host.chat.approve(turn.conversation, "c", allow)
            elif event.type == "tool-result":
                results.append(event.data)
    assert [result["ok"] for result in results] == [allow]


def test_bad_input_saves_nothing(make_host: MakeHost) -> None:
    host, agent = host_with(make_host, Scripted())
    with pytest.raises(InvalidInput):
        host.chat.send(agent, "  ")
    with pytest.raises(Missing):
        host.chat.send("agent-none", "x")
    with pytest.raises(Missing):
        host.chat.send(agent, "x", "conversation-none")
    assert host.chat.list().items == ()


def test_a_removed_conversation_is_gone(make_host: MakeHost) -> None:
    host, agent = host_with(make_host, Scripted())
    turn = host.chat.send(agent, "Hi")
    events_of(turn)
    host.chat.delete(turn.conversation)
    with pytest.raises(Missing):
        host.chat.get(turn.conversation)
    assert host.chat.list().items == ()


def test_a_schema_that_refers_elsewhere_fetches_nothing(make_host: MakeHost) -> None:
    from tests.fakes.server import FakeServer

    with FakeServer() as elsewhere:
        tool = ECHO.model_copy(update={"parameters": {"$ref": f"{elsewhere.url}/schema.json"}})
        call = calls(ToolCallDelta(0, "c", "echo", '{"text": "a"}'))
        host, agent = host_with(make_host, Scripted(call, words("ok"), tools=(tool,)), ("echo",))
        results = [data for kind, data in events_of(host.chat.send(agent, "x")) if kind == "tool-result"]
        assert "outside of itself" in results[0]["content"]
        assert elsewhere.requests == []


def test_an_approval_is_for_one_call_only(make_host: MakeHost) -> None:
    """A remote that gives its calls the same id, or none, does not get the second one for free."""
    ran: list[str] = []

    def wipe(arguments: dict[str, Any]) -> str:
        ran.append(arguments["text"])
        return "done"

    tool = ECHO.model_copy(update={"needs_approval": True, "run": wipe})
    first = calls(ToolCallDelta(0, "same", "echo", '{"text": "one"}'))
    second = calls(ToolCallDelta(0, "same", "echo", '{"text": "two"}'))
    third = calls(ToolCallDelta(0, None, "echo", '{"text": "three"}'))
    host, agent = host_with(make_host, Scripted(first, second, third, words("ok"), tools=(tool,)), ("echo",))
    turn = host.chat.send(agent, "x")
    asked: list[str] = []
    for batch in turn.run():
        for event in batch:
            if event.type == "tool-call":
                asked.append(event.data["id"])
                host.chat.approve(turn.conversation, event.data["id"], len(asked) == 1)
                with pytest.raises(Conflict):
                    host.chat.approve(turn.conversation, event.data["id"], True)
    assert len(set(asked)) == 3
    assert ran == ["one"]


def test_a_full_disk_ends_nothing(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be stored is still shown, the turn ends once, and the conversation can go on."""
    host, agent = host_with(make_host, Scripted(words("One."), words("Two.")))
    turn = host.chat.send(agent, "Hi")

    def full(message: Message) -> Message:
        raise StoreError("No space left.")

    monkeypatch.setattr(turn, "_save", full)
    events = events_of(turn)
    assert events[-1] == ("end", {"state": "complete"})
    assert turn.finished.is_set()
    assert not host.chat.get(turn.conversation).active
    assert events_of(host.chat.send(agent, "again", turn.conversation))[-1] == ("end", {"state": "complete"})


def test_stop_does_not_wait_for_a_plugin_that_hears_nothing(make_host: MakeHost) -> None:
    release = threading.Event()

    def deaf(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        threading.current_thread().name = "hang-deaf"
        yield TextDelta("a")
        release.wait(30)

    host, agent = host_with(make_host, Scripted(deaf))
    turn = host.chat.send(agent, "Hi")
    run = turn.run()
    while not any(event.type == "text" for event in next(run)):
        pass
    turn.stop()
    started = time.monotonic()
    events = [(event.type, event.data) for batch in run for event in batch]
    assert time.monotonic() - started < 3
    assert events[-1] == ("end", {"state": "stopped"})
    release.set()


def test_calls_without_an_end_mark_are_incomplete(make_host: MakeHost) -> None:
    def cut_call(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield ToolCallDelta(0, "c", "echo", '{"te')

    host, agent = host_with(make_host, Scripted(cut_call, tools=(ECHO,)), ("echo",))
    assert events_of(host.chat.send(agent, "x"))[-1] == ("end", {"state": "incomplete"})


def test_an_agent_that_cannot_answer_leaves_no_conversation(make_host: MakeHost) -> None:
    host = make_host(plugins={"scripted": Scripted()}, only=True)
    provider = host.providers.create("P", "scripted", {})
    agent = host.agents.create({"name": "A", "llm": {"provider": provider.id}})
    host.providers.delete(provider.id)
    with pytest.raises(Missing):
        host.chat.send(agent.id, "Hi")
    inline = host.agents.create({"name": "B", "llm": {"type": "scripted", "model": "m"}})
    host.plugins.disable("scripted")
    with pytest.raises(InvalidInput, match="No plugin offers"):
        host.chat.send(inline.id, "Hi")
    assert host.chat.list().items == ()
