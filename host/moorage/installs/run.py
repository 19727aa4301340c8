"""One install from its claim to its end: plan again, drive the plugin's generator, prove the model, say how it went."""

from __future__ import annotations

import logging
import queue
import threading
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
from moorage.installs.live import LiveRecord
from moorage.installs.planner import Planner
from moorage.installs.proof import prove
from moorage.installs.queue import InstallQueue
from moorage.installs.targets import Targets
from moorage.models import Credential, FilePart, Install, InstallFailure, InstallPlan, InstallProgress
from moorage.plugins import Plugins
from moorage.plugins.streams import PluginStream

log = logging.getLogger("moorage.installs")
ASKS_THE_PERSON = {"gated": "sign-in", "disk-full": "disk"}  # problems of a plan that a person can solve
# Between the tries of an install whose source or target is away: a night with a broken line should not end it.
RETRY_SECONDS = (5.0, 15.0, 45.0, 120.0, 300.0) + 24 * (600.0,)
LONGEST_WAIT = 600.0
ROOM_SECONDS = 60.0  # between looks whether there is room on the disk again
TARGET_FULL = "target-disk-full"  # a disk that cannot be seen from here: a person says when there is room again
STEP_SECONDS = 0.25  # between looks whether something is due to be told
END_SECONDS = 10.0  # for the plugin to have ended


class Run:
    """One run of one install; `record` is how far it is. `retry_later` has it tried again after so many seconds."""

    def __init__(
        self,
        install: Install,
        *,
        queue: InstallQueue,
        planner: Planner,
        plugins: Plugins,
        targets: Targets,
        downloader: Downloader,
        events: EventBus,
        context_length: Callable[[], int],
        retry_later: Callable[[str, float], None],
    ) -> None:
        self.record = LiveRecord(install, queue, events)
        self._planner = planner
        self._plugins = plugins
        self._targets = targets
        self._downloader = downloader
        self._events = events
        self._context_length = context_length
        self._retry_later = retry_later
        self._scope = CallScope(None, endless=True)
        self._stream: PluginStream[InstallProgress] | None = None
        self._stopped = threading.Event()
        self._on_stop: Callable[[], None] = lambda: None
        self._asks = "network"  # whom it is talking to: what it waits for when that one is away

    @property
    def live(self) -> Install:
        """The record with its latest progress."""
        return self.record.value

    def stop(self) -> None:
        """Stop the work at once; the record was already written by whoever stops it."""
        self._stopped.set()
        self._on_stop()
        self._scope.cancel()
        if self._stream is not None:
            self._stream.close()

    def work(self) -> None:
        """Do it; returns when it has ended, waits, or was stopped. Raises nothing.

        Where even the end cannot be written, the record goes on saying that it runs: see the dispatcher.
        """
        try:
            self._events.publish("install.started", self.live.id, model=self.live.model, target=self.live.target)
            self._work()
        except Conflict:
            log.info("install %s moved on during its run", self.live.id)  # paused, cancelled or claimed anew
        except MoorageError as error:
            self._end_with(error)
        except Exception as error:
            log.exception("install %s failed", self.live.id)
            self._end_with(error)

    def _end_with(self, error: Exception) -> None:
        if self._stopped.is_set():
            return
        try:
            if isinstance(error, MoorageError):
                self._failed(error)
            else:
                self._end_as_failed(InstallFailure(code="error", message=f"Moorage failed: {type(error).__name__}."))
        except Conflict:
            log.info("install %s moved on during its run", self.live.id)
        except MoorageError as worse:
            log.error("how install %s ended could not be written: %s", self.live.id, worse)

    def _work(self) -> None:
        install = self.live
        planned = self._planned()
        if planned is None:
            return
        plan, credential = planned
        self._asks = "target"
        if not plan.ok:
            self._refused(plan)
            return
        self.record.plan_note(plan.note)
        self.record.write(
            road=plan.road,
            road_reason=plan.road_reason,
            revision=plan.revision,
            hashes=tuple(part.sha256 for part in plan.files),
            total=plan.bytes,
            completed=plan.already_here,
            extra_space=extra_space(plan),
            model_name=plan.name,
            replaces=self._replaces(install, plan),
        )
        self._targets.wait_until_gone(install.target, plan.name, self._stopped.is_set)
        stream = self._plugins.install_model(plan, self._fetch(credential), self._scope)
        self._stream = stream
        try:
            while (batch := stream.take(STEP_SECONDS)) is not None:
                if self._stopped.is_set():
                    return
                for progress in batch:
                    self.record.take(progress)
                    self.record.flush()
                self.record.flush()
        finally:
            stream.close()
            stream.join(END_SECONDS)
        self._targets.changed(install.target)
        self._prove(plan)

    def _replaces(self, install: Install, plan: InstallPlan) -> bool:
        """Whether the target had a model of this name before the first attempt."""
        return install.replaces if install.replaces is not None else not self._targets.lacks(install.target, plan.name)

    def _fetch(
        self, credential: Credential | None
    ) -> Callable[[Sequence[FilePart]], Generator[InstallProgress, None, tuple[Path, ...]]]:
        """What the plugin gets as `context.fetch`."""

        def fetch(parts: Sequence[FilePart]) -> Generator[InstallProgress, None, tuple[Path, ...]]:
            self._asks = "network"
            paths = yield from self._downloader.fetch(
                parts, credential=credential, scope=self._scope, owner=self.live.id
            )
            self._asks = "target"
            return paths

        return fetch

    def _planned(self) -> tuple[InstallPlan, Credential | None] | None:
        """The plan as it is now; None when the install was stopped meanwhile, however long the source is silent."""
        install = self.live
        answers: queue.Queue[tuple[InstallPlan, Credential | None] | Exception | None] = queue.Queue()
        self._on_stop = lambda: answers.put(None)

        def asks_target() -> None:
            self._asks = "target"

        def ask() -> None:
            try:
                answers.put(
                    self._planner.plan(
                        install.source,
                        install.model,
                        file=install.file,
                        target=install.target,
                        road=install.road_wished,
                        install=install,
                        asks_target=asks_target,
                    )
                )
            except Exception as error:  # noqa: BLE001 - it is raised again where it was asked
                answers.put(error)

        threading.Thread(target=ask, name=f"plan:{install.id}", daemon=True).start()
        answer = answers.get() if not self._stopped.is_set() else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _refused(self, plan: InstallPlan) -> None:
        """The plan cannot be carried out any more: a person can help, or nobody can."""
        problem = plan.problems[0]
        failure = InstallFailure(code=problem.code, message=problem.message, hint=problem.hint)
        fields = {"completed": plan.already_here, "total": plan.bytes, "extra_space": extra_space(plan)}
        if problem.code in ASKS_THE_PERSON:
            self._wait(ASKS_THE_PERSON[problem.code], failure, **fields)
        else:
            self._end_as_failed(failure, **fields)

    def _prove(self, plan: InstallPlan) -> None:
        """Try the new model. One that cannot answer is installed all the same, with a warning."""
        total = self.live.total or plan.bytes
        self.record.write(phase="proving", completed=total, bytes_per_second=None, seconds_left=None)
        self.record.flush()
        proof, warning = prove(self._plugins, plan, self._context_length(), self._stopped.is_set)
        if self._stopped.is_set():
            return
        self.record.flush()
        self.record.end(state="installed", reason=None, proof=proof, warning=warning, completed=total)
        self._events.publish("install.installed", self.live.id, model=self.live.model, name=plan.name)

    def _failed(self, error: MoorageError) -> None:
        """By kind: wait and try again, ask the person, or fail with a hint."""
        failure = InstallFailure(code=error.code, message=str(error), hint=error.hint)
        # Pauses and restarts do not count, and neither do failures on a way that goes on. Each pull begins at nothing
        # and soon has what it had before: only what was never here is progress.
        went_on = self.live.completed > self.live.furthest
        failures = 1 if went_on else self.live.failures + 1
        kept: dict[str, Any] = {
            "failures": failures,
            "furthest": max(self.live.completed, self.live.furthest),
        }
        if isinstance(error, AuthFailed | Gated):
            self._wait("sign-in", failure, **kept)
        elif isinstance(error, DiskFull):
            if self._asks == "target" and not self._targets.is_here(self.live.target):
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
        self.record.end(state="waiting", reason=reason, error=failure, **fields)
        self._events.publish("install.waiting", self.live.id, reason=reason, message=failure.message)
        if reason == "disk" and failure.code != TARGET_FULL:
            self._retry_later(self.live.id, ROOM_SECONDS)

    def _end_as_failed(self, failure: InstallFailure, **fields: Any) -> None:
        self.record.end(state="failed", error=failure, **fields)
        self._events.publish("install.failed", self.live.id, code=failure.code, message=failure.message)


def extra_space(plan: InstallPlan) -> int:
    """Bytes on our disk beyond the files: an import into a server on this machine takes their space twice."""
    needed = plan.disk.needed
    return 0 if needed is None else max(0, needed - max(0, plan.bytes - plan.already_here))
