"""Room on the disk for files, and how it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moorage.errors import DiskFull


@dataclass(frozen=True)
class Room:
    """`free` tells how many bytes there are, `reserve` how many should stay free."""

    free: Callable[[], int]
    reserve: int

    def has(self, size: int) -> bool:
        """Whether so many bytes more would leave the reserve free."""
        return self.free() >= size + self.reserve

    def require(self, size: int) -> None:
        free = self.free()
        if size and free < size + self.reserve:
            raise DiskFull(
                f"{human(size)} are still needed, and {human(self.reserve)} should stay free, "
                f"but the disk has {human(free)} left.",
                hint="Make room, or choose a smaller file.",
            )

    def check(self) -> None:
        """Others fill the disk too: stop while there is still room for all that is not a model."""
        free = self.free()
        if free < self.reserve // 2:
            raise DiskFull(
                f"The disk has only {human(free)} left, of which {human(self.reserve)} should stay free.",
                hint="Make room and resume: what was downloaded so far is kept.",
            )


def human(size: int) -> str:
    """`4.1 GB` for 4.1e9 bytes, as disks are sold and as the pages and the CLI show sizes."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
