from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.context import ServerSentEvent
from moorage.errors import BadAnswer
from moorage.http.body import lines
from moorage.http.sse import events


def parsed(*chunks: bytes) -> list[tuple[str, str]]:
    return [(event.event, event.data) for event in events(chunks, "test")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data:a\n\ndata:  b\n\n", [("message", "a"), ("message", " b")]),
        (b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
        (b"data: a\rdata: b\r\rdata: c\r\r", [("message", "a\nb"), ("message", "c")]),
        (b": comment\n\n: another\ndata: a\n:more\n\n", [("message", "a")]),
        (b"event: error\ndata: {\ndata: }\nid: 7\nretry: 10\n\n", [("error", "{\n}")]),
        (b"event: end\n\ndata: a\n\n", [("message", "a")]),
        (b"data\n\n", [("message", "")]),
        (b"data:\ndata:\n\n", [("message", "\n")]),
        (b"data: a\n\n\n\n\ndata: b\n\n", [("message", "a"), ("message", "b")]),
        (b"\n\n\ndata: a", [("message", "a")]),
        (b"data: no final newline\n", [("message", "no final newline")]),
        (b"event:\ndata: a\n\n", [("message", "a")]),
        (b"DATA: a\nfoo: b\nfoo\ndata: c\n\n", [("message", "c")]),
        ("data: für 😀\n\n".encode(), [("message", "für 😀")]),
        (b"data: \xff\n\n", [("message", "\ufffd")]),
        (b"", []),
        (b"\xef\xbb\xbf", []),
    ],
)
def test_the_standard_is_kept_wherever_the_chunks_end(body: bytes, expected: list[tuple[str, str]]) -> None:
    assert parsed(body) == expected
    assert parsed(*[body[i : i + 1] for i in range(len(body))]) == expected
    for cut in range(len(body)):
        assert parsed(body[:cut], body[cut:]) == expected


ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
texts = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.lists(texts, min_size=1, max_size=3), max_size=5), ends, st.lists(st.integers(0, 400), max_size=6))
def test_any_text_survives_any_chunks(messages: list[list[str]], end: bytes, cuts: list[int]) -> None:
    body = b"".join(b"".join(b"data: " + text.encode() + end for text in message) + end for message in messages)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[a:b] for a, b in pairwise(edges)]
    assert parsed(*chunks) == [("message", "\n".join(message)) for message in messages]


@given(
    st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b and not b.endswith(b"\r")), max_size=8), st.data()
)
def test_lines_survive_any_chunks(wanted: list[bytes], data: st.DataObject) -> None:
    body = b"".join(line + b"\n" for line in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    edges = [0, *cuts, len(body)]
    assert list(lines([body[a:b] for a, b in pairwise(edges)], "test")) == wanted


def test_only_what_is_no_comment_is_heard() -> None:
    heard = []
    for _ in events(
        [b": ping\n\n", b"data: a\n\n", b": ping\n\n", b"data: b", b"\n\n"], "test", lambda: heard.append(1)
    ):
        pass
    assert len(heard) == 3


def test_an_event_that_never_ends_is_refused_in_linear_time() -> None:
    started = time.thread_time()
    with pytest.raises(BadAnswer):
        list(events((b"data: xxxxxxxxxxxxxxxxxxx\n" for _ in range(100_000)), "test"))
    with pytest.raises(BadAnswer):
        list(events((b"x" for _ in range(2_000_000)), "test"))
    assert time.thread_time() - started < 3


def test_the_hot_path_is_fast() -> None:
    """50,000 events a second with much to spare, in chunks as a busy socket gives them and one at a time."""
    event = b'data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" tok"}}]}\n\n'
    count = 50_000
    for chunk in (event, event * 500):
        started = time.thread_time()
        found = sum(1 for _ in events((chunk for _ in range(count // (len(chunk) // len(event)))), "test"))
        assert found == count
        assert time.thread_time() - started < 0.8
    assert next(events([event], "test")) == ServerSentEvent("message", event[6:-2].decode())
