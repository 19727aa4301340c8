"""Will a file fit into memory? The estimate against what real models take."""

from __future__ import annotations

import pytest

from moorage.fit.estimate import cache_per_token, estimate
from moorage.models import ModelFile

GIB = 1024**3
FILE = ModelFile(name="model.Q4_K_M.gguf", size=5 * GIB)


@pytest.mark.parametrize(
    ("memory", "verdict"), [(16 * GIB, "fits"), (7 * GIB, "tight"), (4 * GIB, "too-big"), (None, "unknown")]
)
def test_the_verdict(memory: int | None, verdict: str) -> None:
    fit = estimate(FILE, parameters=8_000_000_000, target="builtin", memory=memory, context_length=4096)
    assert (fit.verdict, fit.target, fit.has, fit.context_length) == (verdict, "builtin", memory, 4096)
    assert fit.needs is not None
    assert 5.5 * GIB < fit.needs < 6.5 * GIB


def test_the_weights_are_guessed_from_the_size_where_they_are_not_named() -> None:
    named = estimate(FILE, parameters=8_770_000_000, target="t", context_length=4096, memory=None).needs
    guessed = estimate(FILE, parameters=None, target="t", context_length=4096, memory=None).needs
    assert guessed == pytest.approx(named, rel=0.01)


@pytest.mark.parametrize(
    ("parameters", "kib"),
    [(134_515_008, 23), (1_235_814_400, 32), (3_212_749_824, 112), (8_030_261_248, 128), (70_553_706_496, 320)],
    ids=["SmolLM2 135M", "Llama 3.2 1B", "Llama 3.2 3B", "Llama 3.1 8B", "Llama 3.1 70B"],
)
def test_the_cache_is_not_estimated_below_what_models_take(parameters: int, kib: int) -> None:
    """From their headers: layers x 2 x heads of keys and values x their length x 2 bytes."""
    assert kib <= cache_per_token(parameters) / 1024 < 2.5 * kib
