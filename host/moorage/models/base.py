"""What all models here have in common: frozen, no unknown keys, camelCase in JSON and snake_case in Python."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Base of every model that crosses the border between host, plugins and web."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, protected_namespaces=()
    )


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its offset from UTC, such as 2026-05-21T10:00:00Z")
    return value.astimezone(UTC)


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, AfterValidator(_aware), PlainSerializer(_rfc3339, when_used="json")]
"""A moment, given with its offset from UTC and kept in UTC; RFC 3339 in JSON."""

T = TypeVar("T")


class Page(Model, Generic[T]):
    """One page of a list; `next` is the opaque cursor of the following page, None on the last."""

    items: tuple[T, ...]
    next: str | None = None


class Document(Model):
    """Something the store keeps. `version` counts its writes; 0 means not stored yet."""

    id: str
    version: int = 0
