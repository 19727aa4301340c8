"""Which files of the Hub an Ollama server can pull, under which name, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import Gate, InstallPlan, InstallRequest, ModelDetail, ModelFile, Provider
from moorage_ollama.config import OllamaProvider
from moorage_ollama.names import same_name
from moorage_ollama.plugin import OllamaPlugin
from tests.plugins.ollama.conftest import model_detail, model_file

TARGET = Provider(id="p", name="Ollama", type="ollama", config=OllamaProvider())


def planned(model: ModelDetail, file: ModelFile, **fields: Any) -> InstallPlan:
    return OllamaPlugin().plan_install(InstallRequest(target=TARGET, model=model, file=file, **fields))


def test_the_tag_is_the_quantisation() -> None:
    file = model_file("m-Q4_K_M.gguf", "Q4_K_M", size=123)
    plan = planned(model_detail("org/m-GGUF", file, model_file("m-Q8_0.gguf", "Q8_0")), file)
    assert plan.ok
    assert (plan.name, plan.road, plan.bytes) == ("hf.co/org/m-GGUF:Q4_K_M", "pull", 123)
    assert plan.disk.free is None  # it is the server's disk, and may be far away
    assert plan.note is None


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        # The label would be ambiguous, or the Hub would read another one: the file name is never wrong.
        ((("m-UD-Q4_K_M.gguf", "UD-Q4_K_M"), ("m-Q4_K_M.gguf", "Q4_K_M")), ("UD-Q4_K_M", "m-Q4_K_M.gguf")),
        ((("a-Q8_0.gguf", "Q8_0"), ("b-Q8_0.gguf", "Q8_0")), ("a-Q8_0.gguf", "b-Q8_0.gguf")),
        ((("m-fp16.gguf", "F16"),), ("m-fp16.gguf",)),
        ((("m-Q4_0_4_4.gguf", "Q4_0_4_4"), ("m-Q4_0.gguf", "Q4_0")), ("m-Q4_0_4_4.gguf", "m-Q4_0.gguf")),
        ((("TriLM-q4.gguf", None),), ("TriLM-q4.gguf",)),
        ((("m-q5_k_m.gguf", "Q5_K_M"),), ("Q5_K_M",)),
    ],
)
def test_the_tag_names_one_file_only(names: tuple[tuple[str, str | None], ...], wanted: tuple[str, ...]) -> None:
    files = [model_file(name, label) for name, label in names]
    model = model_detail("org/m", *files)
    assert tuple(planned(model, file).name.removeprefix("hf.co/org/m:") for file in files) == wanted


LONG = "x" * 90


@pytest.mark.parametrize(
    ("id", "file", "code", "words"),
    [
        ("org/m", model_file("m-00001-of-00002.gguf", shards=("a", "b")), "sharded", "2 parts"),
        ("org/m", model_file("Q8_0/m.gguf", "Q8_0"), "folder", "folders"),
        ("org/m", model_file(f"{LONG}.gguf"), "name-too-long", "95 characters"),
        (f"org/{LONG}", model_file("m-Q8_0.gguf", "Q8_0"), "name-too-long", "90 characters"),
        ("org.io/m", model_file("m-Q8_0.gguf", "Q8_0"), "name", "dot"),
        ("gpt2", model_file("m-Q8_0.gguf", "Q8_0"), "name", "owner/name"),
        ("org/m", model_file("my model.gguf"), "name", "characters"),
        ("org/m", model_file("mmproj-m.gguf", role="projector"), "not-a-model", "not a model"),
    ],
)
def test_what_ollama_cannot_pull_is_said_before_it_is_tried(id: str, file: ModelFile, code: str, words: str) -> None:
    plan = planned(model_detail(id, file), file)
    assert [problem.code for problem in plan.problems] == [code]
    assert words in plan.problems[0].message
    assert plan.problems[0].hint is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"gated": "auto", "gate": Gate(state="open")},  # open to us, not to Ollama
        {"gate": Gate(state="sign-in")},
        {"gated": "manual", "gate": Gate(state="accept-licence")},
    ],
)
def test_a_gate_stands_in_the_way_whatever_our_own_token_may(fields: dict[str, Any]) -> None:
    file = model_file("m-Q8_0.gguf", "Q8_0")
    plan = planned(model_detail("org/m", file, **fields), file)
    assert [problem.code for problem in plan.problems] == ["gated"]
    asked_for = planned(model_detail("org/m", file, **fields), file, road="pull")  # the server's key may be known
    assert asked_for.ok
    assert "own key" in (asked_for.note or "")


def test_the_road_that_is_not_there_yet_is_refused_plainly() -> None:
    file = model_file("m-Q8_0.gguf", "Q8_0")
    plan = planned(model_detail("org/m", file), file, road="import")
    assert [problem.code for problem in plan.problems] == ["no-such-road"]


def test_another_source_cannot_be_pulled_from() -> None:
    file = model_file("m-Q8_0.gguf", "Q8_0")
    plan = planned(model_detail("org/m", file, source="elsewhere"), file)
    assert [problem.code for problem in plan.problems] == ["not-from-the-hub"]


def test_a_mirror_is_said_to_be_passed_by() -> None:
    file = model_file("m-Q8_0.gguf", "Q8_0")
    plan = planned(model_detail("org/m", file, url="https://mirror.example/org/m"), file)
    assert plan.ok
    assert "mirror" in (plan.note or "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("hf.co/Org/M:Q8_0", "hf.co/org/m:q8_0", True),
        ("tiny", "registry.ollama.ai/library/tiny:latest", True),
        ("hf.co/org/m", "hf.co/org/m:latest", True),
        ("hf.co/org/m:Q8_0", "hf.co/org/m:Q4_0", False),
        ("localhost:5000/org/m", "localhost:5000/org/m:latest", True),
    ],
)
def test_names_are_compared_as_ollama_compares_them(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
