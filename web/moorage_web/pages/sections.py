"""The sections of the page of installs: what is in each, in which order, and how much of it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from moorage.errors import FieldError, InvalidInput
from moorage.models import Install, State

ROWS = 18  # of one section: a page weighs at most 100 kB, and a row of the queue almost 3
ROOM = 18  # of all sections together
LEAST = 2  # of one, however many run
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Kind:
    """`place` is what it is ordered by; `all` the words of the way to all of them."""

    key: str
    title: str
    states: tuple[State, ...]
    place: Callable[[Install], Place]
    all: str


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one heading; `count` is how many there are in all, `next` the cursor of those that follow."""

    kind: Kind
    items: Sequence[Install]
    count: int
    next: str | None = None


def _newest(install: Install) -> Place:
    return (-install.created_at.timestamp(), 0.0)


def _soonest(install: Install) -> Place:
    return ((install.starts_at or install.created_at).timestamp(), 0.0)


def _in_turn(install: Install) -> Place:
    """The queue in its order, then what is paused."""
    return (float(install.state == "paused"), install.order)


KINDS = (
    Kind("running", "Running", ("running",), _newest, "that run"),
    Kind("attention", "Needs attention", ("waiting", "failed"), _newest, "that need attention"),
    Kind("queue", "Queue", ("queued", "paused"), _in_turn, "in the queue"),
    Kind("scheduled", "Scheduled", ("scheduled",), _soonest, "scheduled"),
    Kind("history", "History", ("installed", "cancelled"), _newest, "in the history"),
)
HISTORY = KINDS[-1]
PRESENT: tuple[State, ...] = tuple(state for kind in KINDS[:-1] for state in kind.states)
OF_STATE = {state: kind.key for kind in KINDS for state in kind.states}


def sorted_by_section(installs: Sequence[Install]) -> dict[str, list[Install]]:
    """By the key of the section, each in its order. What rests for quiet hours is in the queue."""
    found: dict[str, list[Install]] = {kind.key: [] for kind in KINDS}
    for install in installs:
        found["queue" if install.rests else OF_STATE[install.state]].append(install)
    for kind in KINDS:
        found[kind.key].sort(key=lambda install, kind=kind: (kind.place(install), install.id))  # type: ignore[misc]
    return found


def shares(counts: Mapping[str, int]) -> dict[str, int]:
    """How many rows each section shows beside the others: all that run; the rest shares the room that is left."""
    found = {"running": counts["running"]}
    left = ROOM - counts["running"]
    others = sorted((count, key) for key, count in counts.items() if key != "running")
    for at, (count, key) in enumerate(others):  # what a short section leaves is for the longer ones
        found[key] = min(count, max(LEAST, left // (len(others) - at)))
        left -= found[key]
    return found


def cut(kind: Kind, installs: Sequence[Install], limit: int, cursor: str | None = None) -> Section:
    """So many of these, which are in order, after the cursor."""
    after = _read(cursor) if cursor else None
    items = [item for item in installs if after is None or (kind.place(item), item.id) > after]
    more = len(items) > limit > 0
    return Section(kind, items[:limit], len(installs), _write(kind, items[limit - 1]) if more else None)


def _write(kind: Kind, last: Install) -> str:
    first, second = kind.place(last)
    return f"{first!r}~{second!r}~{last.id}"


def _read(cursor: str) -> tuple[Place, str]:
    first, _, rest = cursor.partition("~")
    second, _, id = rest.partition("~")
    try:
        return (float(first), float(second)), id
    except ValueError:
        raise InvalidInput(
            "This cursor is not one of this list.", errors=(FieldError("cursor", "is not known here"),)
        ) from None
