"""The road of pulling: ask the server to pull, watch that it moves, and ask again when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moorage import InstallPlan, InstallProgress, Unreachable
from moorage_ollama.client import OllamaClient
from moorage_ollama.failures import error_of, pull_error
from moorage_ollama.pacing import HASHING, Pacing, ticks
from moorage_ollama.pull import PullProgress, StallWatch
from moorage_ollama.rules import Damaged, Interrupted


def pull_model(client: OllamaClient, plan: InstallPlan, pacing: Pacing) -> Iterator[InstallProgress]:
    """Returns when the server has said that the pull of `plan.name` succeeded."""
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
    for _ in ticks(seconds):
        yield progress.shown(message)
