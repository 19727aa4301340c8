"""The documents of a collection in one order, kept from query to query so that a page costs what it shows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, Self, TypeVar

from moorage.models import Document
from moorage.store.cursors import Key, key_of, unknown_cursor

D = TypeVar("D", bound=Document)


class Row(NamedTuple, Generic[D]):
    """A document and its place in the order of first put."""

    place: int
    document: D


class Order(Generic[D]):
    """By a field, or by first put where that is None.

    Never changed, only replaced: a reader keeps what it began with.
    """

    def __init__(self, field: str | None, rows: Iterable[Row[D]]) -> None:
        self.field = field
        keyed = sorted(((self.key(row), row) for row in rows), key=lambda pair: pair[0])
        self.keys: list[Key] = [key for key, _ in keyed]
        self.items: list[D] = [row.document for _, row in keyed]

    def key(self, row: Row[D]) -> Key:
        value = row.place if self.field is None else getattr(row.document, self.field)
        return key_of(value, row.document.id)

    def replaced(self, old: Row[D] | None, new: Row[D] | None) -> Self:
        """The same order with one document added, changed or removed."""
        other = object.__new__(type(self))
        other.field, other.keys, other.items = self.field, self.keys.copy(), self.items.copy()
        if old is not None:
            index = bisect_left(other.keys, self.key(old))
            del other.keys[index], other.items[index]
        if new is not None:
            key = self.key(new)
            index = bisect_left(other.keys, key)
            other.keys.insert(index, key)
            other.items.insert(index, new.document)
        return other

    def following(self, after: Key | None, descending: bool) -> Iterator[int]:
        """The indexes of the documents that come after this key, all where it is None."""
        try:
            if descending:
                end = len(self.keys) if after is None else bisect_left(self.keys, after)
                return iter(range(end - 1, -1, -1))
            return iter(range(0 if after is None else bisect_right(self.keys, after), len(self.keys)))
        except TypeError:  # a forged key does not compare
            raise unknown_cursor() from None
