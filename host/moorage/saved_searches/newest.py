"""Pages of what is new, newest first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from moorage.models import News, Page
from moorage.store.cursors import Key, key_of, read_cursor, unknown_cursor, write_cursor

SCOPE = ("news",)


def newest(news: Sequence[News], limit: int, cursor: str | None) -> Page[News]:
    """One page; InvalidInput for a cursor of another list."""
    keyed = sorted(((_key(item), item) for item in news), key=lambda pair: pair[0], reverse=True)
    after = read_cursor(cursor, SCOPE) if cursor is not None else None
    try:
        following = [(key, item) for key, item in keyed if after is None or key < after]
    except TypeError:  # a forged key does not compare
        raise unknown_cursor() from None
    page = following[:limit]
    return Page(
        items=tuple(item for _, item in page),
        next=write_cursor(SCOPE, page[-1][0]) if len(following) > len(page) else None,
    )


def _key(item: News) -> Key:
    if item.find is not None:
        return key_of(item.found_at, f"{item.search}/{item.find.key}")
    return key_of(item.found_at, item.install.id if item.install is not None else "")
