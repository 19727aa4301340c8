"""What an install would do, and what memory it would take."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moorage import BadAnswer, FilePart, InstallPlan
from moorage.plugins.loader import new_manager
from moorage.plugins.validation import validate
from moorage_llamacpp.config import EngineProvider, Options
from moorage_llamacpp.fit import cache_per_token, estimate
from moorage_llamacpp.mapping import planned, refusal
from moorage_llamacpp.plugin import LlamaCppPlugin
from tests.plugins.llamacpp.conftest import install_request

GIB = 1024**3


def part(name: str = "model.Q4_K_M.gguf", size: int = 5 * GIB) -> FilePart:
    return FilePart(name=name, size=size, url="http://127.0.0.1/file")


def plan_of(*parts: FilePart, memory: int | None = 16 * GIB, **fields: object) -> InstallPlan:
    return planned(install_request(*(parts or (part(),)), **fields), engine_here=True, memory=memory)


def test_the_plugin_is_one_that_the_host_can_call() -> None:
    assert validate(new_manager(), LlamaCppPlugin()) == {
        "register_config",
        "register_provider",
        "list_models",
        "plan_install",
        "install_model",
        "remove_model",
        "complete",
    }


def test_the_type_comes_with_its_preset() -> None:
    [spec] = LlamaCppPlugin().register_provider()
    assert spec.preset is not None
    assert (spec.type, spec.preset.id) == ("llamacpp", "builtin")
    assert spec.capabilities.model_dump() == {"chat": True, "tools": True, "install": True}
    assert (spec.config, spec.options) == (EngineProvider, Options)


def test_the_engine_is_never_imported_here() -> None:
    code = "import sys; from moorage_llamacpp.plugin import LlamaCppPlugin; LlamaCppPlugin()._available(); "
    subprocess.run([sys.executable, "-c", f"{code} sys.exit('xllamacpp' in sys.modules)"], check=True)


def test_a_plan() -> None:
    plan = plan_of(part(), model="org/Model-GGUF", quantization="Q4_K_M", license="mit")
    assert plan.ok
    assert (plan.name, plan.road, plan.bytes) == ("org/Model-GGUF:Q4_K_M", "import", 5 * GIB)
    assert [file.name for file in plan.files] == ["model.Q4_K_M.gguf"]
    assert plan.license == "mit"
    assert plan.tools == "unknown", "only the header knows, and it is not here yet"


def test_shards_are_one_plan() -> None:
    plan = plan_of(part("m-00001-of-00002.gguf"), part("m-00002-of-00002.gguf"))
    assert plan.bytes == 10 * GIB
    assert len(plan.files) == 2


@pytest.mark.parametrize(
    ("name", "role", "code", "words"),
    [
        ("mmproj-f16.gguf", "projector", "not-a-model", "projector"),
        ("model.safetensors", "model", "not-a-model", "no GGUF"),
        ("imatrix.gguf", "other", "not-a-model", "no GGUF model file"),
    ],
)
def test_what_cannot_be_installed(name: str, role: str, code: str, words: str) -> None:
    [problem] = plan_of(part(name), role=role).problems
    assert problem.code == code
    assert words in problem.message
    assert problem.hint


def test_the_road_of_pulling_does_not_exist() -> None:
    assert [problem.code for problem in plan_of(road="pull").problems] == ["road"]
    assert plan_of(road="import").ok


@pytest.mark.parametrize(
    ("memory", "verdict"), [(16 * GIB, "fits"), (7 * GIB, "tight"), (4 * GIB, "too-big"), (None, "unknown")]
)
def test_the_fit(memory: int | None, verdict: str) -> None:
    fit = plan_of(memory=memory, parameters=8_000_000_000).fit
    assert (fit.verdict, fit.target, fit.has, fit.context_length) == (verdict, "builtin", memory, 4096)
    assert fit.needs is not None
    assert 5.5 * GIB < fit.needs < 6.5 * GIB


def test_a_model_with_a_short_context_needs_less() -> None:
    fit = plan_of(context_length=2048).fit
    assert fit.context_length == 2048
    assert (fit.needs or 0) < (plan_of().fit.needs or 0)


def test_the_weights_are_guessed_from_the_size_where_they_are_not_named() -> None:
    request = install_request(part(), parameters=8_770_000_000)
    named = estimate(request.model, request.file, target="t", context_length=4096, memory=None).needs
    request = install_request(part())
    guessed = estimate(request.model, request.file, target="t", context_length=4096, memory=None).needs
    assert guessed == pytest.approx(named, rel=0.01)


@pytest.mark.parametrize(
    ("parameters", "kib"),
    [(134_515_008, 23), (1_235_814_400, 32), (3_212_749_824, 112), (8_030_261_248, 128), (70_553_706_496, 320)],
    ids=["SmolLM2 135M", "Llama 3.2 1B", "Llama 3.2 3B", "Llama 3.1 8B", "Llama 3.1 70B"],
)
def test_the_cache_is_not_estimated_below_what_models_take(parameters: int, kib: int) -> None:
    """From their headers: layers x 2 x heads of keys and values x their length x 2 bytes."""
    assert kib <= cache_per_token(parameters) / 1024 < 2.5 * kib


def test_the_engine_refuses_in_its_own_words() -> None:
    error = refusal({"error": {"code": 500, "message": "Conversation roles must alternate.", "type": "server_error"}})
    assert isinstance(error, BadAnswer)
    assert str(error) == "The built-in engine refused the request: Conversation roles must alternate."
    assert str(refusal({})) == "The built-in engine refused the request: it gave no reason."
