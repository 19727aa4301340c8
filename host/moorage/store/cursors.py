"""Cursors: where a page ended, as text that only the same list understands.

A cursor holds the sort key of the last document and not a position, so that nothing is skipped or shown twice when
documents come and go between two pages.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from moorage.errors import FieldError, InvalidInput

Key = tuple[Any, ...]
"""What documents are ordered by: whether there is a value, the value, the id."""


def key_of(value: object, id: str) -> Key:
    """The key of a document; those without a value come first. Times become seconds, so that a cursor can hold them."""
    if value is None:
        return (0, 0, id)
    return (1, value.timestamp() if isinstance(value, datetime) else value, id)


def write_cursor(scope: Sequence[object], key: Key) -> str:
    """`scope` is what the list is: a cursor of another list is refused."""
    return base64.urlsafe_b64encode(json.dumps([*scope, key]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, scope: Sequence[object]) -> Key:
    """The key in a cursor. InvalidInput where it is not one of this list."""
    try:
        *found, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if found == list(scope) and isinstance(key, list) and len(key) == 3 and isinstance(key[-1], str):
            return tuple(key)
    except (ValueError, TypeError, RecursionError):
        pass
    raise unknown_cursor()


def unknown_cursor() -> InvalidInput:
    return InvalidInput("This cursor is not one of this list.", errors=(FieldError("cursor", "is not known here"),))
