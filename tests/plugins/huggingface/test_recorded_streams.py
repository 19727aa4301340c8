"""Every recorded stream, read as it would be off the wire: its text, thoughts, calls, usage and end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    BadAnswer,
    ServerSentEvent,
    Unreachable,
    Usage,
    read_chat_completion,
)
from tests.plugins.huggingface.recordings import label, named, raw, read
from tests.plugins.huggingface.speaking import ENDLESS, FAILING, Failed, Heard, failure, replay

STREAMS = named("**/*.sse")


def spoken(*chunks: dict[str, Any] | str, kind: str = "message") -> list[ServerSentEvent]:
    return [ServerSentEvent(kind, c if isinstance(c, str) else json.dumps(c)) for c in chunks]


def delta(finish: str | None = None, **content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


def heard(*chunks: dict[str, Any] | str) -> Heard:
    return Heard.of(read_chat_completion(spoken(*chunks), failure))


@pytest.mark.parametrize("path", STREAMS, ids=label)
def test_every_recorded_stream_ends_as_it_should(path: Path) -> None:
    if label(path) in FAILING:
        with pytest.raises(Failed, match="tool_use_failed"):
            replay(path.read_bytes())
        return
    whole = replay(path.read_bytes())
    assert whole.text or whole.calls
    assert whole.finish == ([] if label(path) in ENDLESS else whole.finish[:1])
    assert bool(whole.finish) is (label(path) not in ENDLESS)
    assert len(whole.usage) <= 1
    for size in (1, 7, 100):
        assert replay(path.read_bytes(), size) == whole


@pytest.mark.parametrize("path", STREAMS, ids=label)
def test_the_text_is_what_the_chunks_say(path: Path) -> None:
    """Against a reading of its own: every content of every chunk, in order."""
    chunks = []
    for line in path.read_text().splitlines():
        if line.startswith(("data: {", "data:{")):
            try:
                chunks.append(json.loads(line[5:]))
            except ValueError:
                assert label(path) in ENDLESS
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", []) if choice.get("delta")]
    if label(path) in FAILING:
        return
    whole = replay(path.read_bytes())
    assert whole.text == "".join(each.get("content") or "" for each in deltas)
    assert whole.reasoning == "".join(each.get("reasoning") or each.get("reasoning_content") or "" for each in deltas)
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    expected = [Usage(usages[-1]["prompt_tokens"], usages[-1]["completion_tokens"])] if usages else []
    assert whole.usage == expected


def test_a_call_in_many_pieces_and_one_in_a_single_piece() -> None:
    split = replay(raw("upstream/deepseek_stream_toolcall__0.sse"))
    assert list(split.calls) == [0]
    id, name, arguments = split.calls[0]
    assert (id, name) == ("call_00_MRi7F2sfOet5LgvlZL3W5236", "weather")
    assert json.loads(arguments) == {"latitude": "52.5200", "longitude": "13.4050"}
    assert split.finish == ["tool_calls"]
    whole = replay(raw("upstream/groq_stream_toolcall_reasoning.sse"))
    assert [call[1:] for call in whole.calls.values()] == [["get_something_by_name", '{"name":"example"}']]
    assert whole.reasoning.startswith("We need to call")


def test_tgi_repeats_the_name_and_the_id() -> None:
    chunks = read("tgi/test_tools_llama__test_flash_llama_grammar_tools_choice_stream.json")
    call = heard(*chunks, "[DONE]").calls[0]
    assert call[1] == "get_current_weather"
    assert json.loads(call[2]) == {"location": "Brooklyn, NY", "format": "fahrenheit"}


def whole_answers() -> list[Path]:
    found = named("router/**/*nostream*.json") + named("router/pydantic/*.json") + named("upstream/*nostream*.json")
    answers = {path: read(path)["response"] for path in found}
    return [
        path for path in found if answers[path]["status"] == 200 and "choices" in (answers[path].get("body_json") or ())
    ]


@pytest.mark.parametrize("path", whole_answers(), ids=label)
def test_a_whole_answer_instead_of_a_stream(path: Path) -> None:
    body = read(path)["response"]["body_json"]
    message = body["choices"][0]["message"]
    whole = heard(body)
    content = message.get("content") or ""
    if content.startswith("<think>"):
        thought, _, text = content.removeprefix("<think>").partition("</think>")
        assert (whole.reasoning, whole.text) == (thought, text.lstrip("\n"))
    else:
        assert whole.text == content
    assert [call[1] for call in whole.calls.values()] == [
        call["function"]["name"] for call in message.get("tool_calls") or []
    ]
    assert len(whole.usage) == len(whole.finish) == 1


def test_older_tgi_sends_arguments_as_an_object() -> None:
    body = read("router/chat_toolcall_tgi_legacy.json")["response"]["body_json"]
    (call,) = heard(body).calls.values()
    assert json.loads(call[2])["location"] == "San Francisco, CA"
    assert heard(body).finish == ["stop"]  # eos_token there


def test_calls_without_indexes_are_told_apart() -> None:
    def call(id: str | None, name: str | None, arguments: str, **more: Any) -> dict[str, Any]:
        return delta(tool_calls=[{"id": id, "function": {"name": name, "arguments": arguments}, **more}])

    whole = heard(call("a", "dice", '{"n"'), call(None, None, ":1}"), call("b", "coin", "{}"), call("a", None, ""))
    assert whole.calls == {0: ["a", "dice", '{"n":1}'], 1: ["b", "coin", "{}"]}
    same_index = heard(call("a", "dice", "{}", index=0), call("b", "coin", "{}", index=0))
    assert [c[1] for c in same_index.calls.values()] == ["dice", "coin"]
    nameless = heard(delta(tool_calls=[{"function": {"name": "a"}}, {"function": {"name": "b"}}]))
    assert [c[1] for c in nameless.calls.values()] == ["a", "b"]
    single = heard(delta(tool_calls={"id": "a", "function": {"name": "dice", "arguments": {"n": 1}}}))
    assert single.calls == {0: ["a", "dice", '{"n":1}']}


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_thoughts_in_the_text(size: int) -> None:
    text = "\n<think>Is 1 < 2?</thin k>\nYes.</think>\n\nIt is <think>so</think>."
    pieces = [delta(content=text[at : at + size]) for at in range(0, len(text), size)]
    whole = heard(*pieces, delta("stop"))
    assert whole.reasoning == "Is 1 < 2?</thin k>\nYes."
    assert whole.text == "It is <think>so</think>."


@pytest.mark.parametrize("text", ["<thin", "<b>bold</b>", " \n", "think", "<", "a <think>"])
def test_text_that_only_looks_like_thoughts(text: str) -> None:
    whole = heard(*[delta(content=letter) for letter in text], delta("stop"))
    assert (whole.text, whole.reasoning) == (text, "")


def test_thoughts_without_an_end() -> None:
    whole = heard(delta(content="<think>hm</th"), delta("length"))
    assert (whole.text, whole.reasoning, whole.finish) == ("", "hm</th", ["length"])


def test_the_end_needs_a_mark() -> None:
    assert heard(delta(content="a")).finish == []
    assert heard(delta(content="a"), "[DONE]").finish == ["stop"]
    assert heard(delta(content="a"), delta("length")).finish == ["length"]
    assert heard(delta("stop"), {"choices": [], "usage": {"prompt_tokens": 3}}, "[DONE]").usage == [Usage(3, None)]


@pytest.mark.parametrize(
    ("theirs", "ours"), [("eos_token", "stop"), ("max_tokens", "length"), ("function_call", "tool_calls"), (7, "stop")]
)
def test_other_words_for_the_end(theirs: Any, ours: str) -> None:
    assert heard(delta(theirs)).finish == [ours]


def test_errors_after_a_good_start() -> None:
    def read_events(*found: ServerSentEvent) -> Heard:
        return Heard.of(read_chat_completion(found, failure))

    start = spoken(delta(content="a"))
    with pytest.raises(Failed, match="boom"):
        read_events(*start, *spoken({"error": {"message": "boom"}}))
    with pytest.raises(Failed, match="boom"):
        read_events(*start, *spoken({"message": "boom"}, kind="error"))
    with pytest.raises(Failed, match="plain boom"):
        read_events(*start, *spoken("plain boom", kind="error"))
    with pytest.raises(Failed, match="broke off"):
        read_events(*start, *spoken(delta("error")))


def test_a_cut_after_the_end_mark_loses_nothing() -> None:
    def cut(*chunks: dict[str, Any]) -> Iterable[ServerSentEvent]:
        yield from spoken(*chunks)
        raise Unreachable("The connection was cut.")

    assert Heard.of(read_chat_completion(cut(delta(content="a"), delta("stop")), failure)).finish == ["stop"]
    with pytest.raises(Unreachable):
        Heard.of(read_chat_completion(cut(delta(content="a")), failure))


def test_odd_events_are_passed_over_but_not_for_ever() -> None:
    odd: list[dict[str, Any] | str] = ["{", "1", "[]", {"choices": ["x", {"delta": "y"}, {}]}, {"choices": None}, "{}"]
    assert heard(delta(content="a"), *odd, "nul", delta("stop")) == Heard("a", finish=["stop"])
    with pytest.raises(BadAnswer):
        heard("{", "{", "{", "{")
