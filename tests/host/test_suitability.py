"""Where a model can run: the file for each target, its fit, and the reason where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from moorage import (
    Capabilities,
    Config,
    Credential,
    Disk,
    FilePart,
    Fit,
    Gate,
    InstallPlan,
    InstallRequest,
    ModelDetail,
    ModelFile,
    Problem,
    ProviderModel,
    ProviderPreset,
    ProviderSpec,
    TargetFacts,
    Unreachable,
    hookimpl,
)
from moorage.quantizations import guidance
from moorage.suitability import NO_FILE, recommended
from tests.conftest import MakeHost

GB = 10**9


class Pier:
    """A target here (a preset) and one elsewhere, whose memory it tells."""

    def __init__(self) -> None:
        self.asked: list[InstallRequest] = []
        self.memory = 16 * GB
        self.problems: tuple[Problem, ...] = ()
        self.error: Unreachable | None = None

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        able = Capabilities(install=True)
        here = ProviderPreset(id="builtin", name="Built in")
        return [
            ProviderSpec(type="here", label="Here", config=Config, capabilities=able, preset=here),
            ProviderSpec(type="pier", label="Pier", config=Config, capabilities=able),
        ]

    @hookimpl
    def list_models(self) -> list[ProviderModel]:
        return []

    @hookimpl
    def describe_target(self, provider: Any) -> TargetFacts | None:
        return TargetFacts(memory=self.memory) if provider.type == "pier" else TargetFacts(memory=2 * GB)

    @hookimpl
    def plan_install(self, request: InstallRequest) -> InstallPlan:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        whole = not request.file.shards
        return InstallPlan(
            target=request.target,
            source=request.model.source,
            model=request.model.id,
            revision=request.model.revision,
            file=request.file,
            name="tug",
            road="pull" if whole else "import",
            road_reason="It can pull it." if whole else "It comes in parts.",
            files=request.file.parts,
            bytes=request.file.size,
            disk=Disk(free=None, needed=None, ok=True),
            gate=request.model.gate,
            problems=self.problems,
        )


def file(label: str | None, size: int, shards: int = 0, role: Any = "model") -> ModelFile:
    name = f"tug-{label}.gguf"
    return ModelFile(
        name=name,
        size=size,
        quantization=label,
        role=role,
        shards=tuple(f"{name}-{number}" for number in range(shards)),
        parts=(FilePart(name=name, size=size, url="http://127.0.0.1:9/nobody"),),
    )


def detail(*files: ModelFile, state: Any = "open") -> ModelDetail:
    return ModelDetail(
        source="pier",
        id="a/tug-GGUF",
        revision="c1",
        gate=Gate(state=state, url="https://dock.example/a"),
        files=files,
        parameters=7 * GB,
        context_length=8192,
        credential=Credential(value=SecretStr("key"), origins=("https://dock.example",)),
    )


USUAL = (
    file("Q2_K", 1 * GB),
    file("Q4_K_M", 4 * GB),
    file("Q8_0", 8 * GB, shards=2),
    file("F16", 40 * GB),
    file("mmproj", GB, role="projector"),
)


@pytest.fixture
def pier() -> Pier:
    return Pier()


@pytest.fixture
def host(make_host: MakeHost, pier: Pier) -> Any:
    host = make_host(plugins={"pier": pier}, only=True)
    host.providers.create("Far pier", "pier", {})
    return host


def target_of(host: Any) -> str:
    return next(id for id in host.local.names() if id != "builtin")


def test_each_target_gets_the_file_that_suits_its_memory(host: Any) -> None:
    choices = {choice.name: choice for choice in host.suitability.of(detail(*USUAL)).targets}
    assert (choices["Far pier"].file, choices["Far pier"].size) == ("tug-Q4_K_M.gguf", 4 * GB)
    assert choices["Far pier"].fit.verdict == "fits"
    assert choices["Far pier"].fit.has == 16 * GB
    assert choices["Far pier"].reason is None
    assert choices["Built in"].file == "tug-Q2_K.gguf", "what does not fit is not recommended"
    assert choices["Built in"].fit.has == 2 * GB


def test_the_files_are_judged_for_the_chosen_target(host: Any, pier: Pier) -> None:
    seen = host.suitability.of(detail(*USUAL), target=target_of(host))
    by_label = {item.quantization: item for item in seen.files}
    assert [label for label, item in by_label.items() if item.recommended] == ["Q4_K_M"]
    assert by_label["F16"].fit.verdict == "too-big"
    assert by_label["mmproj"].fit is None
    assert by_label["Q4_K_M"].guidance == guidance("Q4_K_M")
    assert (by_label["Q4_K_M"].road, by_label["Q4_K_M"].road_reason) == ("pull", None)
    assert (by_label["Q8_0"].road, by_label["Q8_0"].road_reason) == ("import", "It comes in parts.")
    assert {item.fit.target for item in seen.files if item.fit} == {target_of(host)}
    assert not any(request.ask_target for request in pier.asked)
    assert not any(request.model.credential for request in pier.asked), "a target never sees the key of a source"


def test_the_context_length_changes_the_verdict(host: Any) -> None:
    fits = [
        host.suitability.of(detail(file("Q8_0", 7 * GB)), target=target_of(host), context_length=length).files[0].fit
        for length in (1024, 8192, 1_000_000)
    ]
    assert [fit.context_length for fit in fits] == [1024, 8192, 8192], "no more than the model was made for"
    assert fits[0].needs < fits[1].needs == fits[2].needs


@pytest.mark.parametrize(
    ("state", "words"), [("sign-in", "no token"), ("accept-licence", "licence"), ("refused", "refused")]
)
def test_a_closed_gate_is_the_reason(host: Any, state: str, words: str) -> None:
    choices = host.suitability.of(detail(*USUAL, state=state)).targets
    assert all(words in choice.reason for choice in choices)
    assert choices[0].reason == Gate(state=state).message, "the same words as everywhere"


def test_other_reasons(host: Any, pier: Pier) -> None:
    (reason,) = {choice.reason for choice in host.suitability.of(detail(file("mmproj", GB, role="projector"))).targets}
    assert reason == NO_FILE
    too_big = {choice.name: choice for choice in host.suitability.of(detail(file("F16", 40 * GB))).targets}
    assert "too big" in (too_big["Far pier"].reason or "")
    assert too_big["Far pier"].file == "tug-F16.gguf"
    pier.problems = (Problem(code="name", message="It takes no such name."),)
    assert {choice.reason for choice in host.suitability.of(detail(*USUAL)).targets} == {"It takes no such name."}
    pier.error = Unreachable("Nobody is there.")
    pier.asked.clear()
    seen = host.suitability.of(detail(*USUAL))
    assert {choice.reason for choice in seen.targets} == {"Nobody is there."}
    assert len(pier.asked) == 2, "one that has failed is not asked for every file"
    assert all(item.fit for item in seen.files if item.role == "model"), "the fit is known all the same"


def test_a_plan_recommends_the_same_file(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.search, "describe", lambda *_, **__: detail(*USUAL))
    assert host.installs.plan("pier", "a/tug-GGUF", target="builtin").file.name == "tug-Q2_K.gguf"
    assert host.installs.plan("pier", "a/tug-GGUF", target=target_of(host)).file.name == "tug-Q4_K_M.gguf"


def judged(*choices: tuple[str | None, int, str]) -> Sequence[ModelFile]:
    return [
        file(label, size).model_copy(update={"fit": Fit.model_validate({"verdict": verdict})})
        for label, size, verdict in choices
    ]


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ((("Q8_0", 8, "fits"), ("Q4_K_M", 4, "fits"), ("Q2_K", 2, "fits")), "Q4_K_M"),
        ((("Q8_0", 8, "too-big"), ("Q4_K_M", 4, "tight"), ("Q3_K_M", 3, "fits")), "Q3_K_M"),
        ((("Q8_0", 8, "too-big"), ("Q4_K_M", 4, "tight")), "Q4_K_M"),
        ((("IQ2_M", 3, "fits"), ("IQ1_S", 1, "fits")), "IQ2_M"),
        ((("F16", 16, "too-big"), ("Q8_0", 8, "too-big")), "Q8_0"),
        ((("Q8_0", 8, "unknown"), ("Q4_K_M", 4, "unknown")), "Q4_K_M"),
        ((("Q9_X", 8, "unknown"), ("Q9_Y", 4, "unknown")), "Q9_Y"),
    ],
)
def test_which_file_is_recommended(files: Any, taken: str | None) -> None:
    best = recommended(judged(*files))
    assert best is not None
    assert best.quantization == taken


def test_guidance_says_something_of_every_label() -> None:
    labels = "F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_0 Q4_K_M Q4_K_S Q4_0 IQ4_XS Q4_0_4_4 MXFP4 MXFP4_MOE Q3_K_L IQ3_XXS Q2_K"
    for label in (*labels.split(), "IQ2_XS", "TQ1_0", "IQ1_S", "Q1_0", "UD-Q4_K_XL", "NVFP4", "Q8_K_XL"):
        assert guidance(label), label
    assert guidance("UD-Q4_K_XL") != guidance("Q4_K_XL")
    assert guidance(None) is guidance("AVQ2") is None
