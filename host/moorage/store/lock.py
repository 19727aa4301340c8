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
from moorage.store.atomic import not_written

LOCK = ".lock"
HOLDER = "holder.json"
PATIENCE = 0.4  # seconds: whoever only looks has the lock for a moment, and a process that ends lets go soon


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a data directory; `url` is where it serves, None for a command."""

    pid: int
    url: str | None
    since: str


class DirectoryLock:
    """Held from construction to `release`; the operating system lets go of it however the process ends."""

    def __init__(self, home: Path, url: str | None) -> None:
        self._holder = home / HOLDER
        self._lock = FileLock(home / LOCK, mode=0o600, thread_local=False)
        try:
            self._lock.acquire(timeout=PATIENCE, poll_interval=0.02)
            try:
                self._say_who(url)
            except BaseException:
                self._lock.release()
                raise
        except Timeout:
            raise _locked(home) from None
        except OSError as error:
            raise not_written(home / LOCK, error) from error

    def release(self) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _say_who(self, url: str | None) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        # A new file each time, so that nobody reads half of it or of the one before. Need not survive a power cut.
        fresh = self._holder.with_name(f"{HOLDER}.new")
        fresh.write_text(json.dumps({"pid": os.getpid(), "url": url, "since": since}))
        fresh.chmod(0o600)
        os.replace(fresh, self._holder)


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


def _locked(home: Path) -> DataDirLocked:
    holder = _read(home)
    if holder is None:
        return DataDirLocked(
            f"The data directory {home} is held by another process.",
            hint="Wait for that process to end, or choose another directory with --home or MOORAGE_HOME.",
        )
    who = f"The data directory {home} is held by process {holder.pid} (since {holder.since})"
    if holder.url is None:
        return DataDirLocked(
            f"{who}.", hint="Wait for it to end, or choose another directory with --home or MOORAGE_HOME."
        )
    return DataDirLocked(
        f"{who}, which serves {holder.url}.",
        hint=f"Open {holder.url}, stop that process, or choose another directory with --home or MOORAGE_HOME.",
    )
