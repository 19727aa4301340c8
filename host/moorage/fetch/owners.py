"""`<key>.owner-<id>`: an empty file for each install that wants an unfinished file.

Files of their own, so that one that only waits can name itself: the sidecar belongs to the holder of the lock. Such a
file is there or not, whenever a kill comes.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from moorage.fetch.errors import writing

_MARK = ".owner-"


class Owners:
    """Who wants which of the files in `directory`. None of this needs the lock of the file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, key: str, owner: str | None) -> None:
        if owner is not None:
            with writing():
                self._path(key, owner).touch(mode=0o600)

    def drop(self, key: str, owner: str | None) -> None:
        if owner is not None:
            with writing():
                self._path(key, owner).unlink(missing_ok=True)

    def of(self, key: str) -> tuple[str, ...]:
        """The ids of all who want this file."""
        return tuple(sorted(unquote(path.name.partition(_MARK)[2]) for path in self._directory.glob(f"{key}{_MARK}*")))

    def wanted_by(self, owner: str) -> list[str]:
        """The keys of the files that this install wants."""
        ending = f"{_MARK}{_quoted(owner)}"
        names = (path.name for path in self._directory.glob(f"*{_MARK}*"))
        return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))

    def forget(self, key: str) -> None:
        """Nobody has to want it any more: it is finished, or gone."""
        with writing():
            for path in self._directory.glob(f"{key}{_MARK}*"):
                path.unlink(missing_ok=True)

    def _path(self, key: str, owner: str) -> Path:
        return self._directory / f"{key}{_MARK}{_quoted(owner)}"


def _quoted(owner: str) -> str:
    """Without a dot, so that the stem of the name is the key, as with all files of a part."""
    return quote(owner, safe="").replace(".", "%2E")
