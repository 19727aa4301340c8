"""What a header says of the memory that its model takes beside its weights. Pure.

Source: llama.cpp's `llama-hparams.cpp`, `llama-kv-cache*.cpp` and `models/`; the keys of a header are its names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from moorage.gguf import GgufHeader

NEEDED = ("block_count", "embedding_length", "attention.head_count")
VOCABULARY = "tokenizer.ggml.tokens"
# Far above what published models have: what is beyond is not believed.
MOST_LAYERS = 1024
MOST_NUMBERS = 2**20
MOST_PER_TOKEN = 2**28
MOST_STATE = 2**40
MOST_VOCABULARY = 2**23
MOST_KEYS = 200
LONGEST_KEY = 100

HALF, SINGLE = 2, 4  # bytes of the numbers in the cache, and of those that are computed with
BATCH = 512  # tokens that are read at a time
PADDING = 256  # the cache is made for a multiple of so many tokens
COPY_STEP = 8192  # tokens between two copies of what cannot be rolled back; the last two are closer
MOST_COPIES = 32
USUAL_VOCABULARY = 128_000

# One layer in so many looks at all tokens; where the header does not say it, the code of the engine does.
_PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "olmo2": 4, "exaone4": 4, "afmoe": 4}
_HAVE_WINDOWS_UNSAID = frozenset({*_PATTERNS, "llama4"})
# Keys that change nothing of how much is kept. Where a header has others the result is not taken for exact.
_PLAIN = frozenset(
    f"attention.{name}"
    for name in (
        "head_count",
        "head_count_kv",
        "key_length",
        "value_length",
        "layer_norm_epsilon",
        "layer_norm_rms_epsilon",
        "clamp_kqv",
        "max_alibi_bias",
        "scale",
        "output_scale",
        "temperature_length",
        "temperature_scale",
    )
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What one model takes, in bytes.

    `kept` for each token; `windowed` for each of the last `window` tokens only; `state` once, however many tokens;
    `width` for each token that is computed at a time. Where `exact` is False it takes that much at most.
    """

    kept: int
    windowed: int
    window: int
    state: int
    width: int
    vocabulary: int
    exact: bool

    def cache(self, tokens: int) -> int:
        """What is kept of so many tokens. The server keeps copies of windows and states, to be able to go back."""
        cells = _padded(tokens)
        window = min(cells, _padded(self.window + BATCH))
        copies = min(MOST_COPIES, 2 + tokens // COPY_STEP)
        copied = self.windowed * min(self.window, tokens) + self.state
        return self.kept * cells + self.windowed * window + self.state + copies * copied

    def computing(self, tokens: int) -> int:
        """The buffers of one step: the numbers of a batch, and which of its tokens look at which others."""
        return BATCH * (self.width + HALF * _padded(tokens))


def shape_of(header: GgufHeader) -> Shape | None:
    """None where the header does not say enough, or says what no model can have."""
    layers, width = header.number("block_count"), header.number("embedding_length")
    if not layers or layers > MOST_LAYERS or not width:
        return None
    heads = _per_layer(header, "attention.head_count", layers)
    groups = _per_layer(header, "attention.head_count_kv", layers) if _has(header, "attention.head_count_kv") else heads
    if heads is None or groups is None:
        return None
    usual = width // max(heads) if max(heads) else 0
    key, value = (header.number(f"attention.{name}_length") or usual for name in ("key", "value"))
    near = sum(
        header.number(f"attention.{name}_length_swa") or usual for name, usual in (("key", key), ("value", value))
    )
    if max(width, *heads, *groups, key, value, near) > MOST_NUMBERS or (header.vocabulary or 0) > MOST_VOCABULARY:
        return None
    keeps, is_near = _keeps(header, layers), _is_near(header)
    per_token = [HALF * group * (near if is_near(layer) else key + value) for layer, group in enumerate(groups)]
    state, numbers = _state(header, width) * layers, SINGLE * _numbers(header, width, max(heads) * key)
    if max(sum(per_token), numbers) > MOST_PER_TOKEN or state > MOST_STATE:
        return None
    return Shape(
        kept=sum(size for layer, size in enumerate(per_token) if keeps(layer) and not is_near(layer)),
        windowed=sum(size for layer, size in enumerate(per_token) if keeps(layer) and is_near(layer)),
        window=header.number("attention.sliding_window") or 0,
        state=state,
        width=numbers,
        vocabulary=header.vocabulary or USUAL_VOCABULARY,
        exact=header.vocabulary is not None and _is_plain(header),
    )


def suffices(header: GgufHeader) -> bool:
    """Whether nothing behind what was read could say more: the vocabulary comes last."""
    return header.whole or (VOCABULARY in header.counts and all(_has(header, name) for name in NEEDED))


def for_memory(header: GgufHeader) -> GgufHeader:
    """The header without its texts, and without what is too much to be kept of many."""
    own = [name for name, value in _own(header) if not isinstance(value, str) and len(name) <= LONGEST_KEY]
    keys = ["general.file_type", "split.count", *(f"{header.architecture}.{name}" for name in own[:MOST_KEYS])]
    values = {key: header.values[key] for key in keys if key in header.values}
    if header.architecture and len(header.architecture) <= LONGEST_KEY:
        values["general.architecture"] = header.architecture
    counts = {VOCABULARY: header.counts[VOCABULARY]} if VOCABULARY in header.counts else {}
    return replace(header, values=values, counts=counts)


def _keeps(header: GgufHeader, layers: int) -> Callable[[int], bool]:
    """Which layers have a cache of their own."""
    if header.values.get(f"{header.architecture}.attention.causal") is False:
        return lambda layer: False  # it reads all at once, and keeps nothing for later
    own = layers - (header.number("attention.shared_kv_layers") or 0)
    every = header.number("full_attention_interval") or 1
    return lambda layer: layer < own and (layer + 1) % every == 0


def _is_near(header: GgufHeader) -> Callable[[int], bool]:
    """Which layers look at the window only; none where that is not known, which is the most that it can take."""
    pattern = header.values.get(f"{header.architecture}.attention.sliding_window_pattern")
    if pattern is None:
        pattern = _PATTERNS.get(header.architecture or "")
    if not header.number("attention.sliding_window") or isinstance(pattern, bool) or not pattern:
        return lambda layer: False
    if isinstance(pattern, tuple):
        return lambda layer: bool(pattern[layer % len(pattern)])
    return lambda layer: isinstance(pattern, int) and layer % pattern < pattern - 1


def _state(header: GgufHeader, width: int) -> int:
    """What a layer without attention takes, in bytes: of the kinds Mamba, RWKV and LFM2."""
    kernel, inner, states, groups = (
        header.number(f"ssm.{name}") or 0 for name in ("conv_kernel", "inner_size", "state_size", "group_count")
    )
    numbers = max(0, kernel - 1) * (inner + 2 * groups * states) + states * inner
    numbers += width * ((header.number("wkv.head_size") or 0) + (header.number("token_shift_count") or 0))
    numbers += width * (header.number("shortconv.l_cache") or 0)
    return SINGLE * numbers


def _numbers(header: GgufHeader, width: int, attention: int) -> int:
    """Numbers for each token that is computed, as measured: gate, up and their product, and five times the width."""
    lists = header.numbers("feed_forward_length")
    inner = max(lists) if lists else header.number("feed_forward_length") or 4 * width
    used = header.number("expert_used_count") or 0
    inner = max(inner, used * (header.number("expert_feed_forward_length") or 0))
    return 3 * max(inner, attention) + (5 + 2 * used) * width


def _is_plain(header: GgufHeader) -> bool:
    """Whether every layer keeps keys and values of every token, as far as the names of the keys tell."""
    if header.architecture in _HAVE_WINDOWS_UNSAID:
        return False
    named = {name for name, _ in _own(header) if "." in name and not name.startswith("rope.")}
    return named <= _PLAIN and not _has(header, "full_attention_interval")


def _per_layer(header: GgufHeader, name: str, layers: int) -> tuple[int, ...] | None:
    number = header.number(name)
    if number is not None:
        return (number,) * layers
    numbers = header.numbers(name)
    return numbers[:layers] if numbers is not None and len(numbers) >= layers else None


def _own(header: GgufHeader) -> Iterator[tuple[str, Any]]:
    """The keys of the architecture, without its name."""
    start = f"{header.architecture}."
    for key, value in header.values.items():
        if key.startswith(start):
            yield key.removeprefix(start), value


def _has(header: GgufHeader, name: str) -> bool:
    return f"{header.architecture}.{name}" in header.values


def _padded(tokens: int) -> int:
    return -(-tokens // PADDING) * PADDING
