"""How the fake Ollama answers with lines of JSON: the first decides the status, errors after it are lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.fakes.server import Exchange

Line = dict[str, Any] | bytes  # bytes go out as they are
Lines = Generator[Line, None, None]


class Refused(Exception):
    """An error of Ollama's: an answer with this status before the first line, a line `{"error": ...}` after it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class EndOfLines(Exception):
    """No line follows: the body ends in good form, or with `cut` the connection breaks."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__()
        self.cut = cut


def answer_lines(
    exchange: Exchange,
    lines: Lines,
    *,
    as_stream: bool,
    whole: Callable[[list[dict[str, Any]]], dict[str, Any]],
    split_every: int | None = None,
) -> None:
    """Send `lines` as NDJSON, or what `whole` makes of them as one object. `split_every` is bytes per write."""
    with contextlib.closing(lines):
        try:
            first = next(lines, None)
            if as_stream:
                _send(exchange, _encoded(first, lines), split_every)
                return
            collected = [first, *lines]
        except EndOfLines:
            exchange.hang_up()
            return
        except Refused as refusal:
            exchange.json(refusal.status, {"error": refusal.text})
            return
        exchange.json(200, whole([line for line in collected if isinstance(line, dict)]))


def _encoded(first: Line | None, rest: Iterator[Line]) -> Iterator[bytes]:
    try:
        if first is not None:
            yield encode(first)
        for line in rest:
            yield encode(line)
    except Refused as refusal:
        yield encode({"error": refusal.text})
    except EndOfLines as end:
        if end.cut:
            raise


def encode(line: Line) -> bytes:
    if isinstance(line, bytes):
        return line
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _send(exchange: Exchange, pieces: Iterator[bytes], split_every: int | None) -> None:
    def cut() -> Iterator[bytes]:
        for piece in pieces:
            step = split_every or len(piece)
            yield from (piece[at : at + step] for at in range(0, len(piece), step))

    try:
        exchange.stream(cut(), "application/x-ndjson", odd=split_every is None)
    except EndOfLines:
        exchange.hang_up()


def go_time(moment: datetime | None = None) -> str:
    """RFC 3339 with nanoseconds, as Go writes it."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "001Z"


def read_json(exchange: Exchange) -> dict[str, Any]:
    """The request's object. Ollama does not look at its Content-Type."""
    if not exchange.seen.body:
        raise Refused(400, "missing request body")
    try:
        value = exchange.seen.json
    except ValueError:
        raise Refused(400, "invalid character 'x' looking for beginning of value") from None
    if not isinstance(value, dict):
        raise Refused(400, "json: cannot unmarshal array into Go value of type api.Request")
    return value
