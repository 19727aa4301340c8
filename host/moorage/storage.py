"""What the data directory holds, and a clean-up that removes only what nothing needs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from moorage.errors import MoorageError
from moorage.fetch import Downloader
from moorage.installs.queue import InstallQueue
from moorage.local import LocalModels
from moorage.machine import disk_size, free_disk
from moorage.models import ACTIVE, Install, Storage, StoredFile, StoredModel

log = logging.getLogger("moorage.storage")
MAY_WANT = (*ACTIVE, "failed")  # what was fetched: a failed one can be tried again
KEPT_SECONDS = 10.0  # a look at every file is not made for every page


class StorageService:
    """`host.storage`."""

    def __init__(self, home: Path, downloader: Downloader, local: LocalModels, queue: InstallQueue) -> None:
        self._home = home
        self._downloader = downloader
        self._local = local
        self._queue = queue
        self._measured: tuple[float, int] | None = None

    def view(self) -> Storage:
        models = tuple(
            StoredModel(target=target.target, name=model.name, size=model.size)
            for target in self._local.here()
            for model in target.models
        )
        files = self._files()
        known = sum(model.size or 0 for model in models) + sum(file.size for file in files)
        return Storage(
            directory=str(self._home),
            free=free_disk(self._home),
            disk=disk_size(self._home),
            models=models,
            files=files,
            other=self._other(known),
            reclaimable=sum(file.size for file in files if not file.needed),
        )

    def clean(self) -> int:
        """Remove the files that no model uses and no install may want; the bytes that are free now."""
        freed = sum(self._downloader.remove(file.key) for file in self._files() if not file.needed)
        self._measured = None
        return freed

    def tidy(self) -> None:
        """Give back the space of finished and damaged files that nothing needs: after an install, or a removal.

        What cannot be removed now is tried the next time.
        """
        try:
            self._downloader.sweep()
            for file in self._files():
                if file.kind != "partial" and not file.needed:
                    self._downloader.remove(file.key)
        except (MoorageError, OSError) as error:
            log.warning("files that nothing needs could not be removed: %s", error)

    def _files(self) -> tuple[StoredFile, ...]:
        """The files that no model uses, with the installs that may want them."""
        files = self._downloader.files()
        # Asked after the files were looked at: an install is on record before it fetches anything.
        installs = self._queue.list(MAY_WANT).items
        return tuple(_with_installs(file, installs) for file in files)

    def _other(self, known: int) -> int:
        """Bytes of everything but these models and files."""
        now = time.monotonic()
        if self._measured is None or now - self._measured[0] > KEPT_SECONDS:
            sizes = {(stat.st_dev, stat.st_ino): stat.st_size for stat in _stats(self._home)}
            self._measured = (now, max(0, sum(sizes.values()) - known))
        return self._measured[1]


def _with_installs(file: StoredFile, installs: tuple[Install, ...]) -> StoredFile:
    wanting = tuple(_wanting(file, installs))
    name = file.name or next((install.file for install in installs if install.id in wanting), None)
    return file.model_copy(update={"installs": wanting, "name": name})


def _wanting(file: StoredFile, installs: tuple[Install, ...]) -> Iterator[str]:
    """The ids of the installs that may want this file."""
    if file.kind == "damaged":  # it is fetched anew whoever wants it
        return
    for install in installs:
        unverified = file.key.startswith("unverified-") and None in install.hashes
        if install.id in file.installs or file.key in install.hashes or unverified:
            yield install.id


def _stats(directory: Path | str) -> Iterator[os.stat_result]:
    """Of all files below; what goes away meanwhile is passed over."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _stats(entry.path)
            else:
                yield entry.stat(follow_symlinks=False)
        except OSError:
            continue
