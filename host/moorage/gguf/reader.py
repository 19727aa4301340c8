"""The reader of GGUF headers, with a bound on everything: such files come from strangers."""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any

from moorage.gguf.header import GgufHeader, UnreadableGguf

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SHORTEST = 24  # magic, version and two counts
# Far above what published models have: about 100 entries, 2,000 tensors, 700,000 texts (a vocabulary and its merges).
MOST_ENTRIES = 4096
MOST_TENSORS = 65_536
MOST_TEXTS = 2_000_000
LONGEST_KEY = 65_535
LONGEST_TEXT = 4 * 1024 * 1024
MOST_DIMENSIONS = 4
LARGEST_TENSOR = 2**48
ALIGNMENT = 32
# Lists of numbers that are kept: those with one item for each layer.
LONGEST_LIST = 1024
MOST_ITEMS = 16 * LONGEST_LIST

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


class _CutOff(Exception):
    """What comes next is not in the part of the file that is here."""


def read_gguf_header(path: Path) -> GgufHeader:
    """The header of a file; UnreadableGguf when it has none, or one that promises what no honest file has."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if not size:  # it cannot even be mapped
            raise UnreadableGguf("it is too short")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return Reader(data, len(data)).header()


def read_gguf_prefix(data: bytes, size: int) -> GgufHeader:
    """What the first bytes of a file of `size` bytes say of it; UnreadableGguf as for a whole file.

    Texts and lists that reach beyond `data` end the reading; how long such a list is has been read by then.
    """
    return Reader(data, size).header()


class Reader:
    """Reads forward, never past the end of what is there. `steps` counts what it does, one for each thing it reads."""

    def __init__(self, data: bytes | mmap.mmap, size: int) -> None:
        self.steps = 0
        self._data = data
        self._here = len(data)
        self._size = size
        self._at = 0
        self._texts = 0
        self._items = 0
        self._counts: dict[str, int] = {}

    def header(self) -> GgufHeader:
        if min(self._here, self._size) < SHORTEST:
            raise UnreadableGguf("it is too short")
        if self._take(4) != MAGIC:
            raise UnreadableGguf("it does not begin like one")
        version = self._u32()
        if version not in VERSIONS:
            big_endian = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
            why = "it is made for big-endian machines" if big_endian else f"its version {version} is not known"
            raise UnreadableGguf(why)
        tensors, entries = self._u64(), self._u64()
        if tensors > MOST_TENSORS or entries > MOST_ENTRIES:
            raise UnreadableGguf("its header promises more than a model can have")
        values: dict[str, Any] = {}
        whole, parameters = False, None
        try:
            for _ in range(entries):
                key = self._text(LONGEST_KEY)
                value = self._value(key, self._u32())
                if value is not None:
                    values[key] = value
            whole = True
            parameters = self._tensors(tensors, values.get("general.alignment"))
        except _CutOff:
            pass
        return GgufHeader(values, self._counts, tensors, parameters, whole)

    def _tensors(self, count: int, alignment: Any) -> int:
        """The number of weights; refuses a file that ends before its tensors do."""
        parameters = last = 0
        for _ in range(count):
            self._text(LONGEST_KEY)
            dimensions = self._u32()
            if dimensions > MOST_DIMENSIONS:
                raise UnreadableGguf("a tensor in its header has too many dimensions")
            weights = math.prod(self._u64() for _ in range(dimensions))
            if weights > LARGEST_TENSOR:
                raise UnreadableGguf("a tensor in its header is larger than any can be")
            parameters += weights
            self._u32()  # type
            last = max(last, self._u64())
        step = alignment if isinstance(alignment, int) and alignment > 0 else ALIGNMENT
        start = -(-self._at // step) * step
        if count and start + last >= self._size:
            raise UnreadableGguf("it ends before its tensors do")
        return parameters

    def _value(self, key: str, kind: int) -> Any:
        """A number, a text or a short list of numbers; other lists are counted and passed over."""
        if kind in _SCALARS:
            return self._numbers(_SCALARS[kind], 1)[0]
        if kind == _TEXT:
            return self._text(LONGEST_TEXT)
        if kind != _ARRAY:
            raise UnreadableGguf(f"a value in its header has the unknown type {kind}")
        item, count = self._u32(), self._u64()
        if item in _SCALARS:
            self._count(key, count, struct.calcsize(_SCALARS[item]))
            if count <= LONGEST_LIST and self._items + count <= MOST_ITEMS:
                self._items += count
                return self._numbers(_SCALARS[item], count)
            self._skip(count * struct.calcsize(_SCALARS[item]))
        elif item == _TEXT:
            self._count(key, count, 8)
            self._skip_texts(count)
        else:
            raise UnreadableGguf("a list in its header has items of an unknown type")
        return None

    def _count(self, key: str, count: int, width: int) -> None:
        if count * width > self._size - self._at:
            raise UnreadableGguf("a list in its header is too long: it would be longer than the file")
        self._counts[key] = count

    def _skip_texts(self, count: int) -> None:
        self._texts += count
        if self._texts > MOST_TEXTS:
            raise UnreadableGguf("a list in its header is too long")
        at, last, read = self._at, self._here - 8, _U64.unpack_from
        for number in range(count):
            if at > last:
                self.steps += number
                self._at = at
                self._skip(8)  # which is not there
            at += 8 + read(self._data, at)[0]
        self.steps += count
        self._at = at
        self._skip(0)

    def _text(self, longest: int) -> str:
        length = self._u64()
        if length > longest:
            raise UnreadableGguf("a text in its header is too long")
        return self._take(length).decode("utf-8", "replace")

    def _numbers(self, form: str, count: int) -> tuple[Any, ...]:
        form = f"<{count}{form}"
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _u32(self) -> int:
        return int(_U32.unpack(self._take(4))[0])

    def _u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def _take(self, count: int) -> bytes:
        start = self._at
        self._skip(count)
        return self._data[start : self._at]

    def _skip(self, count: int) -> None:
        self.steps += 1
        self._at += count
        if self._at > self._size:
            raise UnreadableGguf("its header is longer than the file")
        if self._at > self._here:
            raise _CutOff
