"""From what the host asks and the engine says to what the host understands. Pure."""

from __future__ import annotations

from typing import Any, Literal

from moorage import BadAnswer, Disk, InstallPlan, InstallRequest, Problem, ProviderModel, Unsupported
from moorage_llamacpp.library import Installed

MISSING = "The built-in engine is not installed."
_TOOLS: dict[bool | None, Literal["yes", "no", "unknown"]] = {True: "yes", False: "no", None: "unknown"}
GET_ENGINE = "Install it with: pip install 'moorage[llamacpp]' (make run does so where a wheel exists)."


def planned(request: InstallRequest, *, engine_here: bool) -> InstallPlan:
    """What it takes to have this file here; the host adds the disk, the gate and the fit."""
    file, model = request.file, request.model
    problems = []
    if not engine_here:
        problems.append(Problem(code="engine-missing", message=MISSING, hint=GET_ENGINE))
    if file.role != "model" or not file.name.lower().endswith(".gguf"):
        what = "a projector, which cannot run alone" if file.role == "projector" else "no GGUF model file"
        problems.append(Problem(code="not-a-model", message=f"{file.name} is {what}.", hint="Choose another file."))
    if request.road == "pull":
        problems.append(Problem(code="road", message="The built-in engine always imports.", hint="Leave road out."))
    label = file.quantization or file.name.rpartition("/")[2].removesuffix(".gguf")
    return InstallPlan(
        target=request.target,
        source=model.source,
        model=model.id,
        revision=model.revision,
        file=file,
        name=f"{model.id}:{label}",
        road="import",
        files=file.parts,
        bytes=file.size,
        already_here=request.already_here,
        disk=Disk(free=None, needed=None, ok=True),
        gate=model.gate,
        license=model.license,
        tools=_TOOLS[model.calls_tools],
        problems=tuple(problems),
    )


def refusal(answer: dict[str, Any]) -> Exception:
    """The error for an error object of the engine."""
    error = answer.get("error")
    fields = error if isinstance(error, dict) else {"message": error}
    if fields.get("type") == "exceed_context_size_error":
        return Unsupported(
            f"The conversation is too long: it has {fields.get('n_prompt_tokens')} tokens, "
            f"and the model holds {fields.get('n_ctx')} in mind.",
            hint="Start a new conversation, or raise the context length in the agent's options.",
        )
    said = str(fields.get("message") or "it gave no reason")[:300]
    return BadAnswer(f"The built-in engine refused the request: {said.rstrip('.')}.", hint="Check the agent's options.")


def shown(model: Installed, loaded: str | None) -> ProviderModel:
    skill = "completion" if model.chat else "embedding"
    return ProviderModel(
        name=model.name,
        size=model.size,
        quantization=model.quantization,
        parameters=model.parameters,
        context_length=model.context_length,
        capabilities=(skill, "tools") if model.tools else (skill,),
        modified_at=model.installed_at,
        loaded=model.name == loaded,
    )
