"""Downloads that can be trusted: resumed, hashed while they come, and visible only when they are right."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from moorage.errors import DiskFull
from moorage.fetch.job import Job
from moorage.fetch.part import key_of
from moorage.fetch.room import Room
from moorage.fetch.shelf import Shelf
from moorage.fetch.throttle import Throttle
from moorage.fetch.transfer import Patience
from moorage.http import CallScope, HttpDoor
from moorage.models import Credential, FilePart, InstallProgress, StoredFile

REMOVE_SECONDS = 5.0
GB = 10**9


class Downloader:
    """The files of models in `directory`, by content.

    `reserve` is the room in bytes that a download leaves on the disk; `free` tells how much there is; `rate` is the cap
    on all downloads together, in bytes per second.
    """

    def __init__(
        self,
        door: HttpDoor,
        directory: Path,
        *,
        reserve: int = GB,
        patience: Patience | None = None,
        rate: Callable[[], int | None] = lambda: None,
        free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._door = door
        self._shelf = Shelf(directory)
        self._patience = patience or Patience()
        self._throttle = Throttle(rate)
        self._free = free
        self._room = Room(lambda: self._free(self._shelf.blobs), reserve)

    def path(self, part: FilePart) -> Path:
        """Where the finished file is, or will be."""
        return self._shelf.path(part)

    def kept(self, part: FilePart) -> int:
        """How many bytes of the file are here already."""
        return self._shelf.kept(part)

    def fetch(
        self,
        parts: Sequence[FilePart],
        *,
        credential: Credential | None = None,
        scope: CallScope | None = None,
        owner: str | None = None,
    ) -> Generator[InstallProgress, None, tuple[Path, ...]]:
        """Fetch what is not here yet, and give the paths of all. Closing the generator keeps what was fetched.

        The credential goes to its own origins only. `owner` is the install that wants the files, for `remove_partial`.
        Raises DiskFull (before the first byte where room is lacking), Unreachable when trying again did not help,
        BadAnswer for a file that is not the one announced, NotGguf, and what the source answers: AuthFailed, Gated,
        NotFound, RateLimited. A part with a `file:` URL is copied from this machine, see `local`.
        """
        self._shelf.prepare()
        self._make_room(parts)
        self._shelf.want(parts, owner)
        scope = scope or CallScope(None)
        http = self._door.client("download", scope=scope)
        job = Job(self._shelf, http, parts, credential, scope, owner, self._patience, self._throttle, self._room)
        yield job.progress("downloading")
        for part in parts:
            yield from job.part(part)
        yield job.progress("verifying")
        return tuple(self.path(part) for part in parts)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more would leave the reserve free."""
        self._shelf.prepare()
        return self._room.has(size)

    def remove_partial(self, owner: str) -> None:
        """Forget the unfinished files that only this install wanted."""
        self._shelf.disown(owner, REMOVE_SECONDS)

    def sweep(self) -> None:
        """Remove what a kill left over of parts that are gone."""
        self._shelf.sweep()

    def files(self) -> list[StoredFile]:
        """The files here that no model uses (yet). Who waits for a finished one is not known here."""
        return self._shelf.files()

    def remove(self, key: str) -> int:
        """Remove one of `files` and give the bytes freed; 0 while somebody is fetching it, and when it is not here."""
        return self._shelf.remove(key, REMOVE_SECONDS)

    def _make_room(self, parts: Sequence[FilePart]) -> None:
        """Raise DiskFull where room is lacking, even without the damaged copies of what is fetched anew."""
        needed = {key_of(part): part.size - self.kept(part) for part in parts}
        size = sum(needed.values())
        try:
            self._room.require(size)
        except DiskFull:
            for key in needed:
                self._shelf.drop_damaged(key)
            self._room.require(size)
