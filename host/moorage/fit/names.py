"""Which files of a repository are the same model, quantised in other ways. Pure."""

from __future__ import annotations

import re

from moorage.models import ModelFile

_SHARD = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)", re.IGNORECASE)
_OTHER_SPELLINGS = {"F16": "FP?16", "F32": "FP?32"}


def same_model(file: ModelFile) -> str:
    """A key that files have in common which differ in nothing but quantisation: their headers say the same of memory.

    It is the name without its label, number of shard and punctuation; a folder counts, unless it is the label.
    """
    name = _SHARD.sub("", file.name).lower().removesuffix(".gguf")
    if file.quantization:
        label = _OTHER_SPELLINGS.get(file.quantization, re.escape(file.quantization))
        name = re.sub(f"(?<![a-z0-9]){label}(?![a-z0-9_])", "", name, flags=re.IGNORECASE)
    return "/".join(word for part in name.split("/") if (word := re.sub(r"[-_. ]+", "-", part).strip("-")))
