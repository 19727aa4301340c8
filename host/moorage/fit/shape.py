"""What a header says of the memory that its model takes. Pure."""

from __future__ import annotations

from dataclasses import replace

from moorage.gguf import GgufHeader

# In the words of llama.cpp, each behind `<architecture>.`.
NEEDED = ("block_count", "embedding_length", "attention.head_count")
USED = (
    *NEEDED,
    "context_length",
    "vocab_size",
    "feed_forward_length",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.key_length_mla",
    "attention.value_length_mla",
    "attention.kv_lora_rank",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.shared_kv_layers",
    "rope.dimension_count",
    "ssm.conv_kernel",
    "ssm.inner_size",
    "ssm.state_size",
    "ssm.group_count",
    "ssm.time_step_rank",
    "wkv.head_size",
    "token_shift_count",
    "full_attention_interval",
    "expert_count",
)
VOCABULARY = "tokenizer.ggml.tokens"


def suffices(header: GgufHeader) -> bool:
    """Whether nothing that is behind what was read could say more: the vocabulary comes last."""
    known = all(header.values.get(f"{header.architecture}.{name}") is not None for name in NEEDED)
    return header.whole or (known and VOCABULARY in header.counts)


def for_memory(header: GgufHeader) -> GgufHeader:
    """The header without all that has nothing to do with memory, such as its texts; small enough to be kept."""
    names = ("general.architecture", "general.file_type", "split.count")
    wanted = (*names, *(f"{header.architecture}.{name}" for name in USED))
    values = {key: header.values[key] for key in wanted if key in header.values}
    counts = {VOCABULARY: header.counts[VOCABULARY]} if VOCABULARY in header.counts else {}
    return replace(header, values=values, counts=counts)
