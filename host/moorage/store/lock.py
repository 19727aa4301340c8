"""One process per data directory. The second one is told who holds it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from moorage.errors import DataDirLocked

LOCK = ".lock"
HOLDER = "holder.json"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a data directory; `url` is where it serves, None for a command."""

    pid: int
    url: str | None
    since: str


class DirectoryLock:
    """Held from construction to `release`; the operating system lets go of it however the process ends."""

    def __init__(self, home: Path, url: str | None) -> None:
        self._home = home
        self._lock = FileLock(home / LOCK, mode=0o600, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise DataDirLocked(_sentence(home), hint=_hint(home)) from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "url": url, "since": since}
        path = home / HOLDER
        path.touch(mode=0o600)
        path.write_text(json.dumps(holder))

    def release(self) -> None:
        (self._home / HOLDER).unlink(missing_ok=True)
        self._lock.release()


def read_holder(home: Path) -> Holder | None:
    """Who holds this directory now; None when nobody does."""
    if not (home / LOCK).exists():
        return None
    probe = FileLock(home / LOCK, thread_local=False)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return _read(home) or Holder(0, None, "")
    except OSError:
        return None
    probe.release()
    return None


def _read(home: Path) -> Holder | None:
    for _ in range(5):  # the holder writes the file just after it has the lock
        try:
            value = json.loads((home / HOLDER).read_text())
            return Holder(int(value["pid"]), value["url"], str(value["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.05)
    return None


def _sentence(home: Path) -> str:
    holder = _read(home)
    who = "another process" if holder is None else f"process {holder.pid} (since {holder.since})"
    where = f", which serves {holder.url}" if holder is not None and holder.url else ""
    return f"The data directory {home} is held by {who}{where}."


def _hint(home: Path) -> str:
    holder = _read(home)
    if holder is not None and holder.url:
        return f"Open {holder.url}, stop that process, or choose another directory with --home."
    return "Wait for that process to end, or choose another directory with --home."
