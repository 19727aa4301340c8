"""What a GGUF file's name says: its quantisation, its role, its shards. Pure.

Source: the enum of huggingface.js `gguf.ts`; llama.cpp's `tools` for the roles of files. Unlike their expressions this
reader takes whole words only, so that it never guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Role = Literal["model", "projector", "other"]

_LABEL = (
    r"(?:UD-)?(?:"
    r"BF16|FP?16|FP?32"
    r"|TQ[12]_0|Q[12]_0"
    r"|IQ1_[SM]|IQ2_(?:XXS|XS|S|M)|IQ3_(?:XXS|XS|S|M)|IQ4_(?:XS|NL)"
    r"|Q4_0_(?:4_4|4_8|8_8)|Q[45]_[01]|Q8_0"
    r"|Q2_K(?:_(?:S|L|XL))?|Q[345]_K_(?:S|M|L|XL)|Q6_K(?:_(?:S|M|L|XL))?|Q8_K_XL"
    r"|MXFP4_MOE|MXFP4|NVFP4"
    r")"
)
# `model_Q8_0` has a word of its own behind the underscore, `Q8_0_new` has not: sizes such as `_L` are joined that way.
# Letters of any script are part of a word, but only ASCII ones make a label: K is also the sign of the kelvin.
_QUANT = re.compile(rf"(?<![^\W_])(?a:{_LABEL})(?!\w)", re.IGNORECASE)
_ALIASES = {"FP16": "F16", "FP32": "F32"}
_SHARD = re.compile(r"(?P<base>.*?)-(?P<number>[0-9]{5})-of-(?P<total>[0-9]{5})\.gguf", re.IGNORECASE | re.DOTALL)
_DRAFT = re.compile(r"^(?:mtp|eagle3|dflash|dspark)-", re.IGNORECASE)
_BITS = re.compile(r"(?:BF|F)(\d+)|\D*?(\d)")


def quantization(path: str) -> str | None:
    """The label of a file (`Q4_K_M`, `UD-Q4_K_XL`) from its name, else from its nearest folder; None for neither."""
    name = path[:-5] if path.lower().endswith(".gguf") else path
    for word in reversed(name.split("/")):
        found = _QUANT.findall(word)
        if found:
            label: str = found[-1].upper()
            return _ALIASES.get(label, label)
    return None


def bits(label: str) -> int:
    """About how many bits a weight takes, for the order of labels: 4 for `IQ4_XS`, 16 for `BF16`; 0 when unknown."""
    match = _BITS.match(label.upper().removeprefix("UD-"))
    return int(match[1] or match[2]) if match else 0


def role(path: str) -> Role:
    """What a file is for; only `model` can be installed by itself."""
    name = path.rpartition("/")[2].lower()
    if not name.endswith(".gguf") or "imatrix" in name or _DRAFT.match(name):
        return "other"
    return "projector" if "mmproj" in name else "model"


def shard(path: str) -> tuple[str, int, int] | None:
    """(what the shards of one file have in common, number, total) of a shard; None for a whole file."""
    match = _SHARD.fullmatch(path)
    return (match["base"], int(match["number"]), int(match["total"])) if match else None


def group_shards(paths: Iterable[str]) -> list[list[str]]:
    """The paths, with the shards of one file together and in order; an incomplete set is left out."""
    groups: dict[tuple[str, int], list[tuple[int, str]]] = {}
    whole: list[list[str]] = []
    for path in paths:
        part = shard(path)
        if part is None:
            whole.append([path])
        else:
            groups.setdefault((part[0], part[2]), []).append((part[1], path))
    for (_, total), parts in groups.items():
        if sorted(number for number, _ in parts) == list(range(1, total + 1)):
            whole.append([path for _, path in sorted(parts)])
    return whole
