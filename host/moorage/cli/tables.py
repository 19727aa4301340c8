"""Tables and numbers for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> Table | str:
    """A plain table; a sentence when there are no rows."""
    rows = list(rows)
    if not rows:
        return "Nothing here yet."
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return made


def size(bytes: int | None) -> str:
    """`4.1 GB`"""
    if bytes is None:
        return ""
    value = float(bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def count(number: int | None) -> str:
    """`1.2 M`"""
    if number is None:
        return ""
    value = float(number)
    for unit in ("", "k", "M", "B"):
        if value < 1000:
            return f"{value:.0f}" if not unit else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} T"
