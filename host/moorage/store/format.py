"""The format of a data directory, and the steps that bring an older one to today's.

`format.json` says which format the files in `store/` have. Before the first step the directory is copied to
`backups/`; the marker names that copy until all steps are done, so that a start after a kill in the middle
begins again from it. Each step therefore runs once on whole data, whatever happens.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from moorage.errors import StoreError
from moorage.store.atomic import make_directory, not_read, sync_directory, write_atomic

Migration = Callable[[Path], None]
"""Changes the files of the directory it is given, from one format to the next. Any exception undoes it."""

MIGRATIONS: Sequence[Migration] = ()
"""The first brings format 1 to 2, the second 2 to 3, and so on; none is ever removed or changed."""

MARKER = "format.json"
BACKUPS = "backups"


def bring_up_to_date(home: Path, data: Path, migrations: Sequence[Migration]) -> None:
    """Migrate `data` (a directory in `home`) where it is older. StoreError where it is newer, or cannot be migrated."""
    today = len(migrations) + 1
    marker = home / MARKER
    if not marker.exists():
        if any(data.iterdir()):
            raise _unknown(marker, "is missing")
        _note(marker, today)
        return
    found, backup = _read(marker)
    if found > today:
        raise StoreError(
            f"The data directory {home} has format {found}; this Moorage knows formats up to {today}.",
            hint="Install the newer Moorage again, or choose another directory with --home.",
        )
    if backup is not None:
        _restore(home / BACKUPS / backup, data)
    if found < today:
        backup = _back_up(home, data, found)
        _note(marker, found, backup)
        _run(migrations[found - 1 :], found, data, home / BACKUPS / backup)
    if found < today or backup is not None:
        _note(marker, today)


def _run(steps: Sequence[Migration], first: int, data: Path, backup: Path) -> None:
    for number, step in enumerate(steps, first):
        try:
            step(data)
        except Exception as error:
            raise StoreError(
                f"The data could not be brought from format {number} to {number + 1}: {error}",
                hint=f"Nothing is lost: the data of before is in {backup}. Use the Moorage of before, or report this.",
            ) from error


def _back_up(home: Path, data: Path, format: int) -> str:
    make_directory(home / BACKUPS)
    name = f"format-{format}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        shutil.copytree(data, home / BACKUPS / name)
        _sync_tree(home / BACKUPS / name)
        sync_directory(home / BACKUPS)
    except (OSError, shutil.Error) as error:
        raise StoreError(
            f"The data could not be copied to {home / BACKUPS} before its format is changed.",
            hint="Nothing was changed. Check the free space.",
        ) from error
    return name


def _restore(backup: Path, data: Path) -> None:
    """Take back what an unfinished migration did."""
    if not backup.is_dir():
        raise StoreError(
            f"A change of the data's format was interrupted, and its backup {backup} is gone.",
            hint="Restore the data directory from a backup of your own.",
        )
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    _sync_tree(data)


def _sync_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(folder))


def _read(marker: Path) -> tuple[int, str | None]:
    try:
        value = json.loads(marker.read_bytes())
        format, backup = value["format"], value.get("backup")
    except OSError as error:
        raise not_read(marker, error) from error
    except (ValueError, KeyError, TypeError):
        raise _unknown(marker, "is damaged") from None
    if not isinstance(format, int) or format < 1 or not isinstance(backup, str | None):
        raise _unknown(marker, "is damaged")
    return format, backup


def _note(marker: Path, format: int, backup: str | None = None) -> None:
    note = {"format": format} if backup is None else {"format": format, "backup": backup}
    write_atomic(marker, (json.dumps(note).encode(),))


def _unknown(marker: Path, problem: str) -> StoreError:
    return StoreError(
        f"{marker} {problem}, so the format of the data is not known.",
        hint='Restore it from a backup. Where only this version was ever used, write {"format": 1} into it.',
    )
