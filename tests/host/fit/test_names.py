"""Which files of a repository are the same model."""

from __future__ import annotations

import pytest

from moorage.fit import same_model
from moorage.models import ModelFile


def key(name: str, label: str | None = None) -> str:
    return same_model(ModelFile(name=name, size=1, quantization=label))


@pytest.mark.parametrize(
    "files",
    [
        [("m-Q4_K_M.gguf", "Q4_K_M"), ("m-q8_0.gguf", "Q8_0"), ("m.IQ4_XS.GGUF", "IQ4_XS")],
        [("m-Q4_K_M.gguf", "Q4_K_M"), ("M-UD-Q4_K_XL.gguf", "UD-Q4_K_XL")],
        [("m-f16.gguf", "F16"), ("m-fp16.gguf", "F16"), ("m.BF16.gguf", "BF16"), ("m_FP32.gguf", "F32")],
        [("Q8_0/m.gguf", "Q8_0"), ("Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", "Q4_K_M"), ("m-Q6_K.gguf", "Q6_K")],
        [("big/m-Q4_0_4_4.gguf", "Q4_0_4_4"), ("big/m-Q4_0.gguf", "Q4_0")],
    ],
)
def test_only_the_label_differs(files: list[tuple[str, str]]) -> None:
    assert len({key(name, label) for name, label in files}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("m-7b-Q4_0.gguf", "Q4_0"), ("m-13b-Q4_0.gguf", "Q4_0")),
        (("7b/m-Q4_0.gguf", "Q4_0"), ("13b/m-Q4_0.gguf", "Q4_0")),
        (("m-q4.gguf", None), ("m-Q8_0.gguf", "Q8_0")),
        (("m-instruct-Q8_0.gguf", "Q8_0"), ("m-Q8_0.gguf", "Q8_0")),
        (("Q3_K_L-model-Q8_0.gguf", "Q8_0"), ("model-Q8_0.gguf", "Q8_0")),
    ],
)
def test_another_name_is_another_model(one: tuple[str, str | None], other: tuple[str, str | None]) -> None:
    assert key(*one) != key(*other)
