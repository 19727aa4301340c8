"""By which road a file gets onto an Ollama server, and why. Pure.

A pull is the server's own download from the Hub; an import is ours, handed over. A pull is the cheaper one, where it
can do what is wanted.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from moorage import InstallRequest, ModelDetail, Road
from moorage_ollama.names import name_problems

HUB_HOSTS = ("huggingface.co", "hf.co")


def choose(request: InstallRequest) -> tuple[Road, str]:
    """The road and, in a sentence, the reason for it. A wish is obeyed, also where it cannot work."""
    reason = _import_reason(request)
    ours: Road = "pull" if reason is None else "import"
    reason = reason or "The Ollama server can pull this file from the Hub by itself."
    if request.road is None or request.road == ours:
        return ours, reason
    if request.road == "import":
        return "import", "You asked for this road. The server could pull this file by itself."
    return "pull", f"You asked for this road. Against it: {reason}"


def _import_reason(request: InstallRequest) -> str | None:
    model = request.model
    if request.file.role != "model":
        return None
    if model.source != "huggingface":
        return f"Ollama cannot pull from {model.source}."
    problems = name_problems(model, request.file)
    if problems:
        return problems[0].message
    if is_gated(model):
        return f"{model.id} is {_closed(model)}, and Ollama cannot use your Hub token to pull it."
    if request.limits:
        return f"Only Moorage's own download obeys {_listed(request.limits)}."
    if mirror := mirror_of(model):
        return f"Moorage gets its files from {mirror}, and a pull would get them from the Hub."
    return None


def is_gated(model: ModelDetail) -> bool:
    """Whether a key is needed: an open gate is open to our token, which Ollama does not have."""
    return bool(model.gated) or model.private or model.gate.state in ("sign-in", "accept-licence", "refused")


def mirror_of(model: ModelDetail) -> str | None:
    """The host of a Hub that is not the one that Ollama knows."""
    host = urlsplit(model.url or "").hostname
    return None if host is None or host in HUB_HOSTS else host


def _closed(model: ModelDetail) -> str:
    return "private" if model.private else "gated"


def _listed(names: tuple[str, ...]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
