"""The models installed here: a folder each, with its files and one record."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from moorage import (
    DiskFull,
    GgufHeader,
    InstallPlan,
    NotFound,
    NotGguf,
    RemoteError,
    UnreadableGguf,
    Unsupported,
    read_gguf_header,
)

RECORD = "model.json"
NEW = ".new-"  # a folder on its way; a leading dot keeps it out of the list
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# One model is stored at a time, so that a folder on its way that is met outside of that is what a kill left. One host
# has the data directory to itself, hence a lock of this process will do.
_storing = threading.Lock()


class Installed(BaseModel):
    """One installed model. `files` are in its folder, shards in order; `blobs` are where they came from, on this disk.

    `size` in bytes; `chat` is False for models that only embed text.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    model: str
    revision: str
    files: tuple[str, ...]
    blobs: tuple[str, ...]
    size: int
    quantization: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    architecture: str | None = None
    chat: bool = True
    tools: bool = False
    installed_at: datetime


class Library:
    """To open it gives back the room of what a kill left: second names of gigabytes that nobody else would find."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "models"
        if _storing.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                _storing.release()

    def list(self) -> list[Installed]:
        """All installed models, by name; a folder without a readable record is no model."""
        if not self._directory.is_dir():
            return []
        found = (_read(folder) for folder in self._directory.iterdir() if not folder.name.startswith("."))
        return sorted((model for model in found if model is not None), key=lambda model: model.name.lower())

    def get(self, name: str) -> Installed:
        model = _read(self._folder(name))
        if model is None or model.name != name:
            known = ", ".join(item.name for item in self.list()) or "none yet"
            raise NotFound(
                f"The model {name} is not installed on the built-in engine.",
                hint=f"Install it on the Local models page. Installed here: {known}.",
            )
        return model

    def path(self, model: Installed) -> Path:
        """The file the engine loads; with shards, the first."""
        return self._folder(model.name) / model.files[0]

    def add(self, plan: InstallPlan, paths: Sequence[Path]) -> Installed:
        """Make verified files a model, all at once: it is there whole, or not at all.

        NotGguf, Unsupported, DiskFull, or RemoteError for a folder that cannot be written.
        """
        names = [_file_name(part.name) for part in plan.files]
        headers = [_header(path, name) for path, name in zip(paths, names, strict=True)]
        _refuse_what_is_no_model(headers, names)
        model = _installed(plan, headers, names, paths)
        folder = self._folder(plan.name)
        fresh = folder.with_name(f"{NEW}{folder.name}")
        with _storing, _writing("stored"):
            self._sweep()
            try:
                fresh.mkdir(parents=True, mode=0o700)
                for path, name in zip(paths, names, strict=True):
                    _link(path, fresh / name)
                _write(fresh / RECORD, model.model_dump_json(indent=1).encode())
                shutil.rmtree(folder, ignore_errors=True)
                os.replace(fresh, folder)
            except OSError:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
        return model

    def remove(self, name: str) -> None:
        """Forget the model and free its room on the disk; NotFound where there is no such model."""
        model = self.get(name)
        folder = self._folder(name)
        with _writing("removed"):
            (folder / RECORD).unlink(missing_ok=True)  # first: without it the rest is no model any more
        for file, blob in zip(model.files, model.blobs, strict=True):
            # The download is a second name of the same bytes: the room is free when both are gone.
            with suppress(OSError):
                if os.path.samefile(folder / file, blob):
                    os.unlink(blob)
        shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove folders on their way; `_storing` must be held."""
        with suppress(OSError):  # there may be nothing yet
            for folder in [entry for entry in self._directory.iterdir() if entry.name.startswith(NEW)]:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, name: str) -> Path:
        """A safe folder name: readable, and unique by a piece of the name's hash."""
        readable = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._")[:80]
        return self._directory / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@contextmanager
def _writing(what: str) -> Iterator[None]:
    """Errors of the disk by their kind: full, which a person can mend in a moment, or not to be written at all."""
    try:
        yield
    except OSError as error:
        message = f"The model could not be {what}: {error.strerror or error}."
        if error.errno in NO_ROOM:
            raise DiskFull(message, hint="Make room and retry.") from error
        raise RemoteError(message, hint="Check the disk, and who may write to Moorage's data directory.") from error


def _installed(
    plan: InstallPlan, headers: Sequence[GgufHeader], names: Sequence[str], paths: Sequence[Path]
) -> Installed:
    first = headers[0]
    return Installed(
        name=plan.name,
        source=plan.source,
        model=plan.model,
        revision=plan.revision,
        files=tuple(names),
        blobs=tuple(str(path) for path in paths),
        size=plan.bytes,
        quantization=plan.file.quantization or first.quantization,
        parameters=sum(header.parameters or 0 for header in headers) or None,
        context_length=first.context_length,
        architecture=first.architecture,
        chat="bert" not in (first.architecture or ""),
        tools=first.calls_tools,
        installed_at=datetime.now(UTC),
    )


def _refuse_what_is_no_model(headers: Sequence[GgufHeader], names: Sequence[str]) -> None:
    first = headers[0]
    if len(set(names)) != len(names) or any(header.shards != len(headers) for header in headers):
        raise Unsupported(
            f"{names[0]} says it is one of {first.shards} parts, but {len(headers)} were given.",
            hint="Choose the whole set of parts.",
        )
    if first.architecture is None or first.architecture == "clip" or first.kind not in (None, "model"):
        raise Unsupported(
            f"{names[0]} is a GGUF file, but no language model ({first.kind or first.architecture or 'unknown'}).",
            hint="Choose a model file; projectors and adapters cannot run alone.",
        )


def _header(path: Path, name: str) -> GgufHeader:
    try:
        return read_gguf_header(path)
    except UnreadableGguf as error:
        raise NotGguf(
            f"{name} is not a readable GGUF file: {error}.",
            hint="Choose another file or another author's version of the model.",
        ) from None


def _read(folder: Path) -> Installed | None:
    try:
        return Installed.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def _file_name(name: str) -> str:
    """The last part of a source's file name; shards must keep it, since the engine finds them by it."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2]).lstrip(".")
    return base[-200:] or "model.gguf"


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes; where the file system has no such thing, the only one."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.move(source, target)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
