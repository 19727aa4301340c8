"""How much memory a model will take, told before anything of it is downloaded."""

from __future__ import annotations

import math

from moorage.models import Fit, ModelFile

MIB = 1024**2
# The process with the engine's code, and the buffers it computes in, which grow with the model.
BASE = 112 * MIB
WORKING_SHARE = 0.04
TIGHT = 0.8  # above this share of memory other programs will feel it
BITS = 4.9  # per weight, of the files most people take


def estimate(file: ModelFile, *, parameters: int | None, target: str, context_length: int, memory: int | None) -> Fit:
    """Weights, the cache for `context_length` tokens, and the process around them, against `memory` bytes.

    `parameters` is the number of weights, guessed from the size where it is None. The verdict is unknown where
    `memory` is.
    """
    weights = parameters or int(file.size * 8 / BITS)
    needs = BASE + int(file.size * (1 + WORKING_SHARE)) + cache_per_token(weights) * context_length
    if memory is None:
        return Fit(verdict="unknown", target=target, needs=needs, context_length=context_length)
    share = needs / memory
    verdict = "fits" if share <= TIGHT else "tight" if share <= 1 else "too-big"
    return Fit(verdict=verdict, target=target, needs=needs, has=memory, context_length=context_length)


def cache_per_token(parameters: int) -> int:
    """Bytes of the key and value cache, 16 bits each.

    What it really takes is in the header only. It grows about with the root of the weights: 23 KiB for 0.135 B weights,
    32 for 1.2 B, 112 for 3 B, 128 for 8 B, 320 for 70 B (SmolLM2, Llama 3). The curve lies above those.
    """
    return int(185 * 1024 * math.sqrt(parameters / 8e9))
