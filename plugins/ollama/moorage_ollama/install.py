"""One install: ask the server to pull, watch that it moves, ask again when it does not, and see that it is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from moorage import BadAnswer, InstallPlan, InstallProgress, Unreachable
from moorage_ollama.client import OllamaClient
from moorage_ollama.failures import error_of, pull_error
from moorage_ollama.names import same_name
from moorage_ollama.pull import PullProgress, StallWatch
from moorage_ollama.rules import Damaged, Interrupted

HASHING = 20_000_000  # bytes per second of a slow disk, while the server verifies in silence
TICK = 0.25


@dataclass(frozen=True, slots=True)
class Pacing:
    """How patient an install is, in seconds. After `waits` restarts in a row without one new byte it gives up."""

    stall: float = 75.0
    crawl: float = 120.0
    silence: float = 120.0
    waits: tuple[float, ...] = (3.0, 5.0, 15.0, 30.0, 60.0)
    now: Callable[[], float] = time.monotonic


def install(client: OllamaClient, plan: InstallPlan, pacing: Pacing) -> Iterator[InstallProgress]:
    """Pull `plan.name`; returns when the server lists it."""
    progress = PullProgress(plan.bytes)
    restarts = best = 0
    damaged = False
    yield progress.shown()
    while not progress.succeeded:
        try:
            yield from _pull(client, plan, progress, pacing)
        except Interrupted as error:
            if progress.raw > best:
                best, restarts = progress.raw, 0
            if restarts == len(pacing.waits):
                raise
            yield from _wait(pacing.waits[restarts], progress, f"{error} It was started again.")
            restarts += 1
        except Damaged as error:
            if damaged:
                raise
            damaged = True
            yield from _wait(pacing.waits[0], progress, f"{error} It is downloaded once more.")
        if not progress.succeeded:
            progress.restart()
    if not any(same_name(row.name, plan.name) for row in client.tags()):
        raise BadAnswer(
            f"The Ollama server said that {plan.name} is installed, but does not list it.",
            hint="See its log, and retry.",
        )


def _pull(client: OllamaClient, plan: InstallPlan, progress: PullProgress, pacing: Pacing) -> Iterator[InstallProgress]:
    watch = StallWatch(pacing.stall, pacing.crawl, pacing.now)
    patience = pacing.silence + plan.bytes / HASHING
    with client.pull(plan.name, idle_timeout=patience) as lines:
        for line in _uncut(lines):
            text = error_of(line)
            if text is not None:
                raise pull_error(text, plan.name)
            yield progress.feed(line)
            if progress.succeeded:
                return
            if progress.phase == "downloading" and watch.stuck(progress.raw, progress.total):
                raise Interrupted("The download had come to a halt.", hint="Retry: it goes on where it stopped.")
    raise Interrupted(
        "The Ollama server ended the pull without saying that it succeeded.",
        hint="Retry: it goes on where it stopped.",
    )


def _uncut(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines; a connection that is cut after the pull began is an interruption of it, and no more."""
    try:
        yield from lines
    except Unreachable as error:
        raise Interrupted(str(error), hint="Retry: it goes on where it stopped.") from None


def _wait(seconds: float, progress: PullProgress, message: str) -> Iterator[InstallProgress]:
    """Wait in small steps, so that closing the install is noticed."""
    for _ in range(max(1, round(seconds / TICK))):
        yield progress.shown(message)
        time.sleep(min(TICK, seconds))
