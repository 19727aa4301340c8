"""Will a file fit into this machine's memory? An estimate from its size, before anything is known of its inside.

A running model needs its weights, a cache that grows with the context length, and some working space. Without the
header of the file the cache is estimated from the weights: 10 % of them for each 4,096 tokens, at least 64 MiB.
"""

from __future__ import annotations

from moorage.models import Fit, ModelFile

MIB = 1024 * 1024
OVERHEAD = 192 * MIB
TIGHT = 0.8  # above this share of memory other programs will feel it


def estimate(file: ModelFile, *, target: str, memory: int | None, context_length: int) -> Fit:
    """`memory` in bytes, None when not known; the verdict is then unknown, with what it would need."""
    cache = max(64 * MIB, int(file.size * 0.1)) * context_length // 4096
    needs = file.size + cache + OVERHEAD
    if memory is None:
        return Fit(verdict="unknown", target=target, needs=needs, context_length=context_length)
    share = needs / memory
    verdict = "fits" if share <= TIGHT else "tight" if share <= 1 else "too-big"
    return Fit(verdict=verdict, target=target, needs=needs, has=memory, context_length=context_length)
