"""One row of the report, and the report."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What was measured; `value` in the unit of `aim`, which is met by at most (`least`: at least) so much."""

    what: str
    shown: str
    value: float | None = None
    aim: float | None = None
    unit: str = ""
    least: bool = False
    note: str = ""

    def line(self) -> str:
        aim, met = "", ""
        if self.aim is not None and self.value is not None:
            aim = f"{'>' if self.least else '<'} {self.aim:,g} {self.unit}"
            met = "yes" if (self.value > self.aim if self.least else self.value < self.aim) else "**no**"
        return f"| {self.what} | {self.shown} | {aim} | {met} | {self.note} |"


def spread(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """Median and range."""
    return (
        f"{statistics.median(values):,.{digits}f} {unit} ({min(values):,.{digits}f} to {max(values):,.{digits}f}, "
        f"n={len(values)})"
    )


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def milliseconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def report(rows: Iterable[Row]) -> None:
    """A table in Markdown, line by line as the rows come."""
    print("| what | measured: median (range) | aim | met | beside |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        print(row.line(), flush=True)
