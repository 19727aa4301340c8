"""Tables and numbers for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    empty: str,
    right: Sequence[str] = (),
    whole: str = "id",
) -> Table | str:
    """A plain table; the sentence `empty` when there are no rows.

    The column `whole` is what the next command is given: on a narrow terminal all others break first.
    """
    rows = [[_line(cell) for cell in row] for row in rows]
    if not rows:
        return empty
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        longest = max(cell.cell_len for cell in [Text(column), *(row[len(made.columns)] for row in rows)])
        made.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=column == whole,
            min_width=longest if column == whole else None,
        )
    for row in rows:
        made.add_row(*row)
    return made


def _line(cell: Any) -> Text:
    """One line, whatever a plugin's message has in it: a row is a line where it is piped."""
    return Text("" if cell is None else plain(" ".join(str(cell).split())))


def plain(text: str) -> str:
    """`text` without what steers a terminal: names and messages come from strangers."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


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


def moment(text: str | None) -> str:
    """`2026-05-21 03:00`, on the clock of this machine."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}" if text else ""


def duration(seconds: float | None) -> str:
    """`12 min`"""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


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
