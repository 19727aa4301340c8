"""The header reader: true to real files, quick to refuse false ones, and never surprised."""

from __future__ import annotations

import itertools
import re
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage import GgufHeader, UnreadableGguf, read_gguf_header
from moorage.gguf import read_gguf_prefix
from moorage.gguf.reader import MOST_ITEMS, Reader
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
    assert "tokenizer.ggml.tokens" not in header.values, "lists of texts are passed over"
    assert header.values["tokenizer.ggml.scores"] == (0.0, 1.0, 2.0)
    assert (header.counts["tokenizer.ggml.tokens"], header.vocabulary, header.whole) == (3, 3, True)


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


HOSTILE = [
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
        START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IIQ", 9, 8, 3) + struct.pack("<QQQ", HUGE, 0, 0),
        "longer than the file",
    ),
    (START + struct.pack("<QQ", 1, 0) + text("tensor") + struct.pack("<I", 2**31) + b"x" * 64, "dimensions"),
    (
        START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IIQ", 9, 4, 2**60) + b"x" * 64,
        "longer than the file",
    ),
    (
        START + struct.pack("<QQ", 0, 1) + text("key") + struct.pack("<IIQ", 9, 8, 2**60) + b"x" * 64,
        "too long",
    ),
    (START + struct.pack("<QQ", 1, 0) + text("tensor") + struct.pack("<IQQQQ", 4, *[2**62] * 4) + b"x" * 64, "larger"),
]


@pytest.mark.parametrize(("content", "reason"), HOSTILE)
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
    header = read_gguf_header(path)
    assert header.values == kept
    assert header.counts == {key: len(content) for key, content in values.items() if isinstance(content, list)}
    assert all(value(content) for content in kept.values())


# The start of a file


def test_the_start_of_the_real_small_model(small_model: Path) -> None:
    size = small_model.stat().st_size
    with small_model.open("rb") as file:
        start = file.read(64 * 1024)
    whole, header = read_gguf_header(small_model), read_gguf_prefix(start, size)
    assert not header.whole
    assert header.parameters is None
    assert header.vocabulary == whole.vocabulary == 49_152
    assert (header.architecture, header.context_length, header.tensors) == ("llama", 8192, whole.tensors)
    assert header.values.items() <= whole.values.items()
    assert "llama.attention.head_count_kv" in header.values
    assert "tokenizer.chat_template" in whole.values, "it stands behind the vocabulary"
    assert "tokenizer.chat_template" not in header.values


def test_every_start_of_a_file_is_read_as_far_as_it_goes() -> None:
    content = gguf()
    whole = read_gguf_prefix(content, len(content))
    for length in range(24, len(content)):
        header = read_gguf_prefix(content[:length], len(content))
        assert list(header.values.items()) == list(whole.values.items())[: len(header.values)]
        assert header.counts.items() <= whole.counts.items()
        assert header.whole or header.parameters is None
        assert header.parameters is None or header == whole


@pytest.mark.parametrize("content", [gguf(), gguf({**MODEL, "split.count": 2})])
def test_a_start_that_is_the_whole_is_the_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert read_gguf_prefix(content, len(content)) == read_gguf_header(path)


def test_short_lists_of_numbers_are_kept() -> None:
    layers: list[object] = [8, 4, 0, -1]
    values = {"general.architecture": "a", "a.heads": layers[:3], "a.odd": layers, "a.near": [True, False]}
    content = gguf({**values, "a.long": [7] * 1025, "a.layers": 2**40, "a.zero": 0, "a.negative": -3})
    header = read_gguf_prefix(content, len(content))
    assert header.values["a.near"] == (True, False)
    assert (header.numbers("heads"), header.numbers("odd"), header.numbers("near")) == ((8, 4, 0), None, None)
    assert "a.long" not in header.values
    assert header.counts["a.long"] == 1025
    assert (header.number("layers"), header.number("zero"), header.number("negative")) == (2**40, 0, None)


def test_what_is_kept_of_lists_is_bounded() -> None:
    content = gguf({f"a.{number}": [1] * 1024 for number in range(100)})
    header = read_gguf_prefix(content, len(content))
    assert sum(len(value) for value in header.values.values()) <= MOST_ITEMS
    assert len(header.counts) == 100


@pytest.mark.parametrize(("content", "reason"), HOSTILE)
def test_a_start_that_lies_is_refused_as_quickly(content: bytes, reason: str) -> None:
    """In a larger file some of it may be true."""
    with pytest.raises(UnreadableGguf, match=f"{reason}|too short"):
        read_gguf_prefix(content, len(content))
    for size in (len(content) + 1, 2**40, 2**63):
        refused_or_read(content, size)


SLOW = {
    "empty texts": struct.pack("<IIQ", 9, 8, 60_000) + bytes(8 * 60_000),
    "texts of one byte": struct.pack("<IIQ", 9, 8, 50_000) + (struct.pack("<Q", 1) + b"a") * 50_000,
    "one long text": struct.pack("<IQ", 8, 500_000) + b"\xff" * 500_000,
    "one long list": struct.pack("<IIQ", 9, 0, 500_000) + bytes(500_000),
}


@pytest.mark.parametrize("value", SLOW.values(), ids=SLOW.keys())
def test_half_a_megabyte_that_is_all_work_takes_no_time(value: bytes) -> None:
    content = START + struct.pack("<QQ", 0, 1) + text("key") + value
    refused_or_read(content, 2**40)


def test_half_a_megabyte_of_entries_takes_no_time() -> None:
    entries = b"".join(text(f"k{number}") + struct.pack("<IIQ", 9, 0, 100) + bytes(100) for number in range(4096))
    refused_or_read(START + struct.pack("<QQ", 65_536, 4096) + entries[: 512 * 1024], 2**40)
    tensors = (text("") + struct.pack("<IIQ", 0, 0, 0)) * 21_845
    refused_or_read(START + struct.pack("<QQ", 65_536, 0) + tensors, 2**40)


def refused_or_read(content: bytes, size: int) -> GgufHeader | None:
    """One or the other, in no more steps than there are bytes, and far sooner than anybody notices."""
    reader = Reader(content, size)
    started = time.process_time()
    try:
        return reader.header()
    except UnreadableGguf:
        return None
    finally:
        assert reader.steps <= len(content)
        assert time.process_time() - started < 0.1


@pytest.fixture(scope="module")
def real_starts(small_model: Path) -> dict[int, bytes]:
    """The start of the real model, cut within its vocabulary and before it."""
    with small_model.open("rb") as file:
        start = file.read(16 * 1024)
    return {length: start[:length] for length in (256, 1500, 4096, 16 * 1024)}


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length=st.sampled_from((256, 1500, 4096, 16 * 1024)),
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=6),
    size=st.sampled_from((98_362_432, 2**20, 2**63)),
)
def test_a_damaged_start_of_the_real_model(
    real_starts: dict[int, bytes], length: int, places: list[tuple[float, bytes]], size: int
) -> None:
    content = bytearray(real_starts[length])
    for place, change in places:
        at = 4 + int(place * (len(content) - 12))
        content[at : at + len(change)] = change
    header = refused_or_read(bytes(content), size)
    if header is not None:
        assert header.shards >= 1
        assert header.context_length is None or header.context_length > 0
        assert all(count >= 0 for count in header.counts.values())


def test_each_number_at_its_edges(real_starts: dict[int, bytes]) -> None:
    """Every field of the real header in turn: nothing, one, all bits, and what overflows."""
    start = real_starts[1500]
    edges = (0, 1, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1)
    for at, edge in itertools.product(range(4, len(start) - 8), edges):
        refused_or_read(start[:at] + struct.pack("<Q", edge) + start[at + 8 :], 98_362_432)
