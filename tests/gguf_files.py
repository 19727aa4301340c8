"""GGUF headers made to measure, honest and not."""

from __future__ import annotations

import struct
from collections.abc import Sequence

MODEL: dict[str, object] = {
    "general.architecture": "llama",
    "general.type": "model",
    "general.file_type": 15,
    "llama.context_length": 8192,
    "tokenizer.ggml.tokens": ["<s>", "</s>", "hello"],
    "tokenizer.ggml.scores": [0.0, 1.0, 2.0],
    "tokenizer.chat_template": "{% if tools %}{{ tools }}{% endif %}{{ messages }}",
}


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def value(content: object) -> bytes:
    """The type and the bytes of one value."""
    match content:
        case bool():
            return struct.pack("<I?", 7, content)
        case int() if content < 0:
            return struct.pack("<Iq", 11, content)
        case int() if content >= 2**32:
            return struct.pack("<IQ", 10, content)
        case int():
            return struct.pack("<II", 4, content)
        case float():
            return struct.pack("<If", 6, content)
        case str():
            return struct.pack("<I", 8) + text(content)
        case list() if content and isinstance(content[0], str):
            return struct.pack("<IIQ", 9, 8, len(content)) + b"".join(text(str(item)) for item in content)
        case list() if content and isinstance(content[0], bool):
            return struct.pack("<IIQ", 9, 7, len(content)) + bytes(content)
        case list() if content and isinstance(content[0], int):
            return struct.pack("<IIQ", 9, 5, len(content)) + b"".join(struct.pack("<i", item) for item in content)
        case list():
            return struct.pack("<IIQ", 9, 6, len(content)) + b"".join(struct.pack("<f", item) for item in content)
    raise TypeError(content)


def gguf(
    values: dict[str, object] | None = None,
    *,
    tensors: Sequence[tuple[int, ...]] = ((4, 8), (8,)),
    version: int = 3,
    count: int | None = None,
    entries: int | None = None,
    data: bytes | None = None,
) -> bytes:
    """A whole file with 32-bit tensors of these shapes; `count` and `entries` are what it claims to have."""
    pairs = MODEL if values is None else values
    head = b"GGUF" + struct.pack("<I", version)
    head += struct.pack("<QQ", len(tensors) if count is None else count, len(pairs) if entries is None else entries)
    head += b"".join(text(key) + value(content) for key, content in pairs.items())
    offset = 0
    for number, shape in enumerate(tensors):
        head += text(f"tensor.{number}") + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", size) for size in shape) + struct.pack("<IQ", 0, offset)
        size = 4
        for length in shape:
            size *= length
        offset += -(-size // 32) * 32
    head += b"\0" * (-len(head) % 32)
    return head + (b"\0" * offset if data is None else data)
