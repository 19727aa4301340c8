"""The record of a run with its latest progress, which is written and told only now and then."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from moorage.events import EventBus
from moorage.installs.queue import InstallQueue
from moorage.installs.speed import Speed
from moorage.models import Install, InstallProgress

TELL_SECONDS = 0.5  # between two progress events of one phase
TOLD_A_SECOND = 4  # at most, with those of new phases, which are told at once where that leaves room
SAVE_SECONDS = 5.0
PHASES = 8  # so many changes of phase are written at once; a plugin that jumps to and fro is held back
NOTE_SECONDS = 10.0  # what was said in passing is not said for ever


class LiveRecord:
    """`value` is the record as it is now. A write raises Conflict where the run has been overtaken."""

    def __init__(self, install: Install, queue: InstallQueue, events: EventBus) -> None:
        self.value = install
        self._queue = queue
        self._events = events
        self._speed = Speed()
        self._lasting_note = install.note
        self._noted_at = self._saved_at = 0.0
        self._told: deque[float] = deque([0.0] * TOLD_A_SECOND, maxlen=TOLD_A_SECOND)
        self._told_phase = install.phase
        self._untold = self._new_phase = self._frozen = False
        self._phases = 0

    def speeds(self) -> tuple[float, ...]:
        """Bytes per second in each of the last seconds, oldest first."""
        return self._speed.past()

    def freeze(self) -> None:
        """Take no further progress: somebody is about to write how far it has come."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False

    def take(self, progress: InstallProgress) -> None:
        """The next step of the plugin; what is shown never goes down within an attempt, whatever the far side says."""
        if self._frozen:
            return
        if progress.again:
            self._begin_again(progress)
        now, value = time.monotonic(), self.value
        fields: dict[str, Any] = {"phase": progress.phase}
        if progress.message is not None:
            fields["note"], self._noted_at = progress.message, now
        elif now - self._noted_at > NOTE_SECONDS:
            fields["note"] = self._lasting_note
        if progress.total is not None:
            fields["total"] = progress.total
        if progress.completed is not None:
            completed = max(progress.completed, value.completed)
            speed = self._speed.add(completed) if progress.phase == "downloading" else None
            left = max(0, (progress.total or value.total or 0) - completed)
            fields |= {
                "completed": completed,
                "bytes_per_second": round(speed) if speed else None,
                "seconds_left": round(left / speed) if speed else None,
            }
        self._new_phase |= progress.phase != value.phase
        self._untold = True
        self.value = value.model_copy(update=fields)
        if self._new_phase and self._phases < PHASES:
            self._phases += 1
            self.write()  # also a short phase is part of the story

    def flush(self) -> None:
        """Write and tell what is due."""
        if self._frozen:
            return
        now = time.monotonic()
        if now - self._saved_at > (TELL_SECONDS if self._new_phase else SAVE_SECONDS):
            self.write()
        value = self.value
        patience = TELL_SECONDS if value.phase == self._told_phase else 0.0
        if self._untold and now - self._told[-1] >= patience and now - self._told[0] >= 1.0:
            self._told.append(now)
            self._untold, self._told_phase = False, value.phase
            self._events.publish(
                "install.progressed", value.id, phase=value.phase, completed=value.completed, total=value.total
            )

    def write(self, **fields: Any) -> None:
        """Write the progress, and these fields."""
        value = self.value
        progress: dict[str, Any] = {
            "phase": value.phase,
            "completed": value.completed,
            "total": value.total,
            "bytes_per_second": value.bytes_per_second,
            "seconds_left": value.seconds_left,
            "note": value.note,
        }
        self.value = self._queue.change(value.id, attempt=value.attempt, **{**progress, **fields})
        self._saved_at, self._new_phase = time.monotonic(), False
        self._untold = self._untold or "phase" in fields

    def end(self, **fields: Any) -> None:
        """Write how the run ends."""
        note = None if fields.get("state") == "installed" else self._lasting_note
        kept = {"completed": self.value.completed, "total": self.value.total, "note": note}
        self.value = self._queue.change(self.value.id, attempt=self.value.attempt, **{**kept, **fields})

    def plan_note(self, note: str | None) -> None:
        """What holds for the whole install."""
        self._lasting_note = note
        self.value = self.value.model_copy(update={"note": note})

    def _begin_again(self, progress: InstallProgress) -> None:
        """Bytes had to be thrown away: a new attempt, from what is really kept."""
        reason = progress.message or "What was here could not be used; it begins again."
        self._speed = Speed()
        self.value = self._queue.change(
            self.value.id,
            attempt=self.value.attempt,
            again=True,
            said=reason,
            completed=progress.completed or 0,
            furthest=max(self.value.completed, self.value.furthest),
            note=reason,
        )
