"""What an install would do. Pure: the server is first asked when the install runs."""

from __future__ import annotations

from moorage import Disk, InstallPlan, InstallRequest, ModelDetail, Problem
from moorage_ollama.names import HUB, name_problems, pull_name

_GATED = (
    "Install it with the built-in engine, or choose a model without a gate. If the Ollama server's own SSH key is "
    "registered at huggingface.co/settings/keys, ask for the road pull."
)


def plan(request: InstallRequest) -> InstallPlan:
    """By pull, the one road there is; the server's disk is not known from here."""
    model, file = request.model, request.file
    return InstallPlan(
        target=request.target,
        source=model.source,
        model=model.id,
        revision=model.revision,
        file=file,
        name=pull_name(model, file),
        road="pull",
        files=file.parts,
        bytes=file.size,
        disk=Disk(free=None, needed=file.size, ok=True),
        gate=model.gate,
        license=model.license,
        tools="unknown",
        problems=_problems(request),
        note=_note(request),
    )


def _problems(request: InstallRequest) -> tuple[Problem, ...]:
    model = request.model
    found: list[Problem] = []
    if request.road == "import":
        found.append(
            Problem(
                code="no-such-road",
                message="Moorage cannot bring files to an Ollama server itself yet; the server must pull them.",
                hint="Leave the road open, or install with the built-in engine.",
            )
        )
    if model.source != "huggingface":
        found.append(
            Problem(
                code="not-from-the-hub",
                message=f"Ollama cannot pull from {model.source}.",
                hint="Install it with the built-in engine.",
            )
        )
        return tuple(found)
    found += name_problems(model, request.file)
    # Whether the server's own key may, cannot be seen from here: who asks for the pull by name knows more than we do.
    if _is_gated(model) and request.road != "pull":
        found.append(
            Problem(
                code="gated",
                message=f"{model.id} is gated or private, and Ollama cannot use your Hub token to get it.",
                hint=_GATED,
            )
        )
    return tuple(found)


def _is_gated(model: ModelDetail) -> bool:
    """An open gate is open to our token, which Ollama does not have."""
    return bool(model.gated) or model.gate.state in ("sign-in", "accept-licence", "refused")


def _note(request: InstallRequest) -> str | None:
    notes = []
    if _is_gated(request.model):
        notes.append("The Hub gives this model to the Ollama server only if the server's own key has access.")
    url = request.model.url
    if url is not None and not url.startswith(HUB):
        notes.append("Ollama downloads from hf.co itself; the mirror that Moorage searches is not used.")
    return " ".join(notes) or None
