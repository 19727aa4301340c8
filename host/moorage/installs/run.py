"""One install from its claim to its end: plan again, drive the plugin's generator, prove the model, say how it went."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from moorage.errors import (
    AuthFailed,
    Conflict,
    DiskFull,
    Gated,
    InvalidInput,
    MoorageError,
    RateLimited,
)
from moorage.events import EventBus
from moorage.fetch import Downloader
from moorage.http import CallScope
from moorage.installs.planner import Planner
from moorage.installs.proof import prove
from moorage.installs.queue import InstallQueue
from moorage.installs.speed import Speed
from moorage.models import (
    Credential,
    FilePart,
    Install,
    InstallFailure,
    InstallPlan,
    InstallProgress,
)
from moorage.plugins import Plugins
from moorage.plugins.streams import PluginStream

log = logging.getLogger("moorage.installs")
TELL_SECONDS = 0.25  # at most four progress events a second
SAVE_SECONDS = 5.0
ASKS_THE_PERSON = {"gated": "sign-in", "disk-full": "disk"}  # problems of a plan that a person can solve
# Between the tries of an install whose source or target is away: a night with a broken line should not end it.
RETRY_SECONDS = (5.0, 15.0, 45.0, 120.0, 300.0) + 24 * (600.0,)
LONGEST_WAIT = 600.0
ROOM_SECONDS = 60.0  # between looks whether there is room on the disk again
TARGET_FULL = "target-disk-full"  # a disk that cannot be seen from here: a person says when there is room again


class Run:
    """One run of one install. `live` is the record with its latest progress, which is written only now and then."""

    def __init__(
        self,
        install: Install,
        *,
        queue: InstallQueue,
        planner: Planner,
        plugins: Plugins,
        downloader: Downloader,
        events: EventBus,
        context_length: Callable[[], int],
        retry_later: Callable[[str, float], None],
        on_there: Callable[[str], None],
        lacks: Callable[[str, str], bool],
        wait_until_gone: Callable[[str, str, Callable[[], bool]], None],
    ) -> None:
        self.live = install
        self._queue = queue
        self._planner = planner
        self._plugins = plugins
        self._downloader = downloader
        self._events = events
        self._context_length = context_length
        self._retry_later = retry_later
        self._on_there = on_there
        self._lacks = lacks
        self._wait_until_gone = wait_until_gone
        self._speed = Speed()
        self._scope = CallScope(None, endless=True)
        self._stream: PluginStream[InstallProgress] | None = None
        self._stopped = threading.Event()
        self._told = self._saved = 0.0
        self._on_stop: Callable[[], None] = lambda: None
        self._asks = "network"  # whom it is talking to: what it waits for when that one is away

    def speeds(self) -> tuple[float, ...]:
        """Bytes per second in each of the last seconds, oldest first."""
        return self._speed.past()

    def stop(self) -> None:
        """Stop the work at once; the record was already written by whoever stops it."""
        self._stopped.set()
        self._on_stop()
        self._scope.cancel()
        if self._stream is not None:
            self._stream.close()

    def work(self) -> None:
        """Do it; returns when it has ended, waits, or was stopped. Raises nothing."""
        install = self.live
        self._events.publish("install.started", install.id, model=install.model, target=install.target)
        try:
            self._work()
        except Conflict:
            log.info("install %s moved on during its run", install.id)  # paused, cancelled or claimed anew
        except MoorageError as error:
            if not self._stopped.is_set():
                self._failed(error)
        except Exception as error:
            log.exception("install %s failed", install.id)
            if not self._stopped.is_set():
                self._end_as_failed(InstallFailure(code="error", message=f"Moorage failed: {type(error).__name__}."))

    def _work(self) -> None:
        install = self.live
        planned = self._planned()
        if planned is None:
            return
        plan, credential = planned
        self._asks = "target"
        if not plan.ok:
            problem = plan.problems[0]
            failure = InstallFailure(code=problem.code, message=problem.message, hint=problem.hint)
            if problem.code in ASKS_THE_PERSON:
                self._wait(ASKS_THE_PERSON[problem.code], failure)
            else:
                self._end_as_failed(failure)
            return
        self._write(
            road=plan.road,
            road_reason=plan.road_reason,
            revision=plan.revision,
            hashes=tuple(part.sha256 for part in plan.files),
            total=plan.bytes,
            completed=plan.already_here,
            model_name=plan.name,
            replaces=install.replaces if install.replaces is not None else not self._lacks(install.target, plan.name),
        )
        self._wait_until_gone(install.target, plan.name, self._stopped.is_set)

        def fetch(parts: Sequence[FilePart]) -> Generator[InstallProgress, None, tuple[Path, ...]]:
            self._asks = "network"
            paths = yield from self._downloader.fetch(parts, credential=credential, scope=self._scope, owner=install.id)
            self._asks = "target"
            return paths

        stream = self._plugins.install_model(plan, fetch, self._scope)
        self._stream = stream
        try:
            while (batch := stream.take()) is not None:
                if self._stopped.is_set():
                    return
                for progress in batch:
                    self._progress(progress)
        finally:
            stream.close()
            stream.join(10.0)
        self._on_there(plan.target.id)
        self._prove(plan)

    def _planned(self) -> tuple[InstallPlan, Credential | None] | None:
        """The plan as it is now; None when the install was stopped meanwhile, however long the source is silent."""
        install = self.live
        answers: queue.Queue[tuple[InstallPlan, Credential | None] | Exception | None] = queue.Queue()
        self._on_stop = lambda: answers.put(None)

        def ask() -> None:
            try:
                answers.put(
                    self._planner.plan(
                        install.source,
                        install.model,
                        file=install.file,
                        target=install.target,
                        road=install.road,
                        install=install.id,
                    )
                )
            except Exception as error:  # noqa: BLE001 - it is raised again where it was asked
                answers.put(error)

        threading.Thread(target=ask, name=f"plan:{install.id}", daemon=True).start()
        answer = answers.get() if not self._stopped.is_set() else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _prove(self, plan: InstallPlan) -> None:
        """Try the new model. One that cannot answer is installed all the same, with a warning."""
        self._write(phase="proving", completed=self.live.total or plan.bytes, bytes_per_second=None, seconds_left=None)
        proof, warning = prove(self._plugins, plan, self._context_length(), self._stopped.is_set)
        if self._stopped.is_set():
            return
        self.live = self._queue.change(
            self.live.id,
            attempt=self.live.attempt,
            state="installed",
            reason=None,
            model_name=plan.name,
            proof=proof,
            warning=warning,
            completed=self.live.total or plan.bytes,
        )
        self._events.publish("install.installed", self.live.id, model=self.live.model, name=plan.name)

    def _progress(self, progress: InstallProgress) -> None:
        fields: dict[str, object] = {"phase": progress.phase, "note": progress.message or self.live.note}
        if progress.total is not None:
            fields["total"] = progress.total
        if progress.completed is not None:
            # What is shown never goes down within a run, whatever the far side says.
            completed = max(progress.completed, self.live.completed)
            speed = self._speed.add(completed) if progress.phase == "downloading" else None
            left = max(0, (progress.total or self.live.total or 0) - completed)
            fields |= {
                "completed": completed,
                "bytes_per_second": round(speed) if speed else None,
                "seconds_left": round(left / speed) if speed else None,
            }
        now = time.monotonic()
        new_phase = progress.phase != self.live.phase
        self.live = self.live.model_copy(update=fields)
        if new_phase or now - self._saved > SAVE_SECONDS:
            self._write()
        if new_phase or now - self._told > TELL_SECONDS:
            self._told = now
            live = self.live
            self._events.publish(
                "install.progressed", live.id, phase=live.phase, completed=live.completed, total=live.total
            )

    def _write(self, **fields: Any) -> None:
        live = self.live
        progress: dict[str, Any] = {
            "phase": live.phase,
            "completed": live.completed,
            "total": live.total,
            "bytes_per_second": live.bytes_per_second,
            "seconds_left": live.seconds_left,
            "note": live.note,
        }
        self.live = self._queue.change(live.id, attempt=live.attempt, **{**progress, **fields})
        self._saved = time.monotonic()

    def _failed(self, error: MoorageError) -> None:
        """By kind: wait and try again, ask the person, or fail with a hint."""
        failure = InstallFailure(code=error.code, message=str(error), hint=error.hint)
        # Pauses and restarts do not count, and neither do failures on a way that goes on. Each pull begins at nothing
        # and soon has what it had before: only what was never here is progress.
        went_on = self.live.completed > self.live.furthest
        failures = 1 if went_on else self.live.failures + 1
        kept: dict[str, Any] = {
            "completed": self.live.completed,
            "total": self.live.total,
            "failures": failures,
            "furthest": max(self.live.completed, self.live.furthest),
        }
        if isinstance(error, AuthFailed | Gated):
            self._wait("sign-in", failure, **kept)
        elif isinstance(error, DiskFull):
            if self._asks == "target":
                failure = failure.model_copy(update={"code": TARGET_FULL})
            self._wait("disk", failure, **kept)
        elif error.retryable and failures <= len(RETRY_SECONDS):
            seconds = RETRY_SECONDS[failures - 1]
            if isinstance(error, RateLimited) and error.retry_after is not None:
                seconds = max(seconds, min(error.retry_after, LONGEST_WAIT))
            self._wait(self._asks, failure, **kept)
            self._retry_later(self.live.id, seconds)
        else:
            errors = "; ".join(item.message for item in error.errors) if isinstance(error, InvalidInput) else ""
            self._end_as_failed(failure.model_copy(update={"hint": failure.hint or errors or None}))

    def _wait(self, reason: str, failure: InstallFailure, **fields: Any) -> None:
        self.live = self._queue.change(
            self.live.id, attempt=self.live.attempt, state="waiting", reason=reason, error=failure, **fields
        )
        self._events.publish("install.waiting", self.live.id, reason=reason, message=failure.message)
        if reason == "disk" and failure.code != TARGET_FULL:
            self._retry_later(self.live.id, ROOM_SECONDS)

    def _end_as_failed(self, failure: InstallFailure) -> None:
        self.live = self._queue.change(
            self.live.id,
            attempt=self.live.attempt,
            state="failed",
            error=failure,
            completed=self.live.completed,
            total=self.live.total,
        )
        self._events.publish("install.failed", self.live.id, code=failure.code, message=failure.message)
