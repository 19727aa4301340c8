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
# Every label of huggingface.js `gguf.ts` (§3), with the sizes that people add (`Q6_K_L`) and the file-name alias.
ENUM = [
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q2_K_S", "Q3_K_S", "Q3_K_M", "Q3_K_L"),
    *("Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"),
    *("IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M", "IQ4_XS", "IQ4_NL", "TQ1_0", "TQ2_0", "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8"),
    *("MXFP4_MOE", "NVFP4", "Q1_0", "Q2_0", "Q2_K_XL", "Q3_K_XL", "Q4_K_XL", "Q5_K_XL", "Q6_K_XL", "Q8_K_XL", "MXFP4"),
]
SIZES = ["Q2_K_L", "Q4_K_L", "Q5_K_L", "Q6_K_S", "Q6_K_M", "Q6_K_L"]
KNOWN = ENUM + SIZES
WRITTEN = {label: label for label in KNOWN} | {"FP16": "F16", "FP32": "F32"}


def slowly(path: str) -> str | None:
    """The rule once more, by hand: the last whole word that is a label, in the name, else in the nearest folder.

    A word may begin after an underscore but not end before one; `UD` in front belongs to it.
    """
    name = path[:-5] if path.lower().endswith(".gguf") else path
    for part in reversed(name.split("/")):
        words = "".join(c if c.isalnum() or c == "_" else " " if c != "-" else "-" for c in part)
        cut: list[str] = []
        for chunk in words.split(" "):
            cut += [*chunk.split("-"), ""]  # the empty one keeps `UD` and a label apart that no hyphen joins
        for at in range(len(cut) - 1, -1, -1):
            pieces = cut[at].split("_")
            for start in range(len(pieces)):
                word = "_".join(pieces[start:])
                if word.isascii() and word.upper() in WRITTEN:
                    joined = start == 0 and at > 0 and cut[at - 1].rpartition("_")[2].upper() == "UD"
                    return ("UD-" if joined else "") + WRITTEN[word.upper()]
    return None


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


@pytest.mark.parametrize("label", KNOWN)
@pytest.mark.parametrize(
    "path",
    [
        *("m-{}.gguf", "m.{}.gguf", "m_{}.gguf", "{}.gguf", "M-{}.GGUF", "{}/m.gguf", "a/{}/b/m.gguf", "{}"),
        *("m-{}-imat.gguf", "m-{}-00001-of-00003.gguf", "{}/m-00001-of-00003.gguf", "é-{}.gguf", "m ({}).gguf"),
    ],
)
def test_every_label_in_every_place(label: str, path: str) -> None:
    assert quantization(path.format(label)) == quantization(path.format(label.lower())) == label
    assert quantization(path.format(f"UD-{label}")) == f"UD-{label}"
    assert quantization(path.format(f"Q1_0-{label}")) == label


@pytest.mark.parametrize("label", KNOWN)
@pytest.mark.parametrize(
    "path", ["m{}.gguf", "m-{}new.gguf", "m-{}_new.gguf", "m-P{}.gguf", "m-é{}.gguf", "m-{}é.gguf"]
)
def test_part_of_a_word_is_no_label(label: str, path: str) -> None:
    assert quantization(path.format(label)) is None


@pytest.mark.parametrize("name", ["fp16x", "q4", "Q4_K", "Q3_K", "Q5_K", "Q8_K", "Q4_K_XXL", "PQ2_0", "AVQ2", "Q9_0"])
def test_what_is_no_label(name: str) -> None:
    """What others take for one (huggingface.js has no word boundaries): a guess is worse than nothing."""
    for path in (f"m-{name}.gguf", f"m-{name.lower()}.gguf", f"{name}/m.gguf", f"m.{name}-00001-of-00002.gguf"):
        assert quantization(path) is None


@pytest.mark.parametrize("name", ["m-Q2_\u212a.gguf", "m-IQ1_\u017f.gguf", "m-Q\u0664_0.gguf", "m-F\uff11\uff16.gguf"])
def test_letters_that_only_look_alike_are_no_label(name: str) -> None:
    assert quantization(name) is None


PREFIXES = [
    "",
    "m",
    "Qwen3-4B",
    "phi-2",
    "x.i1",
    "ggml-model",
    "AVQ2",
    "PQ",
    "my-Q5-notes",
    "TriLM-q4",
    "i1",
    "v2",
    "IQ",
    "Q",
]
SUFFIXES = ["", "imat", "new", "XXL", "v2", "00001-of-00003", "notes", "K", "4", "_", "é"]
JOINTS = ["", "-", ".", "_", "/", " ", "--"]


@given(
    st.sampled_from(PREFIXES),
    st.sampled_from(JOINTS),
    st.sampled_from(["", "UD-", "ud-", "UD_"]),
    st.sampled_from(KNOWN),
    st.booleans(),
    st.sampled_from(JOINTS),
    st.sampled_from(SUFFIXES),
    st.sampled_from(["", ".gguf", ".GGUF"]),
)
def test_the_label_or_unknown_never_another(
    before: str, left: str, unsloth: str, label: str, lower: bool, right: str, after: str, end: str
) -> None:
    path = f"{before}{left}{unsloth}{label.lower() if lower else label}{right}{after}{end}"
    found = quantization(path)
    assert found == slowly(path)
    # Glued to what stands beside it, it may be another label (`Q4_0` and `_4_4`), but always one that is written there.
    assert found is None or found in path.upper()


@given(
    st.lists(st.sampled_from([*KNOWN, "UD", "FP16", "m", "7B", "Q", "K", "_", "00001-of-00002", *JOINTS]), max_size=8)
)
def test_many_pieces_are_read_by_the_rule(pieces: list[str]) -> None:
    path = "".join(pieces)
    assert quantization(path) == quantization(path.lower()) == slowly(path)


@given(st.text("QIFBKUDMXPTNSL0123458_-./ éſ", max_size=24))
def test_any_name_is_read_by_the_rule(path: str) -> None:
    assert quantization(path) == slowly(path)


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
