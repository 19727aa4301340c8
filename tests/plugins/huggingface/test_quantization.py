"""What file names say. The list is the reference's own (§3), with names seen in the wild."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_huggingface.quantization import bits, group_shards, quantization, role, shard

LABELS = {
    "phi-2.Q4_K_M.gguf": "Q4_K_M",
    "Qwen3-4B-UD-Q4_K_XL.gguf": "UD-Q4_K_XL",
    "model-IQ4_NL.gguf": "IQ4_NL",
    "x.i1-IQ3_XXS.gguf": "IQ3_XXS",
    "m-Q4_0_4_4.gguf": "Q4_0_4_4",
    "m-Q6_K_L.gguf": "Q6_K_L",
    "m-q8_0.gguf": "Q8_0",
    "ggml-model-f16.gguf": "F16",
    "m-fp16.gguf": "F16",
    "m-fp32.gguf": "F32",
    "m-bf16.gguf": "BF16",
    "Q8_0/ggml-model.gguf": "Q8_0",
    "Q8_0/parts/ggml-model.gguf": "Q8_0",
    "gpt-oss-20b-mxfp4.gguf": "MXFP4",
    "m-MXFP4_MOE.gguf": "MXFP4_MOE",
    "m-TQ1_0.gguf": "TQ1_0",
    "m-Q2_K_S.GGUF": "Q2_K_S",
    "Q4_K_M/m-00001-of-00003.gguf": "Q4_K_M",
    "m-Q5_K_S-00001-of-00002.gguf": "Q5_K_S",
    "tiny_Q4_K_M.gguf": "Q4_K_M",
    "Q3_K_L-model-Q8_0.gguf": "Q8_0",
    "BF16/m-Q4_0.gguf": "Q4_0",
    "m-Q4_K_M-imat.gguf": "Q4_K_M",
}
UNKNOWN = [
    "m-AVQ2.gguf",
    "m-PQ2_0.gguf",
    "TriLM-q4.gguf",
    "my-Q5-notes.gguf",
    "m-Q4_K.gguf",
    "m-Q4_K_XXL.gguf",
    "m-Q8_0_new.gguf",
    "mQ8_0.gguf",
    "model.gguf",
    "",
]
KNOWN = sorted(set(LABELS.values()))


@pytest.mark.parametrize(("path", "label"), LABELS.items())
def test_label(path: str, label: str) -> None:
    assert quantization(path) == label


@pytest.mark.parametrize("path", UNKNOWN)
def test_never_a_guess(path: str) -> None:
    assert quantization(path) is None


NAMES = st.text("abcdefgh0123456789", max_size=8).map(lambda text: f"m{text}z")


@given(NAMES, st.sampled_from(KNOWN), st.sampled_from("-._"), st.booleans())
def test_a_whole_word_is_found_whatever_its_case(name: str, label: str, joint: str, lower: bool) -> None:
    written = label.lower() if lower else label

    assert quantization(f"{name}{joint}{written}.gguf") == label


@given(NAMES, st.sampled_from([label for label in KNOWN if not label.startswith("UD-")]), st.text("XYZ", min_size=1))
def test_part_of_a_word_is_not(name: str, label: str, more: str) -> None:
    assert quantization(f"{name}-{more}{label}.gguf") is None
    assert quantization(f"{name}-{label}{more}.gguf") is None
    assert quantization(f"{name}-{label}_{more}.gguf") is None


@given(st.text(max_size=40))
def test_any_text_is_read_and_a_label_is_one_of_its_words(path: str) -> None:
    label = quantization(path)
    plain = path.upper().replace("FP16", "F16").replace("FP32", "F32")
    assert label is None or label in plain


@given(st.sampled_from(KNOWN))
def test_bits_are_the_first_number(label: str) -> None:
    assert bits(label) == int(re.search(r"\d+", label.removeprefix("UD-"))[0])  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("m-Q4_K_M.gguf", "model"),
        ("M-Q4_K_M.GGUF", "model"),
        ("mmproj-F16.gguf", "projector"),
        ("vision/model-mmproj-f16.gguf", "projector"),
        ("imatrix.dat", "other"),
        ("m-imatrix.gguf", "other"),
        ("mtp-m-Q8_0.gguf", "other"),
        ("eagle3-m.gguf", "other"),
        ("dflash-m.gguf", "other"),
        ("dspark-m.gguf", "other"),
        ("a/mtp-m.gguf", "other"),
        ("empty-tmp-Q8_0.gguf", "model"),
        ("config.json", "other"),
    ],
)
def test_role(path: str, expected: str) -> None:
    assert role(path) == expected


def test_shards_are_grouped_in_order_and_incomplete_sets_left_out() -> None:
    paths = [
        "b-00002-of-00002.gguf",
        "one.gguf",
        "b-00001-of-00002.gguf",
        "c-00001-of-00002.gguf",
        "q/b-00001-of-00001.gguf",
    ]
    assert group_shards(paths) == [
        ["one.gguf"],
        ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"],
        ["q/b-00001-of-00001.gguf"],
    ]
    assert shard("q/b-00003-of-00007.gguf") == ("q/b", 3, 7)
    assert shard("b-3-of-7.gguf") is None


@given(st.integers(1, 40), st.randoms())
def test_a_set_is_whole_or_not_there(total: int, random: object) -> None:
    paths = [f"m-{number:05d}-of-{total:05d}.gguf" for number in range(1, total + 1)]
    shuffled = list(paths)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group_shards(shuffled) == [paths]
    assert group_shards(shuffled[1:]) == []
