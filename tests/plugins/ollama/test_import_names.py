"""What an imported file is called: valid for Ollama whatever the repository is called, and as a pull would call it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ModelDetail, ModelFile
from moorage_ollama.import_names import import_name
from moorage_ollama.names import name_problems, pull_name
from tests.fakes.ollama_names import Name
from tests.plugins.ollama.conftest import model_detail, model_file

LABELS = st.sampled_from([None, "Q4_K_M", "Q8_0", "q8_0", "F16", "UD-Q4_K_XL"])
TEXTS = st.one_of(st.text(min_size=1, max_size=120), st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True))
PATHS = st.lists(TEXTS, min_size=1, max_size=3).map("/".join)


@st.composite
def models(draw: st.DrawFn) -> ModelDetail:
    names = draw(st.lists(PATHS, min_size=1, max_size=5, unique_by=str.lower))
    files: list[ModelFile] = []
    for name in names:
        label = draw(LABELS)
        if draw(st.booleans()):
            shards = tuple(f"{name}-0000{number}-of-00002.gguf" for number in (1, 2))
            files.append(model_file(shards[0], label, shards=shards))
        else:
            files.append(model_file(f"{name}{draw(st.sampled_from(['', '.gguf']))}", label))
    id = "/".join(draw(st.lists(TEXTS, min_size=1, max_size=3)))
    return model_detail(id, *files, source=draw(st.sampled_from(["huggingface", "elsewhere", "m o.d", "-"])))


@given(models())
def test_it_is_always_valid_and_always_the_same(model: ModelDetail) -> None:
    for file in model.files:
        name = Name.parse(import_name(model, file))
        assert name is not None
        assert name.full == import_name(model, file)
        assert import_name(model, file) == import_name(model.model_copy(), file.model_copy())


@given(models())
def test_it_is_the_name_of_a_pull_where_one_is_possible(model: ModelDetail) -> None:
    for file in model.files:
        if model.source == "huggingface" and not name_problems(model, file):
            assert import_name(model, file) == pull_name(model, file)


@given(models())
def test_no_two_files_of_a_repository_have_one_name(model: ModelDetail) -> None:
    names = [import_name(model, file).lower() for file in model.files]
    assert len(set(names)) == len({file.name for file in model.files})


LONG = "x" * 90


@pytest.mark.parametrize(
    ("id", "file", "name"),
    [
        ("org/m", model_file("m-Q8_0.gguf", "Q8_0"), "hf.co/org/m:Q8_0"),
        ("org/m", model_file("m-Q8_0-00001-of-00003.gguf", "Q8_0", shards=("a", "b", "c")), "hf.co/org/m:Q8_0"),
        ("org/m", model_file("m-00001-of-00003.gguf", shards=("a", "b", "c")), "hf.co/org/m:m.gguf"),
        ("org/m", model_file("Q8_0/m.gguf", "Q8_0"), "hf.co/org/m:Q8_0"),
        ("org/m", model_file("gguf/m.gguf"), "hf.co/org/m:gguf-m.gguf"),
        ("org.io/m", model_file("m-Q8_0.gguf", "Q8_0"), "hf.co/org-io/m:Q8_0"),
        ("gpt2", model_file("m-Q8_0.gguf", "Q8_0"), "hf.co/library/gpt2:Q8_0"),
        ("org/m", model_file("my model.gguf"), "hf.co/org/m:my-model.gguf"),
        (f"org/{LONG}", model_file("m-Q8_0.gguf", "Q8_0"), f"hf.co/org/{'x' * 71}-efdfd9ee:Q8_0"),
    ],
)
def test_names_that_a_person_would_expect(id: str, file: ModelFile, name: str) -> None:
    assert import_name(model_detail(id, file), file) == name


def test_what_is_cut_off_still_tells_names_apart() -> None:
    file = model_file("m-Q8_0.gguf", "Q8_0")
    one, other = (import_name(model_detail(f"org/{LONG}{end}", file), file) for end in ("a", "b"))
    assert one != other
    one, other = (import_name(model_detail(f"org/{name}", file), file) for name in ("模型", "型模"))
    assert one != other


def test_a_label_that_two_files_have_names_neither() -> None:
    one, other = model_file("a/m.gguf", "Q8_0"), model_file("b/m.gguf", "Q8_0")
    model = model_detail("org/m", one, other)
    assert import_name(model, one) == "hf.co/org/m:a-m.gguf"
    assert import_name(model, other) == "hf.co/org/m:b-m.gguf"


def test_a_file_of_another_source_does_not_pretend_to_be_of_the_hub() -> None:
    file = model_file("m-Q8_0.gguf", "Q8_0")
    assert import_name(model_detail("org/m", file, source="elsewhere"), file) == "elsewhere/org/m:Q8_0"


@pytest.mark.parametrize("tag", ["cloud", "local", "7b-cloud"])
def test_no_tag_says_that_a_model_runs_elsewhere(tag: str) -> None:
    file = model_file(f"folder/{tag}")
    assert not import_name(model_detail("org/m", file), file).lower().endswith(tag)
