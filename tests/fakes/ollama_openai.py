"""`/v1` of Ollama, with its quirks: no window can be asked for, and an error in mid-stream is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.fakes.ollama_chat import whole_chat
from tests.fakes.ollama_stream import EndOfLines, Line, Lines, Refused

KINDS = {400: "invalid_request_error", 404: "not_found_error"}
EFFORTS: dict[str, bool | str] = {"none": False, "low": "low", "medium": "medium", "high": "high"}


def error_body(refusal: Refused) -> dict[str, Any]:
    kind = KINDS.get(refusal.status, "api_error")
    return {"error": {"message": refusal.text, "type": kind, "param": None, "code": None}}


def native(body: dict[str, Any]) -> dict[str, Any]:
    """The request as `/api/chat` wants it."""
    options = {"num_predict": body.get("max_tokens"), "temperature": body.get("temperature"), "seed": body.get("seed")}
    asked: dict[str, Any] = {
        "model": body.get("model"),
        "messages": [_message(message) for message in body.get("messages") or []],
        "tools": body.get("tools"),
        "options": {key: value for key, value in options.items() if value is not None},
    }
    if not asked["messages"]:
        raise Refused(400, "[] is too short - 'messages'")
    effort = body.get("reasoning_effort")
    return asked if effort is None else {**asked, "think": EFFORTS.get(effort, effort)}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    if isinstance(content, list):
        images = [part["image_url"]["url"].partition(",")[2] for part in content if part["type"] == "image_url"]
        text = " ".join(part["text"] for part in content if part["type"] == "text")
        return {**message, "content": text, "images": images}
    calls = message.get("tool_calls") or []
    try:
        parsed = [_native_call(call["function"]) for call in calls]
    except ValueError:
        raise Refused(400, "invalid tool call arguments") from None
    return {**message, "content": content, "tool_calls": parsed}


def _native_call(function: dict[str, Any]) -> dict[str, Any]:
    return {"function": {"name": function["name"], "arguments": json.loads(function["arguments"] or "{}")}}


def events(lines: Lines, first: Line | None, body: dict[str, Any], base: dict[str, Any]) -> Iterator[bytes]:
    """Server-sent events of a stream. After an error comes one empty chunk and nothing else."""
    chunk = {**base, "object": "chat.completion.chunk", "system_fingerprint": "fp_ollama"}
    called = False

    def event(delta: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": {"role": "assistant", "content": "", **delta}, "finish_reason": finish}
        return _event({**chunk, "choices": [choice]})

    def all_lines() -> Iterator[Line]:
        if first is not None:
            yield first
        yield from lines

    try:
        for line in all_lines():
            if not isinstance(line, dict):
                continue
            called = called or bool(line["message"].get("tool_calls"))
            if line["done"]:
                yield event({}, "tool_calls" if called else line["done_reason"])
                if (body.get("stream_options") or {}).get("include_usage"):
                    yield _event({**chunk, "choices": [], "usage": _usage(line)})
                yield b"data: [DONE]\n\n"
            else:
                yield event(_said(line["message"]), None)
    except Refused:
        yield _event({**chunk, "model": "", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    except EndOfLines as end:
        if end.cut:
            raise


def whole(lines: list[Line], base: dict[str, Any]) -> dict[str, Any]:
    last = whole_chat([line for line in lines if isinstance(line, dict)])
    message = {"role": "assistant", "content": last["message"]["content"], **_said(last["message"])}
    finish = "tool_calls" if message.get("tool_calls") else last["done_reason"]
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**base, "object": "chat.completion", "choices": [choice], "usage": _usage(last)}


def _said(message: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"content": message["content"]}
    if message.get("thinking"):
        said["reasoning"] = message["thinking"]
    if message.get("tool_calls"):
        said["tool_calls"] = [
            {
                "id": call.get("id", "call_old"),
                "index": at,
                "type": "function",
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.dumps(call["function"]["arguments"], separators=(",", ":")),
                },
            }
            for at, call in enumerate(message["tool_calls"])
        ]
    return said


def _usage(done: dict[str, Any]) -> dict[str, int]:
    prompt, answer = done.get("prompt_eval_count", 0), done.get("eval_count", 0)
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
