"""What a version of Ollama can do. Source: the tags of ollama/ollama in which a change first stood."""

from __future__ import annotations

import re
from collections.abc import Callable

from moorage import Problem, RemoteError

SHARDS = (0, 30)
_NUMBERS = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?=$|[-+. ])")


def shards_wanted(version: Callable[[], str]) -> tuple[Problem | None, str | None]:
    """What stands in the way of a file in parts, and what is to be said; `version` asks the server for its own."""
    wanted = ".".join(map(str, SHARDS))
    try:
        found = version()
    except RemoteError as error:
        return None, f"The server could not be asked for its version ({str(error).rstrip('.')}); it needs {wanted}."
    numbers = numbers_of(found)
    if numbers is None:
        return None, f"The version of the server ({found[:40]}) says nothing; parts need Ollama {wanted} or newer."
    if numbers >= SHARDS:
        return None, None
    return too_old(found), None


def too_old(found: str) -> Problem:
    wanted = ".".join(map(str, SHARDS))
    return Problem(
        code="ollama-too-old",
        message=f"This file comes in parts, which need Ollama {wanted} or newer; the server has {found[:40]}.",
        hint="Update Ollama on that machine, or choose a quantisation that comes as a single file.",
    )


def numbers_of(version: str) -> tuple[int, ...] | None:
    """`0.32.5` as numbers; None for what is none, and for 0.0.0, which a build from source calls itself."""
    found = _NUMBERS.match(version.strip())
    if found is None:
        return None
    numbers = tuple(int(number) for number in found.groups(default="0"))
    return numbers if any(numbers) else None
