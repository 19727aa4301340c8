"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), many at a time.

The hot path of every streamed chat: whole blocks are split off by C code, and the usual block, a single `data:` line,
is recognised without looking at its lines one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from moorage.context import ServerSentEvent
from moorage.http.body import LONGEST_LINE, too_long

BOM = b"\xef\xbb\xbf"


def events(
    chunks: Iterable[bytes], remote: str, heard: Callable[[], None] = lambda: None, limit: int = LONGEST_LINE
) -> Iterator[ServerSentEvent]:
    """The events of a stream, a last one without its blank line too.

    `heard` is called for whatever is more than a comment: comments keep a connection open, they are no sign of work.
    BadAnswer for an event of more than `limit` bytes.
    """
    begun: list[bytes] = []  # of a block whose end has not come yet
    size = 0
    carried = b""
    after_cr = False
    for chunk in _without_bom(chunks):
        if after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not chunk:
            continue
        if not chunk.startswith(b":"):
            heard()
        *blocks, rest = (carried + chunk).split(b"\n\n")
        carried = b""
        for block in blocks:
            if begun:
                begun.append(block)
                block = b"".join(begun)
                begun, size = [], 0
            if block.startswith(b"data: ") and b"\n" not in block:
                yield ServerSentEvent("message", block[6:].decode(errors="replace"))
            elif (event := parse(block)) is not None:
                yield event
        if rest.endswith(b"\n"):  # the two ends of a blank line may be in two chunks
            rest, carried = rest[:-1], b"\n"
        if rest:
            begun.append(rest)
            size += len(rest)
            if size > limit:
                raise too_long(remote, limit)
    if begun and (event := parse(b"".join(begun))) is not None:
        yield event


def parse(block: bytes) -> ServerSentEvent | None:
    """One block of lines; None when it has no data (a comment, a `retry:`)."""
    name, data = "message", None
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data = value if data is None else data + b"\n" + value
        elif field == b"event":
            name = value.decode(errors="replace") or "message"
    return None if data is None else ServerSentEvent(name, data.decode(errors="replace"))


def _without_bom(chunks: Iterable[bytes]) -> Iterator[bytes]:
    iterator = iter(chunks)
    start = b""
    for chunk in iterator:
        start += chunk
        if len(start) >= len(BOM) or not BOM.startswith(start):
            break
    yield start.removeprefix(BOM)
    yield from iterator
