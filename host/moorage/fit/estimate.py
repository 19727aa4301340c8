"""How much memory a model will take, told before anything of it is downloaded. Pure."""

from __future__ import annotations

import math
from typing import Literal

from moorage.fit.shape import Shape, shape_of
from moorage.gguf import GgufHeader
from moorage.models import Fit, ModelFile

Verdict = Literal["fits", "tight", "too-big", "unknown"]

MIB = 1024**2
TIGHT = 0.8  # above this share of memory other programs will feel it
# Measured with the built-in engine: its process with its libraries, and what it makes of each token of a vocabulary.
PROCESS = 36 * MIB
PER_TOKEN = 450
# Without a header: the process, and the buffers it computes in, which grow with the model.
BASE = 112 * MIB
WORKING_SHARE = 0.04
MOST_WEIGHTS = 2**50  # what is beyond is not believed
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

    `header` is the file's own, or that of the same model quantised in another way; with one that says all of the cache
    `basis` is `header`, and the result within 5 % of what the built-in engine takes at most while it answers. Pages of
    the file that it has copied are not counted: the system takes them back. Without a header the cache is a guess, not
    below what models take, from the number of weights, `parameters`, or from the size where that is None.
    """
    if header is not None and header.context_length:
        context_length = min(context_length, header.context_length)
    shape = shape_of(header) if header is not None else None
    needs = file.size
    if shape is not None:
        needs += beside_weights(shape, context_length)
    else:
        known = parameters is not None and 0 < parameters <= MOST_WEIGHTS
        weights = parameters if parameters and known else max(1, int(file.size * 8 / BITS))
        needs += BASE + int(file.size * WORKING_SHARE) + cache_per_token(weights) * context_length
    return Fit(
        verdict=verdict(needs, memory, gpu),
        target=target,
        needs=needs,
        has=memory,
        gpu=gpu,
        context_length=context_length,
        basis="header" if shape is not None and shape.exact else "estimate",
    )


def beside_weights(shape: Shape, context_length: int) -> int:
    """Bytes that a model takes beside its weights."""
    overhead = PROCESS + PER_TOKEN * shape.vocabulary
    return shape.cache(context_length) + shape.computing(context_length) + overhead


def verdict(needs: int, memory: int | None, gpu: int | None) -> Verdict:
    """What fits into the memory or into the GPU alone fits well or tightly; what has to be split between both, tightly.

    A target whose memory is not known may still have enough where its GPU has not.
    """
    largest = max(memory or 0, gpu or 0)
    if not largest:
        return "unknown"
    if needs <= TIGHT * largest:
        return "fits"
    if needs <= (memory or 0) + (gpu or 0):
        return "tight"
    return "too-big" if memory else "unknown"


def cache_per_token(parameters: int) -> int:
    """Bytes of the key and value cache, 16 bits each, where no header says them.

    It grows about with the root of the weights: 23 KiB for 0.135 B weights, 32 for 1.2 B, 112 for 3 B, 128 for 8 B, 320
    for 70 B (SmolLM2, Llama 3). The curve lies above those.
    """
    return int(185 * 1024 * math.sqrt(parameters / 8e9))
