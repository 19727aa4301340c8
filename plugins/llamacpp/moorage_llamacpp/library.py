"""The models installed here: a folder each, with its files and one record."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from moorage import DiskFull, InstallPlan, NotFound, Unsupported
from moorage_llamacpp.gguf import Header, NotGguf, read_header

RECORD = "model.json"
NEW = ".new-"


class NotAGguf(Unsupported):
    """The file cannot be a model."""

    code = "not-a-gguf"
    title = "This is not a GGUF file"


class Installed(BaseModel):
    """One installed model. `file` is the first of its files, in its folder; sizes in bytes."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    model: str
    revision: str
    file: str
    size: int
    quantization: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    tools: bool = False
    installed_at: datetime


class Library:
    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "models"

    def list(self) -> list[Installed]:
        """All installed models, by name; a folder without a readable record is no model."""
        found = (
            [self._read(folder) for folder in sorted(self._directory.glob("*/"))] if self._directory.is_dir() else []
        )
        return sorted((model for model in found if model is not None), key=lambda model: model.name.lower())

    def get(self, name: str) -> Installed:
        model = self._read(self._folder(name))
        if model is None or model.name != name:
            known = ", ".join(item.name for item in self.list()) or "none yet"
            raise NotFound(
                f"The model {name} is not installed on the built-in engine.",
                hint=f"Install it on the Local models page. Installed here: {known}.",
            )
        return model

    def path(self, model: Installed) -> Path:
        """The file the engine loads; with shards, the first."""
        return self._folder(model.name) / model.file

    def add(self, plan: InstallPlan, paths: Sequence[Path]) -> Installed:
        """Make verified files a model, all at once: it is there whole, or not at all."""
        header = self._header(paths[0], plan)
        folder = self._folder(plan.name)
        fresh = folder.with_name(f"{folder.name}{NEW}{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        names = [_file_name(part.name) for part in plan.files]
        try:
            for path, name in zip(paths, names, strict=True):
                _link(path, fresh / name)
            model = Installed(
                name=plan.name,
                source=plan.source,
                model=plan.model,
                revision=plan.revision,
                file=names[0],
                size=plan.bytes,
                quantization=plan.file.quantization,
                parameters=header.values.get("general.parameter_count"),
                context_length=header.context_length,
                tools=header.calls_tools,
                installed_at=datetime.now(UTC),
            )
            (fresh / RECORD).write_text(model.model_dump_json())
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(fresh, folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        return model

    def remove(self, name: str) -> None:
        self.get(name)
        shutil.rmtree(self._folder(name))

    @staticmethod
    def _header(path: Path, plan: InstallPlan) -> Header:
        try:
            return read_header(path)
        except NotGguf as error:
            raise NotAGguf(
                f"{plan.files[0].name} is not a readable GGUF file: {error}.",
                hint="Choose another file or another author's version of the model.",
            ) from None

    def _read(self, folder: Path) -> Installed | None:
        try:
            return Installed.model_validate(json.loads((folder / RECORD).read_bytes()))
        except (OSError, ValueError, ValidationError):
            return None

    def _folder(self, name: str) -> Path:
        """A safe folder name: readable, and unique by a piece of the name's hash."""
        readable = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._")[:80]
        return self._directory / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _file_name(name: str) -> str:
    """The last part of a source's file name; shards must keep it, since the engine finds them by it."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2]).lstrip(".")
    return base[-200:] or "model.gguf"


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes where the file system can, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise DiskFull(f"The model could not be stored: {error.strerror}.", hint="Make room and retry.") from None
