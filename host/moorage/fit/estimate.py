"""How much memory a model will take, told before anything of it is downloaded."""

from __future__ import annotations

import math
from typing import Literal

from moorage.gguf import GgufHeader
from moorage.models import Fit, ModelFile

Verdict = Literal["fits", "tight", "too-big", "unknown"]

MIB = 1024**2
# The process with the engine's code, and the buffers it computes in, which grow with the model.
BASE = 112 * MIB
WORKING_SHARE = 0.04
TIGHT = 0.8  # above this share of memory other programs will feel it
BITS = 4.9  # per weight, of the files most people take


def estimate(
    file: ModelFile,
    *,
    header: GgufHeader | None = None,
    parameters: int | None = None,
    target: str,
    context_length: int,
    memory: int | None,
    gpu: int | None = None,
) -> Fit:
    """Weights, the cache for `context_length` tokens, and the process around them, against `memory` and `gpu` bytes.

    `header` is the file's own, or that of the same model quantised in another way. Without one `parameters` is the
    number of weights, guessed from the size where it is None. The verdict is unknown where `memory` is.
    """
    if header is not None and header.context_length:
        context_length = min(context_length, header.context_length)
    weights = parameters or int(file.size * 8 / BITS)
    needs = BASE + int(file.size * (1 + WORKING_SHARE)) + cache_per_token(weights) * context_length
    return Fit(
        verdict=verdict(needs, memory, gpu),
        target=target,
        needs=needs,
        has=memory,
        gpu=gpu,
        context_length=context_length,
    )


def verdict(needs: int, memory: int | None, gpu: int | None) -> Verdict:
    """Into the memory or the GPU alone it fits well or tightly; into both together, split between them, tightly."""
    if memory is None and gpu is None:
        return "unknown"
    most = max(memory or 0, gpu or 0)
    if needs <= TIGHT * most:
        return "fits"
    if needs <= most or (memory and gpu and needs <= memory + gpu):
        return "tight"
    return "too-big" if memory is not None else "unknown"


def cache_per_token(parameters: int) -> int:
    """Bytes of the key and value cache, 16 bits each.

    What it really takes is in the header only. It grows about with the root of the weights: 23 KiB for 0.135 B weights,
    32 for 1.2 B, 112 for 3 B, 128 for 8 B, 320 for 70 B (SmolLM2, Llama 3). The curve lies above those.
    """
    return int(185 * 1024 * math.sqrt(parameters / 8e9))
