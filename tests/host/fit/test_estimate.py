"""Will a file fit into memory? The verdicts, and the guess where there is no header."""

from __future__ import annotations

import pytest

from moorage.fit.estimate import cache_per_token, estimate
from moorage.gguf import GgufHeader
from moorage.models import ModelFile
from tests.host.fit.test_shape import GOOD, header

GIB = 1024**3
FILE = ModelFile(name="model.Q4_K_M.gguf", size=5 * GIB)
LLAMA_8B = header(**GOOD, feed_forward_length=14_336, context_length=131_072)


@pytest.mark.parametrize(
    ("memory", "verdict"), [(16 * GIB, "fits"), (7 * GIB, "tight"), (4 * GIB, "too-big"), (None, "unknown")]
)
@pytest.mark.parametrize("known", [LLAMA_8B, None])
def test_the_verdict(known: GgufHeader | None, memory: int | None, verdict: str) -> None:
    fit = estimate(FILE, header=known, parameters=8_000_000_000, target="builtin", memory=memory, context_length=4096)
    assert (fit.verdict, fit.target, fit.has, fit.context_length) == (verdict, "builtin", memory, 4096)
    assert fit.basis == ("estimate" if known is None else "header")
    assert fit.needs is not None
    assert 5.5 * GIB < fit.needs < 6.5 * GIB


@pytest.mark.parametrize(
    ("memory", "gpu", "verdict"),
    [
        (4 * GIB, 24 * GIB, "fits"),  # in the GPU alone
        (64 * GIB, 2 * GIB, "fits"),  # without it
        (4 * GIB, 6 * GIB, "tight"),
        (5 * GIB, 4 * GIB, "tight"),  # in neither, but split between both
        (2 * GIB, 2 * GIB, "too-big"),
        (None, 24 * GIB, "fits"),
        (None, 6 * GIB, "tight"),
        (None, 2 * GIB, "unknown"),  # what else it has is not known
        (4 * GIB, None, "too-big"),
    ],
)
def test_a_gpu_counts_for_itself(memory: int | None, gpu: int | None, verdict: str) -> None:
    fit = estimate(FILE, header=LLAMA_8B, target="t", memory=memory, gpu=gpu, context_length=4096)
    assert (fit.verdict, fit.has, fit.gpu) == (verdict, memory, gpu)


def test_what_the_header_says_is_counted() -> None:
    fit = estimate(FILE, header=LLAMA_8B, target="t", memory=None, context_length=8192)
    buffers = 512 * 4 * (3 * 14_336 + 5 * 4096) + 512 * 2 * 8192
    assert fit.needs == 5 * GIB + 128 * 1024 * 8192 + buffers + 450 * 128_256 + 36 * 1024**2
    assert fit.basis == "header"


def test_the_context_is_never_longer_than_the_model_was_made_for() -> None:
    short = header(**GOOD, context_length=2048)
    asked = [estimate(FILE, header=short, target="t", memory=None, context_length=n) for n in (2048, 100_000)]
    assert asked[0] == asked[1]
    assert asked[1].context_length == 2048


def test_a_header_that_says_too_little_leaves_a_guess() -> None:
    poor = header(block_count=10**9, context_length=2048)
    fit = estimate(FILE, header=poor, target="t", memory=None, context_length=4096)
    assert fit == estimate(FILE, target="t", memory=None, context_length=2048)
    assert (fit.basis, fit.context_length) == ("estimate", 2048)


def test_what_may_be_less_is_called_an_estimate() -> None:
    windowed = header("phi3", **GOOD, attention__sliding_window=2047)
    fit = estimate(FILE, header=windowed, target="t", memory=None, context_length=4096)
    assert fit.basis == "estimate"
    assert (fit.needs or 0) > 5.5 * GIB


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


@pytest.mark.parametrize("parameters", [None, 0, -5, 2**60, 10**320])
@pytest.mark.parametrize("size", [0, 1, 10**9])
def test_odd_figures(parameters: int | None, size: int) -> None:
    file = ModelFile(name="m.gguf", size=size)
    fit = estimate(file, parameters=parameters, target="t", context_length=4096, memory=10**10)
    assert fit.needs is not None
    assert 0 < fit.needs < 10**13
