"""What an install would do. Only an import of parts asks the server something: whether it is new enough for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from moorage import Disk, InstallPlan, InstallRequest, Problem
from moorage_ollama.import_names import import_name
from moorage_ollama.names import name_problems, pull_name
from moorage_ollama.road import choose, is_gated, mirror_of
from moorage_ollama.versions import shards_wanted

_TOOLS: dict[bool | None, Literal["yes", "no", "unknown"]] = {True: "yes", False: "no", None: "unknown"}


def plan(request: InstallRequest, version: Callable[[], str] | None) -> InstallPlan:
    """`version` asks the server for its own, and raises an error of `moorage` where it does not answer.

    With None the server is not to be asked, and what depends on its version is left open.
    """
    model, file = request.model, request.file
    road, reason = choose(request)
    problems, notes = _pull(request) if road == "pull" else _import(request, version)
    return InstallPlan(
        target=request.target,
        source=model.source,
        model=model.id,
        revision=model.revision,
        file=file,
        name=pull_name(model, file) if road == "pull" else import_name(model, file),
        road=road,
        road_reason=reason,
        files=file.parts,
        bytes=file.size,
        already_here=request.already_here if road == "import" else 0,
        disk=_disk(request) if road == "import" else Disk(free=None, needed=file.size, ok=True),
        gate=model.gate,
        license=model.license,
        tools=_TOOLS[model.calls_tools],
        problems=tuple(problems),
        note=" ".join(notes) or None,
    )


def _pull(request: InstallRequest) -> tuple[list[Problem], list[str]]:
    """Whether the server's own key may read a gated model cannot be seen from here: who asks for it may know."""
    model = request.model
    notes: list[str] = []
    if model.source != "huggingface":
        message = f"Ollama cannot pull from {model.source}."
        hint = "Leave the road open, or choose import: Moorage then hands the file to the server itself."
        return [Problem(code="not-from-the-hub", message=message, hint=hint)], notes
    if is_gated(model):
        notes.append("The Hub gives this model to the Ollama server only if the server's own key has access.")
    if mirror_of(model):
        notes.append("Ollama downloads from hf.co itself; the mirror that Moorage searches is not used.")
    if request.limits:
        notes.append("The limits that are set for downloads do not hold for what the server pulls by itself.")
    return list(name_problems(model, request.file)), notes


def _import(request: InstallRequest, version: Callable[[], str] | None) -> tuple[list[Problem], list[str]]:
    """The host adds what it knows itself: a gate that is closed to our token, and a disk that is full."""
    file = request.file
    if file.role != "model":
        return list(name_problems(request.model, file)), []
    problems, notes = [], [_cost(request)]
    if file.shards:
        problem, note = shards_wanted(version) if version is not None else (None, None)
        problems += [problem] if problem else []
        notes += ["Some versions of Ollama join the parts, which takes the space once more while they do."]
        notes += [note] if note else []
    if any(other.role == "projector" for other in request.model.files):
        notes.append("Its projector is not brought along, so the model will take no pictures there.")
    return problems, notes


def _cost(request: InstallRequest) -> str:
    if is_here(request.target.config.endpoint):
        return "Takes its space twice for a while: in Moorage's downloads and in the Ollama server's own store."
    return (
        "Takes its space twice for a while: in Moorage's downloads on this machine, and on the disk of the Ollama "
        "server, whose room cannot be seen from here."
    )


def _disk(request: InstallRequest) -> Disk:
    """What our own disk must take; the host says what is free."""
    copies = 2 if is_here(request.target.config.endpoint) else 1
    return Disk(free=None, needed=max(0, copies * request.file.size - request.already_here), ok=True)


def is_here(endpoint: str) -> bool:
    """Whether a server is on this machine: its address is a loopback one."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
