"""Just enough of GGUF: read what a header says about a model, and write a header that says it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

MAGIC = b"GGUF"
HEAD = 8 << 20  # bytes; holds the header of a small model with its whole vocabulary
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY, U32 = 8, 9, 4
FILE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S"}
FILE_TYPES |= {12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K"}
FILE_TYPES |= {19: "IQ2_XXS", 20: "IQ2_XS", 22: "IQ3_XS", 23: "IQ3_XXS", 25: "IQ4_NL", 30: "IQ4_XS", 32: "BF16"}


@dataclass
class Header:
    """What was found; `values` lacks whatever lies behind the end of a cut-off or damaged head."""

    values: dict[str, Any] = field(default_factory=dict)  # arrays as their length
    parameters: int = 0

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    def of_architecture(self, key: str) -> Any:
        return self.values.get(f"{self.architecture}.{key}")

    @property
    def quantization(self) -> str:
        return FILE_TYPES.get(self.values.get("general.file_type", -1), "unknown")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> Any:
        value = struct.unpack_from(f"<{form}", self.data, self.at)[0]
        self.at += struct.calcsize(f"<{form}")
        return value

    def text(self) -> str:
        size = self.take("Q")
        if size > len(self.data) - self.at:
            raise struct.error("cut off")
        self.at += size
        return self.data[self.at - size : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.take(SCALARS[kind])
        inner, length = self.take("I"), self.take("Q")
        if inner in SCALARS:
            self.at += struct.calcsize(f"<{SCALARS[inner]}") * length
        else:
            for _ in range(length):
                self.value(inner)
        return length


def read_header(head: bytes) -> Header:
    """Read as much of the header as `head` holds; never fails."""
    found = Header()
    if head[:4] != MAGIC:
        return found
    reader = _Reader(head)
    try:
        reader.at = 8
        tensors, pairs = reader.take("Q"), reader.take("Q")
        for _ in range(pairs):
            key = reader.text()
            found.values[key] = reader.value(reader.take("I"))
        for _ in range(tensors):
            reader.text()
            found.parameters += math.prod(reader.take("Q") for _ in range(reader.take("I")))
            reader.at += 12  # type and offset
    except (struct.error, KeyError):
        return found
    return found


def make_gguf(
    architecture: str = "llama",
    *,
    context_length: int = 8192,
    embedding_length: int = 576,
    parameters: int = 135_000_000,
    file_type: int = 15,
    extra: dict[str, str | int] | None = None,
    padding: bytes = b"",
) -> bytes:
    """A small file with a true header (its one tensor claims `parameters`) and `padding` for weights."""
    pairs: dict[str, str | int] = {
        "general.architecture": architecture,
        "general.file_type": file_type,
        f"{architecture}.context_length": context_length,
        f"{architecture}.embedding_length": embedding_length,
        f"{architecture}.block_count": 2,
        **(extra or {}),
    }
    data = MAGIC + struct.pack("<IQQ", 3, 1, len(pairs))
    for key, value in pairs.items():
        data += _text(key)
        data += struct.pack("<I", STRING) + _text(value) if isinstance(value, str) else struct.pack("<II", U32, value)
    data += _text("token_embd.weight") + struct.pack("<IQIQ", 1, parameters, 0, 0)
    return data + padding


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def human_count(count: int) -> str:
    """Parameters as Ollama writes them: `7.6B`, `134.52M`, `2B`."""
    for unit, letter, digits in ((10**12, "T", 2), (10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= unit:
            value = count / unit
            return f"{value:.0f}{letter}" if value == int(value) else f"{value:.{digits}f}{letter}"
    return str(count) if count else ""
