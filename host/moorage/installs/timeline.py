"""What happened to each install, in sentences: written where its record changes, one small file for each install."""

from __future__ import annotations

import logging

from moorage.clock import Clock
from moorage.errors import StoreError
from moorage.models import Document, Install, TimelineEntry
from moorage.store import Store

log = logging.getLogger("moorage.installs")
LONGEST = 200  # entries; the first ones stay, since they say how it began
FIRST = 20
PHASES = {
    "planning": "Looked at the model and the target.",
    "downloading": "Downloading.",
    "verifying": "Verifying what arrived.",
    "importing": "Handing it to the target.",
    "proving": "Trying the model.",
}

ASKED_BY = {
    "browser": "in the browser",
    "api": "over the API",
    "cli": "on the command line",
    "schedule": "by the schedule",
}


class Timeline(Document):
    entries: tuple[TimelineEntry, ...] = ()


class Timelines:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def read(self, id: str) -> tuple[TimelineEntry, ...]:
        found = self._store.collection(f"timelines/{id}", Timeline).get(id)
        return found.entries if found is not None else ()

    def tell(self, before: Install | None, after: Install, said: str | None = None) -> None:
        """Write what is new in `after`, if anything that a person would want to know is."""
        text = said or sentence(before, after)
        if text is None:
            return
        try:
            self._add(after.id, TimelineEntry(at=self._clock(), state=after.state, phase=after.phase, text=text))
        except StoreError as error:  # the record is written, and it is what counts
            log.warning("the timeline of %s lacks an entry: %s", after.id, error)

    def _add(self, id: str, entry: TimelineEntry) -> None:
        collection = self._store.collection(f"timelines/{id}", Timeline)
        known = collection.get(id) or Timeline(id=id)
        entries = (*known.entries, entry)
        if len(entries) > LONGEST:
            entries = entries[:FIRST] + entries[FIRST + 1 :]
        collection.put(known.model_copy(update={"entries": entries}))

    def drop(self, id: str) -> None:
        self._store.drop(f"timelines/{id}")


def sentence(before: Install | None, after: Install) -> str | None:
    """What the difference between two states of a record means; None where it is mere progress."""
    if before is None:
        return f"Asked for {ASKED_BY.get(after.asked_by, f'by {after.asked_by}')}."
    if before.state == after.state:
        if after.state == "running" and after.phase is not None and before.phase != after.phase:
            return PHASES[after.phase]
        if after.update is not None and after.update != before.update:
            return f"A newer revision is at its source: {after.update.revision[:12]}."
        return None
    problem = after.error.message if after.error is not None else None
    match after.state:
        case "running":
            return "Started." if after.attempt == 1 else f"Started again, for the {_nth(after.attempt)} time."
        case "queued" if before.state == "scheduled":
            return "Its time has come; it waits for its turn."
        case "queued":
            return f"Back in the queue: {after.reason}." if after.reason else "Back in the queue."
        case "scheduled":
            return f"{after.reason}." if after.reason else "Waits for its time."
        case "waiting":
            return f"Waits ({after.reason}): {problem}" if problem else f"Waits: {after.reason}."
        case "installed":
            return f"Installed as {after.model_name}." if after.model_name else "Installed."
        case "failed":
            return f"Failed: {problem}"
        case _:
            return f"{after.state.capitalize()}."


def _nth(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
