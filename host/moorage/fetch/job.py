"""One call of `fetch`: what it has to get, and what it has told about it."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress

from pydantic import SecretStr

from moorage.errors import BadAnswer, MoorageError
from moorage.fetch.local import LocalCopy, is_local
from moorage.fetch.part import PartFile, key_of
from moorage.fetch.room import Room
from moorage.fetch.shelf import Shelf
from moorage.fetch.throttle import Throttle
from moorage.fetch.transfer import Patience, Transfer
from moorage.http import CallScope, HttpClient, origin
from moorage.models import Credential, FilePart, InstallProgress
from moorage.models.installs import Phase

PROGRESS_SECONDS = 0.25
LOCK_SECONDS = 0.2
Progress = Generator[InstallProgress, None, None]


class Job:
    """One call of `fetch`: what it has to get, and what it has told about it."""

    def __init__(
        self,
        shelf: Shelf,
        http: HttpClient,
        parts: Sequence[FilePart],
        credential: Credential | None,
        scope: CallScope,
        owner: str | None,
        patience: Patience,
        throttle: Throttle,
        room: Room,
    ) -> None:
        self._shelf = shelf
        self._scope = scope
        self._owner = owner
        self._patience = patience
        self._throttle = throttle
        self._room = room
        self._http = http
        self._key = credential.value if credential else None
        self._origins = frozenset(origin(url) for url in credential.origins) if credential else frozenset()
        self._total = sum(part.size for part in parts)
        self._keys = [key_of(part) for part in parts]  # a content that is wanted twice counts twice
        self._here = {key_of(part): shelf.kept(part) for part in parts}
        self._again = False
        self._told = 0.0

    def progress(self, phase: Phase, message: str | None = None) -> InstallProgress:
        """The state of the job; says `again` where bytes had to be thrown away since the last time."""
        self._told = time.monotonic()
        again, self._again = self._again, False
        kept = sum(self._here[key] for key in self._keys)
        return InstallProgress(phase=phase, completed=kept, total=self._total, message=message, again=again)

    def _has(self, key: str, size: int) -> None:
        """So many bytes of a file are here now."""
        self._again = self._again or size < self._here[key]
        self._here[key] = size

    def part(self, part: FilePart) -> Progress:
        """Have one file, whoever fetches it."""
        key = key_of(part)
        while not self._shelf.has(part):
            self._shelf.owners.add(key, self._owner)  # each time: whoever fetches it may have removed all of it
            with self._shelf.locked(key, LOCK_SECONDS) as held:
                if held and not self._shelf.has(part):
                    yield from self._fetch(part, key)
            if not held:
                self._scope.check()
                self._has(key, self._shelf.kept(part))
                if self._again:
                    message = f"What was here of {part.name} had to be thrown away. Another install fetches it again."
                    yield self.progress("downloading", message)
                elif self._due():
                    yield self.progress("downloading", f"{part.name} is being fetched by another install.")
        self._has(key, part.size)
        self._shelf.owners.drop(key, self._owner)

    def _fetch(self, part: FilePart, key: str) -> Progress:
        file = self._shelf.open(part, self._owner)
        transfer = self._transfer(part, file)
        try:
            yield from self._reread(part, file)
            self._has(key, file.offset)
            if self._again:
                yield self.progress(
                    "downloading", f"Bytes of {part.name} are not here any more. They are fetched again."
                )
            for attempt in (1, 2):
                for message in transfer.run():
                    self._has(key, file.offset)
                    if message is not None or self._due():
                        self._room.check()
                        yield self.progress("downloading", message)
                if part.sha256 in (None, file.sha256):
                    file.publish(self._shelf.path(part))
                    with suppress(MoorageError):  # the file is right, whatever becomes of an old one
                        self._shelf.drop_damaged(key)
                    if part.sha256 is None:
                        yield self.progress(
                            "verifying", f"The source has no hash of {part.name}: only its size was checked."
                        )
                    return
                file.quarantine(self._shelf.quarantine)
                self._has(key, 0)
                if attempt == 1:
                    if not self._room.has(part.size):  # for the copy put aside and for the file
                        self._shelf.drop_damaged(key)
                    yield self.progress("downloading", f"{part.name} was damaged on the way. It is fetched once more.")
            if transfer.has_changed:
                raise BadAnswer(
                    f"{part.name} has changed at the source: its hash is not the one that was announced.",
                    hint="Look the model up again.",
                )
            raise BadAnswer(
                f"{part.name} arrived damaged twice: its hash is not the one that the source announces.",
                hint="Try again later, or choose another file.",
            )
        finally:
            file.close()

    def _transfer(self, part: FilePart, file: PartFile) -> Transfer | LocalCopy:
        if is_local(part):
            return LocalCopy(self._scope, part, file)
        return Transfer(self._http, self._scope, part, file, self._key_for, self._patience, self._throttle)

    def _reread(self, part: FilePart, file: PartFile) -> Progress:
        """Hash what is here from earlier."""
        for offset in file.reread():
            self._scope.check()
            if self._due():
                share = f"{100 * offset // max(part.size, 1)} %"
                yield self.progress("verifying", f"Checking what is already here of {part.name}: {share}.")
        if file.offset > part.size:
            file.restart()

    def _key_for(self, where: str) -> SecretStr | None:
        return self._key if where in self._origins else None

    def _due(self) -> bool:
        return time.monotonic() - self._told >= PROGRESS_SECONDS
