"""Files on this machine: what a source names by a `file:` URL, copied with the care of a download.

Only the URL of a `FilePart` is read this way; no server can send anybody here, since redirects lead to web addresses
only. The copy takes nothing of the line, so it is not held back by the bandwidth limit.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote_to_bytes

from moorage.errors import BadAnswer, MoorageError, NotFound, RemoteError, Unreachable, Unsupported
from moorage.fetch.answers import check_start
from moorage.fetch.part import BLOCK, PartFile
from moorage.http import CallScope
from moorage.models import FilePart

_START = "file:///"


def is_local(part: FilePart) -> bool:
    return part.url[:5].lower() == "file:"


def local_path(part: FilePart) -> Path:
    """The path in a URL such as `Path.as_uri` makes it: absolute, without a host, and with nothing behind it."""
    name = os.fsdecode(unquote_to_bytes(part.url[len(_START) - 1 :]))
    if os.name == "nt":
        name = name[1:]  # file:///C:/models/m.gguf
    path = Path(name)
    plain = part.url[: len(_START)].lower() == _START and not name.startswith("//") and path.is_absolute()
    if not plain or "\0" in name or ".." in path.parts or "?" in part.url or "#" in part.url:
        raise BadAnswer(f"The source names no usable place for {part.name}.", hint="Choose another file.")
    return path


def first_bytes(part: FilePart, count: int) -> bytes:
    """The start of a local file, `count` bytes where it has as many."""
    with _opened(part) as source, _reading(part):
        return source.read(count)


class LocalCopy:
    """The copy of a local file into its part, with the interface of `Transfer`.

    Size and time of the file stand for the ETag of a server: what was copied of another state of it is not continued.
    """

    has_changed = True  # where the hash is wrong: on a way this short nothing is damaged

    def __init__(self, scope: CallScope, part: FilePart, file: PartFile) -> None:
        self._scope = scope
        self._part = part
        self._file = file

    def run(self) -> Generator[str | None, None, None]:
        """Until the part has all bytes of the file. Nothing is tried twice here, and no wrong copy is put aside: the
        file is still where it was."""
        file, part = self._file, self._part
        if file.offset == part.size and file.sha256 == part.sha256:
            return  # all was here, whatever has become of the file
        with _opened(part) as source:
            mark = _mark(source)
            if file.offset and file.sidecar.etag != mark:
                file.restart()
                yield f"{part.name} has changed where it lies: it has to be copied from its beginning."
            file.sidecar.etag = mark
            for block in self._blocks(source, mark):
                if file.offset == 0:
                    check_start(part, block)
                file.append(block)
                yield None
        if part.sha256 not in (None, file.sha256):
            file.restart()
            raise _changed(part, "its hash is not the one that the source announces")

    def _blocks(self, source: IO[bytes], mark: str) -> Iterator[bytes]:
        """What follows in the file, as long as it stays as it is."""
        left = self._part.size - self._file.offset
        source.seek(self._file.offset)
        while True:
            self._scope.check()
            with _reading(self._part):
                block = source.read(BLOCK)
                left -= len(block)
                still = _mark(source)
            if still != mark or left < 0 or (left and not block):
                self._file.restart()
                raise _changed(self._part, "something wrote to it while it was copied")
            if not block:
                return
            yield block


@contextmanager
def _opened(part: FilePart) -> Iterator[IO[bytes]]:
    path = local_path(part)
    with _reading(part):
        _check(os.stat(path), part)  # before it is opened: that alone does something to some devices
        # Without waiting for a writer, should it have become a pipe meanwhile.
        now = getattr(os, "O_NONBLOCK", 0)
        source = open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | now))  # noqa: SIM115 - below
    with source:
        _check(os.fstat(source.fileno()), part)
        yield source


def _mark(source: IO[bytes]) -> str:
    """Which state of the file this is, in the form of a strong ETag."""
    found = os.fstat(source.fileno())
    return f'"{found.st_size:x}-{found.st_mtime_ns:x}"'


def _check(found: os.stat_result, part: FilePart) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Unsupported(f"{part.name} is no ordinary file.", hint="Choose another file.")
    if found.st_size != part.size:
        raise _changed(part, f"it should have {part.size} bytes, but it has {found.st_size}")


def _changed(part: FilePart, how: str) -> MoorageError:
    return BadAnswer(f"{part.name} has changed where it lies: {how}.", hint="Look the model up again.")


@contextmanager
def _reading(part: FilePart) -> Iterator[None]:
    """Errors of the disk that the file is on, by what can be done about them."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{part.name} is not there any more.", hint="Put it back and retry, or look the model up again."
        ) from None
    except PermissionError:
        raise RemoteError(
            f"Moorage may not read {part.name}.", hint="Give the user that Moorage runs as the right to, then retry."
        ) from None
    except OSError as error:  # a disk on the network may come back
        raise Unreachable(
            f"{part.name} cannot be read: {error.strerror}.", hint="Check the disk that it is on."
        ) from None
