"""What the tests of stores put into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from moorage.models import Document, Model, Time
from moorage.store import Collection, Store

OpenStore = Callable[[], Store]
START = datetime(2026, 5, 21, 10, 0, tzinfo=UTC)


class Part(Model):
    label: str
    size: int | None = None


class Thing(Document):
    name: str = "thing"
    state: str = "new"
    rank: float = 0.0
    at: Time | None = None
    parts: tuple[Part, ...] = ()
    extra: dict[str, Any] = Field(default_factory=dict)


class Other(Document):
    name: str


def put(collection: Collection[Thing], *things: Thing) -> None:
    for thing in things:
        collection.put(thing)


def ids(things: Any) -> list[str]:
    return [thing.id for thing in things]


def pages(collection: Collection[Thing], limit: int, **query: Any) -> Iterator[list[str]]:
    cursor = None
    while True:
        page = collection.query(limit=limit, cursor=cursor, **query)
        yield ids(page.items)
        cursor = page.next
        if cursor is None:
            return
