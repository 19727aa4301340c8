"""The header reader: true to real files, quick to refuse false ones, and never surprised."""

from __future__ import annotations

import re
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage import UnreadableGguf, read_gguf_header
from tests.gguf_files import MODEL, gguf, text, value

HUGE = 2**63
START = b"GGUF" + struct.pack("<I", 3)


def refused(path: Path, content: bytes) -> str:
    """Why it is refused, which must be quick."""
    path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(UnreadableGguf) as caught:
        read_gguf_header(path)
    assert time.process_time() - started < 0.1
    return str(caught.value)


def test_the_real_small_model(small_model: Path) -> None:
    started = time.process_time()
    header = read_gguf_header(small_model)
    assert time.process_time() - started < 1

    assert header.architecture == "llama"
    assert header.quantization == "Q4_1"
    assert header.context_length == 8192
    assert header.parameters == 134_515_008
    assert header.shards == 1
    assert not header.calls_tools


def test_an_honest_header(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf({**MODEL, "split.count": 3}))
    header = read_gguf_header(path)

    assert (header.architecture, header.kind, header.quantization) == ("llama", "model", "Q4_K_M")
    assert (header.context_length, header.shards, header.tensors, header.parameters) == (8192, 3, 2, 40)
    assert header.calls_tools
    assert "tokenizer.ggml.tokens" not in header.values, "lists are passed over"


def test_what_a_header_does_not_say_is_none(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf({}, tensors=()))
    header = read_gguf_header(path)
    assert (header.architecture, header.kind, header.quantization, header.context_length) == (None,) * 4
    assert (header.shards, header.parameters, header.calls_tools) == (1, 0, False)


def test_values_of_a_wrong_kind_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    wrong = {"general.architecture": 7, "general.file_type": "Q4", "split.count": True, "tokenizer.chat_template": 1}
    path.write_bytes(gguf(wrong))
    header = read_gguf_header(path)
    assert (header.architecture, header.quantization, header.shards, header.calls_tools) == (None, None, 1, False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "too short"),
        (b"GGUF", "too short"),
        (b"<html><body>Sign in to see this file</body></html>", "does not begin like one"),
        (gguf(version=1), "version 1 is not known"),
        (gguf(version=3 << 24), "big-endian"),
        (gguf(count=HUGE), "promises more"),
        (gguf(entries=HUGE), "promises more"),
        (gguf(entries=4000), "unknown type|too long|longer than the file"),
        (gguf(count=60_000), "too long|longer than the file|too many dimensions"),
        (gguf(data=b""), "ends before its tensors do"),
        (gguf()[:100], "longer than the file"),
        (START + struct.pack("<QQQ", 0, 1, HUGE), "too long"),
        (START + struct.pack("<QQQ", 0, 1, 60_000) + b"x" * 100, "longer than the file"),
        (START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<I", 99) + b"x" * 64, "unknown type 99"),
        (START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IQ", 8, HUGE), "too long"),
        (START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IIQ", 9, 4, HUGE), "longer than the file"),
        (START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IIQ", 9, 8, HUGE), "too long"),
        (START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IIQ", 9, 9, 1) + b"x" * 64, "unknown type"),
        (
            START
            + struct.pack("<QQ", 0, 1)
            + text("key")
            + struct.pack("<IIQ", 9, 8, 3)
            + struct.pack("<QQQ", HUGE, 0, 0),
            "longer than the file",
        ),
        (START + struct.pack("<QQ", 1, 0) + text("tensor") + struct.pack("<I", 2**31) + b"x" * 64, "dimensions"),
    ],
)
def test_a_dishonest_header_is_refused_at_once(tmp_path: Path, content: bytes, reason: str) -> None:
    assert re.search(reason, refused(tmp_path / "model.gguf", content))


def test_a_long_list_of_texts_is_refused_by_its_count(tmp_path: Path) -> None:
    """Two million empty texts would fit into 16 MB and keep a reader busy."""
    count = 2_000_001
    head = START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IIQ", 9, 8, count)
    assert "too long" in refused(tmp_path / "model.gguf", head + bytes(8 * count))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), honest_start=st.booleans())
def test_garbage_is_refused_or_read_but_nothing_else(tmp_path: Path, content: bytes, honest_start: bool) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(START + content if honest_start else content)
    with suppress(UnreadableGguf):
        read_gguf_header(path)


WHOLE = gguf()


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(4, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    length=st.integers(0, len(WHOLE)),
)
def test_a_damaged_header_is_refused_or_read_but_nothing_else(
    tmp_path: Path, changes: list[tuple[int, int]], length: int
) -> None:
    path = tmp_path / "model.gguf"
    content = bytearray(WHOLE)
    for position, byte in changes:
        content[position] = byte
    path.write_bytes(content[:length])
    started = time.process_time()
    try:
        header = read_gguf_header(path)
    except UnreadableGguf:
        pass
    else:
        assert header.parameters >= 0
        assert header.shards >= 1
    assert time.process_time() - started < 0.1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        # This one moves the tensors, which the writer of the tests leaves where they are; hypothesis reads its name
        # from the source.
        st.text(min_size=1, max_size=30).filter(lambda key: key != "general.alignment"),
        st.one_of(st.text(max_size=50), st.integers(0, 2**32 - 1), st.booleans(), st.lists(st.text(), min_size=1)),
        max_size=8,
    )
)
def test_what_was_written_is_read(tmp_path: Path, values: dict[str, object]) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(values))
    kept = {key: content for key, content in values.items() if not isinstance(content, list)}
    assert read_gguf_header(path).values == kept
    assert all(value(content) for content in kept.values())
