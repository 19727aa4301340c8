"""The document store: the interface that services use. `store/tinydb.py` is the embedded backend.

Collections hold frozen pydantic documents (see `moorage.models.Document`) by id. Nothing here assumes one process,
except that the embedded backend holds the data directory for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from moorage.models import Document, Page

D = TypeVar("D", bound=Document)
Where = Mapping[str, Any]
"""Field name to the wanted value, or to a list, tuple or set of wanted values. All must hold."""


class Collection(Protocol, Generic[D]):
    """Documents of one kind. Every write is on disk before the call returns."""

    def get(self, id: str) -> D | None:
        """The document, or None."""
        ...

    def put(self, document: D) -> D:
        """Store it and return it with its version one higher.

        `document.version` must be the stored one, 0 for a new document; else Conflict is raised and nothing changes.
        """
        ...

    def delete(self, id: str, *, version: int | None = None) -> bool:
        """Remove it; False when it was not there. Conflict when `version` is given and is not the stored one."""
        ...

    def list(self) -> Sequence[D]:
        """All documents, oldest first (in the order in which they were first put)."""
        ...

    def query(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[D]:
        """One page of the documents that match, ordered by a field (ties by id), with the cursor of the next page.

        `order_by` None is the order of first put. InvalidInput for a cursor that this collection did not make.
        """
        ...

    def count(self, where: Where | None = None) -> int: ...


class Store(Protocol):
    def collection(self, name: str, model: type[D]) -> Collection[D]:
        """The collection with this name, such as `providers` or `transcripts/<conversation id>`."""
        ...

    def drop(self, name: str) -> None:
        """Remove a whole collection and its file."""
        ...

    @property
    def notices(self) -> Sequence[str]:
        """What the person must know about the data, such as a damaged file that was put aside."""
        ...

    def close(self) -> None: ...
