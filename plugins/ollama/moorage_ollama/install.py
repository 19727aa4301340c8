"""One install: by the road of its plan, and it is done when the server lists and shows the model."""

from __future__ import annotations

from collections.abc import Iterator

from moorage import BadAnswer, Fetch, InstallPlan, InstallProgress, NotFound, RemoteError, Unsupported
from moorage_ollama.client import OllamaClient
from moorage_ollama.importing import import_model
from moorage_ollama.names import same_name
from moorage_ollama.pacing import Pacing
from moorage_ollama.pulling import pull_model
from moorage_ollama.versions import SHARDS, numbers_of, too_old


def install(client: OllamaClient, plan: InstallPlan, fetch: Fetch, pacing: Pacing) -> Iterator[InstallProgress]:
    """Bring `plan.name` onto the server; returns when the server has it."""
    if plan.road == "pull":
        yield from pull_model(client, plan, pacing)
    else:
        _check(client, plan)
        paths = yield from fetch(plan.files)
        yield from import_model(client, plan, paths, pacing)
    if not _is_there(client, plan.name):
        raise BadAnswer(
            f"The Ollama server said that {plan.name} is installed, but does not list it.",
            hint="See its log, and retry.",
        )


def _is_there(client: OllamaClient, name: str) -> bool:
    """Listed, and known by the name that it will be used by."""
    if not any(same_name(row.name, name) for row in client.tags()):
        return False
    try:
        client.show(name)
    except NotFound:
        return False
    except RemoteError:
        pass  # it is listed; whether it answers is for the proof to say
    return True


def _check(client: OllamaClient, plan: InstallPlan) -> None:
    """Ask the server before hours of download: the plan may have been made while it was off."""
    found = client.version()
    numbers = numbers_of(found)
    if len(plan.files) > 1 and numbers is not None and numbers < SHARDS:
        problem = too_old(found)
        raise Unsupported(problem.message, hint=problem.hint)
