"""One cursor for a search of several sources: what each of them called its next page."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence

from moorage.errors import FieldError, InvalidInput


def write_cursor(cursors: Mapping[str, str]) -> str | None:
    """None where no source has more."""
    if not cursors:
        return None
    return base64.urlsafe_b64encode(json.dumps(cursors, sort_keys=True).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, known: Sequence[str]) -> dict[str, str] | None:
    """The cursor of each source that has more; InvalidInput where one of them is not `known`."""
    if cursor is None:
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if (
            isinstance(value, dict)
            and value
            and all(name in known and isinstance(item, str) for name, item in value.items())
        ):
            return value
    except (binascii.Error, ValueError, RecursionError):
        pass
    raise unknown_cursor()


def unknown_cursor() -> InvalidInput:
    return InvalidInput(
        "This cursor was not made by a search here.", errors=(FieldError("cursor", "is not a cursor of this search"),)
    )
