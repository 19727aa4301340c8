"""The header of a GGUF file, read with a bound on everything: such files come from strangers.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# Far above what published models have: about 100 entries, 2,000 tensors, 700,000 texts (a vocabulary and its merges).
MOST_ENTRIES = 4096
MOST_TENSORS = 65_536
MOST_TEXTS = 2_000_000
LONGEST_KEY = 65_535
LONGEST_TEXT = 4 * 1024 * 1024
MOST_DIMENSIONS = 4
ALIGNMENT = 32

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

# `general.file_type`, as llama.cpp numbers it (enum llama_ftype).
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    25: "IQ4_NL",
    30: "IQ4_XS",
    32: "BF16",
}


class Unreadable(ValueError):
    """The file is no readable GGUF; the text says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says; None where it does not.

    `values` has all scalar and text entries; `parameters` counts the weights in this file.
    """

    values: dict[str, Any]
    tensors: int
    parameters: int

    @property
    def architecture(self) -> str | None:
        return self._text("general.architecture")

    @property
    def kind(self) -> str | None:
        """`model`, `adapter`, `mmproj`, …"""
        return self._text("general.type")

    @property
    def quantization(self) -> str | None:
        number = self._number("general.file_type")
        return None if number is None else _FILE_TYPES.get(number)

    @property
    def context_length(self) -> int | None:
        return self._number(f"{self.architecture}.context_length") or None

    @property
    def shards(self) -> int:
        return self._number("split.count") or 1

    @property
    def calls_tools(self) -> bool:
        """Whether the chat template knows of tools."""
        return "tools" in (self._text("tokenizer.chat_template") or "")

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def _number(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def read_header(path: Path) -> Header:
    """The header of a file; Unreadable when it has none, or one that promises what no honest file has."""
    with path.open("rb") as file:
        if path.stat().st_size < 24:  # magic, version and two counts; an empty file cannot even be mapped
            raise Unreadable("it is too short")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header()


class _Reader:
    """Reads forward, never past the end of what is there."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._size = len(data)
        self._at = 0
        self._texts = 0

    def header(self) -> Header:
        if self._take(4) != MAGIC:
            raise Unreadable("it does not begin like one")
        version = self._u32()
        if version not in VERSIONS:
            big_endian = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
            why = "it is made for big-endian machines" if big_endian else f"its version {version} is not known"
            raise Unreadable(why)
        tensors, entries = self._u64(), self._u64()
        if tensors > MOST_TENSORS or entries > MOST_ENTRIES:
            raise Unreadable("its header promises more than a model can have")
        values: dict[str, Any] = {}
        for _ in range(entries):
            key = self._text(LONGEST_KEY)
            value = self._value(self._u32())
            if value is not None:
                values[key] = value
        parameters = self._tensors(tensors, values.get("general.alignment"))
        return Header(values, tensors, parameters)

    def _tensors(self, count: int, alignment: Any) -> int:
        """The number of weights; refuses a file that ends before its tensors do."""
        parameters = last = 0
        for _ in range(count):
            self._text(LONGEST_KEY)
            dimensions = self._u32()
            if dimensions > MOST_DIMENSIONS:
                raise Unreadable("a tensor in its header has too many dimensions")
            parameters += math.prod(self._u64() for _ in range(dimensions))
            self._u32()  # type
            last = max(last, self._u64())
        step = alignment if isinstance(alignment, int) and alignment > 0 else ALIGNMENT
        start = -(-self._at // step) * step
        if count and start + last >= self._size:
            raise Unreadable("it ends before its tensors do")
        return parameters

    def _value(self, kind: int) -> Any:
        """A scalar or a text; lists are passed over."""
        if kind in _SCALARS:
            form = _SCALARS[kind]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if kind == _TEXT:
            return self._text(LONGEST_TEXT)
        if kind != _ARRAY:
            raise Unreadable(f"a value in its header has the unknown type {kind}")
        item, count = self._u32(), self._u64()
        if item in _SCALARS:
            self._skip(count * struct.calcsize(_SCALARS[item]))
        elif item == _TEXT:
            self._skip_texts(count)
        else:
            raise Unreadable("a list in its header has items of an unknown type")
        return None

    def _skip_texts(self, count: int) -> None:
        self._texts += count
        if self._texts > MOST_TEXTS or count * 8 > self._size - self._at:
            raise Unreadable("a list in its header is too long")
        at, last, read = self._at, self._size - 8, _U64.unpack_from
        for _ in range(count):
            if at > last:
                raise Unreadable("its header is longer than the file")
            at += 8 + read(self._data, at)[0]
        self._at = at
        self._skip(0)

    def _text(self, longest: int) -> str:
        length = self._u64()
        if length > longest:
            raise Unreadable("a text in its header is too long")
        return self._take(length).decode("utf-8", "replace")

    def _u32(self) -> int:
        return int(_U32.unpack(self._take(4))[0])

    def _u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def _take(self, count: int) -> bytes:
        start = self._at
        self._skip(count)
        return self._data[start : self._at]

    def _skip(self, count: int) -> None:
        self._at += count
        if self._at > self._size:
            raise Unreadable("its header is longer than the file")
