"""What headers say of memory: known models, other kinds of caches, and headers that nobody should believe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.fit.shape import MOST_KEYS, Shape, for_memory, shape_of, suffices
from moorage.gguf import GgufHeader

KIB = 1024
VOCABULARY = "tokenizer.ggml.tokens"


def header(architecture: str = "llama", vocabulary: int | None = 128_256, **numbers: Any) -> GgufHeader:
    """A header with these keys of its architecture; `_` in a name stands for `.` where it is doubled."""
    own = {f"{architecture}.{name.replace('__', '.')}": value for name, value in numbers.items()}
    counts = {} if vocabulary is None else {VOCABULARY: vocabulary}
    return GgufHeader({"general.architecture": architecture, **own}, counts, whole=False)


def of(architecture: str, layers: int, width: int, heads: Any, groups: Any = None, **more: Any) -> Shape:
    if groups is not None:
        more["attention__head_count_kv"] = groups
    found = shape_of(
        header(architecture, block_count=layers, embedding_length=width, attention__head_count=heads, **more)
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("shape", "kib"),
    [
        (of("llama", 30, 576, 9, 3), 22.5),  # SmolLM2 135M
        (of("llama", 16, 2048, 32, 8), 32),  # Llama 3.2 1B
        (of("llama", 28, 3072, 24, 8), 112),  # Llama 3.2 3B
        (of("llama", 32, 4096, 32, 8), 128),  # Llama 3.1 8B
        (of("llama", 80, 8192, 64, 8), 320),  # Llama 3.1 70B
        (of("llama", 32, 4096, 32), 512),  # Llama 2 7B: no groups
        (of("qwen3", 36, 2560, 32, 8, attention__key_length=128, attention__value_length=128), 144),  # Qwen3 4B
        (of("deci", 4, 4096, (32, 0, 32, 32), (8, 0, 8, 4)), 10),  # some layers have less, or none
    ],
)
def test_dense_models_are_exact(shape: Shape, kib: float) -> None:
    assert (shape.kept, shape.windowed, shape.state, shape.exact) == (kib * KIB, 0, 0, True)
    assert shape.cache(4096) == 4096 * kib * KIB


def test_the_cache_is_made_for_whole_pages_of_tokens() -> None:
    shape = of("llama", 32, 4096, 32, 8)
    assert shape.cache(257) == shape.cache(512) == 2 * shape.cache(256)


@pytest.mark.parametrize(
    ("pattern", "near"),
    [({}, 10), ({"attention__sliding_window_pattern": 4}, 9), ({"attention__sliding_window_pattern": 0}, 0)]
    + [
        ({"attention__sliding_window_pattern": flags}, near) for flags, near in (((True, False), 6), ((True,) * 12, 12))
    ],
)
def test_a_window_is_kept_where_the_layers_that_have_it_are_known(pattern: dict[str, Any], near: int) -> None:
    """Gemma 3: five of six layers, unless the header has other words. As the engine prints it for such a model."""
    lengths = {"attention__key_length": 256, "attention__value_length": 256}
    shape = of("gemma3", 12, 640, 4, 4, attention__sliding_window=512, **lengths, **pattern)
    assert not shape.exact
    assert (shape.kept, shape.windowed) == ((12 - near) * 4 * KIB, near * 4 * KIB)
    copies = 2 * shape.windowed * 512
    assert shape.cache(4096) == shape.kept * 4096 + shape.windowed * 1024 + copies
    assert shape.cache(512) <= (shape.kept + shape.windowed) * 512 + copies


def test_a_window_of_unknown_layers_is_not_counted_on() -> None:
    shape = of("phi3", 32, 3072, 32, 32, attention__sliding_window=2047)
    assert (shape.kept, shape.windowed, shape.exact) == (384 * KIB, 0, False)


@pytest.mark.parametrize("architecture", ["gemma3", "gpt-oss", "llama4"])
def test_without_the_key_all_is_kept_and_it_is_no_exact_figure(architecture: str) -> None:
    shape = of(architecture, 12, 640, 4, 4)
    assert (shape.windowed, shape.exact) == (0, False)
    assert shape.kept == 12 * 640 * 4


def test_lengths_of_near_layers_and_layers_that_share() -> None:
    """As Gemma 4 has them: other lengths in near layers, and last layers without a cache of their own."""
    shape = of(
        "gemma4",
        10,
        1536,
        8,
        1,
        attention__key_length=512,
        attention__value_length=512,
        attention__key_length_swa=256,
        attention__value_length_swa=256,
        attention__sliding_window=512,
        attention__sliding_window_pattern=(True, True, True, True, False),
        attention__shared_kv_layers=5,
    )
    assert (shape.kept, shape.windowed, shape.exact) == (2 * KIB, 4 * KIB, False)


def test_multi_head_latent_attention_is_at_most_keys_and_values() -> None:
    """DeepSeek V3; the engine keeps no values, older ones did."""
    shape = of(
        "deepseek2",
        61,
        7168,
        128,
        1,
        attention__key_length=576,
        attention__value_length=512,
        attention__key_length_mla=192,
        attention__value_length_mla=128,
        attention__kv_lora_rank=512,
    )
    assert (shape.kept, shape.exact) == (61 * (576 + 512) * 2, False)


def test_states_of_recurrent_layers() -> None:
    """Mamba 2.8B: 64 layers, no attention."""
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 5120, "ssm__state_size": 16, "ssm__time_step_rank": 160}
    mamba = of("mamba", 64, 2560, 0, 0, **ssm)
    assert (mamba.kept, mamba.exact) == (0, False)
    assert mamba.state == 64 * 4 * (3 * 5120 + 16 * 5120)
    assert mamba.cache(4096) == mamba.cache(512) == 3 * mamba.state

    hybrid = of("qwen3next", 48, 2048, 16, 2, full_attention_interval=4, attention__key_length=256, **ssm)
    assert hybrid.kept == 12 * 2 * (256 + 128) * 2
    assert not hybrid.exact
    jamba = of("jamba", 4, 4096, 32, (0, 0, 8, 0), **ssm)
    assert jamba.kept == 8 * 128 * 2 * 2
    assert of("rwkv7", 24, 2048, 0, 0, wkv__head_size=64, token_shift_count=2).state == 24 * 4 * 2048 * 66
    assert of("lfm2", 16, 2048, 32, (0, 8) * 8, shortconv__l_cache=3).state > 0


def test_what_reads_all_at_once_keeps_nothing() -> None:
    assert of("bert", 12, 384, 12, attention__causal=False).kept == 0
    assert of("llama", 12, 384, 12, attention__causal=True).kept == 12 * 384 * 2 * 2


def test_experts_widen_what_is_computed() -> None:
    dense = of("qwen3", 48, 2048, 32, 4, attention__key_length=128, feed_forward_length=6144)
    experts = of(
        "qwen3moe",
        48,
        2048,
        32,
        4,
        attention__key_length=128,
        feed_forward_length=6144,
        expert_count=128,
        expert_used_count=8,
        expert_feed_forward_length=768,
    )
    assert dense.exact
    assert experts.exact
    assert experts.kept == dense.kept
    assert experts.width == dense.width + 4 * 2 * 8 * 2048


def test_a_vocabulary_that_is_not_known_is_a_usual_one() -> None:
    found = shape_of(
        header(vocabulary=None, block_count=32, embedding_length=4096, attention__head_count=32, vocab_size=32_000)
    )
    assert found is not None
    assert (found.vocabulary, found.exact) == (32_000, True)
    found = shape_of(header(vocabulary=None, block_count=32, embedding_length=4096, attention__head_count=32))
    assert found is not None
    assert (found.vocabulary, found.exact) == (128_000, False)


GOOD = {"block_count": 32, "embedding_length": 4096, "attention__head_count": 32, "attention__head_count_kv": 8}


@pytest.mark.parametrize(
    "wrong",
    [
        {"block_count": 0},
        {"block_count": -1},
        {"block_count": 1025},
        {"block_count": 2**63},
        {"block_count": "32"},
        {"block_count": True},
        {"block_count": 32.0},
        {"block_count": (32,)},
        {"embedding_length": 0},
        {"embedding_length": 2**40},
        {"attention__head_count": (32,) * 31},
        {"attention__head_count": 2**32},
        {"attention__head_count_kv": -8},
        {"attention__head_count_kv": ()},
        {"attention__head_count_kv": (8.0,) * 32},
        {"attention__head_count_kv": "8"},
        {"attention__head_count_kv": 2**20},
        {"attention__key_length": 2**62},
        {"attention__value_length": 2**20},
        {"feed_forward_length": 2**50},
        {"expert_used_count": 2**40},
        {"ssm__state_size": 2**40, "ssm__inner_size": 2**40},
        {"wkv__head_size": 2**62},
    ],
)
def test_what_no_model_can_have_is_not_believed(wrong: dict[str, Any]) -> None:
    assert shape_of(header(**GOOD)) is not None
    assert shape_of(header(**{**GOOD, **wrong})) is None


def test_a_vocabulary_that_no_model_can_have_is_not_believed() -> None:
    assert shape_of(header(vocabulary=2**40, **GOOD)) is None


anything = st.one_of(
    st.integers(-2, 2**64), st.text(max_size=3), st.booleans(), st.floats(), st.lists(st.integers(0, 2**31)).map(tuple)
)


@given(
    values=st.dictionaries(
        st.sampled_from(
            [
                *GOOD,
                "attention__sliding_window",
                "attention__sliding_window_pattern",
                "attention__shared_kv_layers",
                "attention__causal",
                "attention__key_length",
                "full_attention_interval",
                "feed_forward_length",
                "expert_used_count",
                "ssm__state_size",
                "shortconv__l_cache",
                "vocab_size",
            ]
        ),
        anything,
    ),
    architecture=st.sampled_from(["llama", "gemma3", "a.b", ""]),
    tokens=st.integers(1, 2**20),
)
def test_whatever_a_header_says_the_figures_can_be_written_down(
    values: dict[str, Any], architecture: str, tokens: int
) -> None:
    found = shape_of(header(architecture, **{**GOOD, **values}))
    if found is not None:
        assert 0 <= found.cache(tokens) < 2**58
        assert 0 <= found.computing(tokens) < 2**58


def test_what_is_kept_of_a_header_is_little_and_enough() -> None:
    whole = header(**GOOD, rope__freq_base=1e6, secret_text="x" * 1000)
    whole.values.update({"tokenizer.chat_template": "y" * 1000, "general.name": "z", "general.file_type": 15})
    whole.counts["tokenizer.ggml.merges"] = 280_000
    kept = for_memory(whole)
    assert shape_of(kept) == shape_of(whole)
    assert (kept.architecture, kept.quantization, kept.vocabulary) == ("llama", "Q4_K_M", 128_256)
    assert set(kept.values) == {
        "general.architecture",
        "general.file_type",
        "llama.rope.freq_base",
        *(f"llama.{name.replace('__', '.')}" for name in GOOD),
    }
    many = for_memory(header(**{f"n{number}": number for number in range(5000)}, **{"x" * 200: 1}))
    assert len(many.values) <= MOST_KEYS + 3


def test_when_enough_was_read() -> None:
    assert suffices(header(**GOOD))
    assert not suffices(header(vocabulary=None, vocab_size=1000, **GOOD)), "more keys may follow"
    assert not suffices(header(block_count=32))
    assert suffices(GgufHeader({}, whole=True))
