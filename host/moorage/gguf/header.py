"""What the header of a GGUF file says.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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


class UnreadableGguf(ValueError):
    """The file is no readable GGUF; the text says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header of a GGUF file says; None where it does not.

    `values` has all numbers, texts and short lists of numbers, `counts` how long each list is; `parameters` counts the
    weights in this file. Of a file that was read in part `whole` is False, `parameters` None, and `values` ends where
    that part does.
    """

    values: dict[str, Any]
    counts: dict[str, int] = field(default_factory=dict)
    tensors: int = 0
    parameters: int | None = None
    whole: bool = True

    @property
    def architecture(self) -> str | None:
        return self._text("general.architecture")

    @property
    def kind(self) -> str | None:
        """`model`, `adapter`, `mmproj`, …"""
        return self._text("general.type")

    @property
    def quantization(self) -> str | None:
        number = _natural(self.values.get("general.file_type"))
        return None if number is None else _FILE_TYPES.get(number)

    @property
    def context_length(self) -> int | None:
        return self.number("context_length") or None

    @property
    def shards(self) -> int:
        return _natural(self.values.get("split.count")) or 1

    @property
    def vocabulary(self) -> int | None:
        """How many tokens it knows."""
        return self.counts.get("tokenizer.ggml.tokens") or self.number("vocab_size") or None

    @property
    def calls_tools(self) -> bool:
        """Whether the chat template knows of tools."""
        return "tools" in (self._text("tokenizer.chat_template") or "")

    def number(self, name: str) -> int | None:
        """The number `<architecture>.<name>`."""
        return _natural(self.values.get(f"{self.architecture}.{name}"))

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """The list `<architecture>.<name>`, one for each layer, if all of it are numbers."""
        found = self.values.get(f"{self.architecture}.{name}")
        if not isinstance(found, tuple) or any(_natural(item) is None for item in found):
            return None
        return found

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) else None


def _natural(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
