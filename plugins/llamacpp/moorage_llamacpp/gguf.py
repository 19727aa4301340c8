"""The header of a GGUF file, read with a bound on everything: such files come from strangers.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_ENTRIES = 65_536
MAX_TENSORS = 1_000_000
MAX_KEY = 1024
MAX_TEXT = 4 * 1024 * 1024
MAX_ITEMS = 8_000_000
MAX_HEADER = 256 * 1024 * 1024
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9


class NotGguf(ValueError):
    """The file is no readable GGUF; the text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says; None where it does not. `values` has all scalar and text entries."""

    values: dict[str, Any]
    tensors: int

    @property
    def architecture(self) -> str | None:
        value = self.values.get("general.architecture")
        return value if isinstance(value, str) else None

    def of_architecture(self, key: str) -> int | None:
        value = self.values.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and value > 0 else None

    @property
    def context_length(self) -> int | None:
        return self.of_architecture("context_length")

    @property
    def calls_tools(self) -> bool:
        """Whether the chat template knows of tools."""
        template = self.values.get("tokenizer.chat_template")
        return isinstance(template, str) and "tools" in template


def read_header(path: Path) -> Header:
    """The header of a file; NotGguf when it is none, or promises what no honest file has."""
    with path.open("rb") as file:
        reader = _Reader(file, min(path.stat().st_size, MAX_HEADER))
        if reader.take(4) != MAGIC:
            raise NotGguf("it does not begin like a GGUF file")
        version = reader.number("<I")
        if version not in VERSIONS:
            raise NotGguf(f"its version {version} is not known")
        tensors, entries = reader.number("<Q"), reader.number("<Q")
        if tensors > MAX_TENSORS or entries > MAX_ENTRIES:
            raise NotGguf("its header promises more than a model can have")
        values: dict[str, Any] = {}
        for _ in range(entries):
            key = reader.text(MAX_KEY)
            value = reader.value(reader.number("<I"))
            if value is not None:
                values[key] = value
        return Header(values, tensors)


class _Reader:
    """Reads forward, never past the end of what is there."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def take(self, count: int) -> bytes:
        self._spend(count)
        data = self._file.read(count)
        if len(data) != count:
            raise NotGguf("it ends in the middle of its header")
        return data

    def skip(self, count: int) -> None:
        self._spend(count)
        self._file.seek(count, 1)

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, longest: int) -> str:
        length = self.number("<Q")
        if length > longest:
            raise NotGguf("a text in its header is too long")
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """A scalar or a text; arrays are passed over."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _TEXT:
            return self.text(MAX_TEXT)
        if kind != _ARRAY:
            raise NotGguf(f"a value in its header has the unknown type {kind}")
        item, count = self.number("<I"), self.number("<Q")
        if count > MAX_ITEMS:
            raise NotGguf("a list in its header is too long")
        if item in _SCALARS:
            self.skip(count * struct.calcsize(_SCALARS[item]))
        elif item == _TEXT:
            for _ in range(count):
                length = self.number("<Q")
                if length > MAX_TEXT:
                    raise NotGguf("a text in its header is too long")
                self.skip(length)
        else:
            raise NotGguf("a list in its header has items of an unknown type")
        return None

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise NotGguf("its header is longer than the file")
