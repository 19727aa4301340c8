"""What an install would do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moorage import BadAnswer, FilePart, InstallPlan, TargetFacts
from moorage.plugins.loader import new_manager
from moorage.plugins.validation import validate
from moorage_llamacpp.config import EngineProvider, Options
from moorage_llamacpp.mapping import planned, refusal
from moorage_llamacpp.plugin import LlamaCppPlugin
from tests.plugins.llamacpp.conftest import install_request, provider

GIB = 1024**3


def part(name: str = "model.Q4_K_M.gguf", size: int = 5 * GIB) -> FilePart:
    return FilePart(name=name, size=size, url="http://127.0.0.1/file")


def plan_of(*parts: FilePart, **fields: object) -> InstallPlan:
    return planned(install_request(*(parts or (part(),)), **fields), engine_here=True)


def test_the_plugin_is_one_that_the_host_can_call() -> None:
    assert validate(new_manager(), LlamaCppPlugin()) == {
        "register_config",
        "register_provider",
        "list_models",
        "describe_target",
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


def test_it_runs_here_without_a_gpu() -> None:
    assert LlamaCppPlugin().describe_target(provider()) == TargetFacts(here=True, gpu_memory=0)


def test_the_engine_is_never_imported_here() -> None:
    code = "import sys; from moorage_llamacpp.plugin import LlamaCppPlugin; LlamaCppPlugin()._available(); "
    subprocess.run([sys.executable, "-c", f"{code} sys.exit('xllamacpp' in sys.modules)"], check=True)


def test_a_plan() -> None:
    plan = plan_of(part(), model="org/Model-GGUF", quantization="Q4_K_M", license="mit")
    assert plan.ok
    assert (plan.name, plan.road, plan.bytes) == ("org/Model-GGUF:Q4_K_M", "import", 5 * GIB)
    assert [file.name for file in plan.files] == ["model.Q4_K_M.gguf"]
    assert plan.license == "mit"
    assert plan.tools == "unknown", "the source shows no chat template"


@pytest.mark.parametrize(("calls", "tools"), [(True, "yes"), (False, "no")])
def test_tools_are_foreseen_where_the_source_shows_the_template(calls: bool, tools: str) -> None:
    assert plan_of(calls_tools=calls).tools == tools


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


def test_the_engine_refuses_in_its_own_words() -> None:
    error = refusal({"error": {"code": 500, "message": "Conversation roles must alternate.", "type": "server_error"}})
    assert isinstance(error, BadAnswer)
    assert str(error) == "The built-in engine refused the request: Conversation roles must alternate."
    assert str(refusal({})) == "The built-in engine refused the request: it gave no reason."
