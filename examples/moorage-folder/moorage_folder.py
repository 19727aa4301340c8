"""A source of models: the GGUF files in a folder of yours. Each folder in it is a model, and each file at its top."""

import hashlib
import os
import re
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator

from moorage import (
    Config,
    FilePart,
    Gate,
    InvalidConfig,
    ModelDetail,
    ModelFile,
    ModelHit,
    ModelRef,
    NotFound,
    PluginContext,
    SearchPage,
    SearchQuery,
    Unsupported,
    hookimpl,
)

HASH_SECONDS = 5.0  # for hashes in one look at a model: the host waits 20 s for all of it
BLOCK = 1024 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)", re.IGNORECASE)
QUANTIZATION = re.compile(
    r"(?<![A-Z0-9])(?:UD-)?(?:I?Q\d_(?:[01]|K(?:_(?:S|M|L|XL))?|XXS|XS|S|M|NL)|TQ\d_0|BF16|F16|F32|MXFP4)(?![A-Z0-9_])",
    re.IGNORECASE,
)


class FolderConfig(Config):
    """The plugin's own settings. Without a folder it is not called."""

    folder: str = Field(
        title="Folder",
        description="Where your GGUF files are, such as /srv/models",
        json_schema_extra={"env": "MOORAGE_FOLDER"},
    )

    @field_validator("folder")
    @classmethod
    def is_a_whole_path(cls, folder: str) -> str:
        folder = os.path.expanduser(folder.strip())
        if not os.path.isabs(folder) or "\0" in folder:
            raise ValueError("must be a whole path, such as /srv/models")
        return folder


class FolderPlugin:
    TITLE = "Folder"

    def __init__(self) -> None:
        self._begun: dict[str, tuple[Any, int]] = {}  # hashes of large files, and how many bytes they have

    @hookimpl
    def register_config(self) -> type[Config]:
        return FolderConfig

    @hookimpl
    def search_models(self, query: SearchQuery, context: PluginContext) -> SearchPage:
        models, notice = look_into(context.config.folder)
        ids = matching(query, models)
        start = offset(query.cursor)
        end = start + query.limit
        return SearchPage(
            results=tuple(ModelHit(**facts(id, models[id], context)) for id in ids[start:end]),
            cursor=str(end) if end < len(ids) else None,
            notice=notice,
        )

    @hookimpl
    def describe_model(self, ref: ModelRef, context: PluginContext) -> ModelDetail:
        models, _ = look_into(context.config.folder)
        if ref.id not in models:  # an id is looked up and never made into a path, so none leads out of the folder
            raise NotFound(f"The folder has no {ref.id}.", hint="It may have been moved. Search again.")
        known = facts(ref.id, models[ref.id], context)
        if ref.revision not in (None, known["revision"]):
            raise NotFound(f"{ref.id} has changed since it was found.", hint="Search again.")
        until = time.monotonic() + HASH_SECONDS
        smallest_first = sorted(models[ref.id], key=lambda file: file.size)
        hashes = {file: self._sha256(file, context, until) for file in smallest_first}
        missing = [file.name for file in models[ref.id] if hashes[file] is None]
        return ModelDetail(
            **known,
            gate=Gate(state="open"),
            files=tuple(model_file(parts, hashes) for parts in sets(models[ref.id])),
            partial=bool(missing),
            notice=f"No hash yet of {', '.join(missing)}. Look again to go on with it." if missing else None,
        )

    def _sha256(self, file: "File", context: PluginContext, until: float) -> str | None:
        """Computed once for each state of a file. None where the time is up (the next look goes on), or it changes."""
        state = hashlib.sha256(os.fsencode(f"{file.path} {file.size} {file.changed}")).hexdigest()
        kept = context.data_dir / state
        with suppress(OSError):
            if len(known := kept.read_text()) == 64:
                return known
        digest, offset = self._begun.pop(state, (hashlib.sha256(), 0))
        with suppress(OSError), file.path.open("rb") as opened:
            opened.seek(offset)
            while block := opened.read(BLOCK):
                digest.update(block)
                if time.monotonic() > until or context.cancelled():
                    self._begun[state] = (digest, opened.tell())
                    return None
            now = os.fstat(opened.fileno())
            if (now.st_size, now.st_mtime_ns) == (file.size, file.changed):
                kept.write_text(digest.hexdigest())
                return str(digest.hexdigest())
        return None


class File(NamedTuple):
    """A file as it is now. `name` is within its model, `path` without links, `changed` in nanoseconds since 1970."""

    name: str
    path: Path
    size: int
    changed: int


def look_into(folder: str) -> tuple[dict[str, list[File]], str | None]:
    """The models by id, each with its files, and a sentence about what could not be read."""
    root = Path(os.path.realpath(folder))
    if not os.path.isdir(root):
        raise InvalidConfig(
            f"There is no folder {folder}.",
            hint="Make it and put GGUF files into it, or name another one at Settings, Plugins (MOORAGE_FOLDER).",
        )
    found: dict[str, list[File]] = {}
    closed: list[OSError] = []
    for directory, _, names in os.walk(root, onerror=closed.append):  # links to folders are not followed
        for path in (Path(directory, name) for name in names):
            first, *rest = path.relative_to(root).parts
            if file := as_file(path, "/".join(rest) or first, root):
                found.setdefault(f"folder/{first if rest else SHARD.sub('', first)}", []).append(file)
    whole = {id: [file for parts in sets(files) for file in parts] for id, files in found.items()}
    models = {id: files for id, files in whole.items() if any(role(file.name) == "model" for file in files)}
    return models, f"Moorage may not read {len(closed)} of its folders." if closed else None


def as_file(path: Path, name: str, root: Path) -> File | None:
    """None for what belongs to no model, leads out of the folder, cannot be shown, or is gone by now."""
    if not str(path).isprintable() or not (name.lower().endswith(".gguf") or "imatrix" in path.name.lower()):
        return None
    with suppress(OSError, RuntimeError):
        real = path.resolve(strict=True)
        now = real.stat()
        if real.is_relative_to(root) and stat.S_ISREG(now.st_mode):
            return File(name, real, now.st_size, now.st_mtime_ns)
    return None


def shard(name: str) -> tuple[str, int, int]:
    """What the shards of one file have in common, the number and the total. A whole file is its only shard."""
    found = SHARD.search(name)
    return (SHARD.sub(r"-of-\2", name), int(found[1]), int(found[2])) if found else (name, 1, 1)


def sets(files: list[File]) -> list[list[File]]:
    """What there is to choose from: the shards of one file, in their order. Where one is missing, none is offered."""
    found: dict[tuple[str, int], list[File]] = {}
    for file in sorted(files):
        common, _, total = shard(file.name)
        found.setdefault((common, total), []).append(file)
    return [
        parts
        for (_, total), parts in found.items()
        if [shard(part.name)[1] for part in parts] == list(range(1, total + 1))
    ]


def role(name: str) -> Literal["model", "projector", "other"]:
    base = name.lower().rpartition("/")[2]
    if "imatrix" in base or not base.endswith(".gguf"):
        return "other"
    return "projector" if "mmproj" in base else "model"


def quantization(name: str) -> str | None:
    """From the name of the file, else of the folder that it is in."""
    for word in reversed(name.split("/")):
        if labels := QUANTIZATION.findall(word):
            return str(labels[-1]).upper()
    return None


def matching(query: SearchQuery, models: dict[str, list[File]]) -> list[str]:
    """The ids that meet the query, in its order. What a folder cannot say of a model, it cannot have found."""
    asked = (query.author, query.task, query.license, query.language, query.served_by)
    if query.gated or any(value is not None for value in (*asked, query.min_parameters, query.max_parameters)):
        return []
    words = query.text.casefold().split()
    ids = sorted(id for id in models if all(word in id.casefold() for word in words))
    if query.sort in ("created", "updated"):  # files here have no better time of creation than that of their oldest
        one = min if query.sort == "created" else max
        ids.sort(key=lambda id: one(file.changed for file in models[id]), reverse=True)
    return ids


def offset(cursor: str | None) -> int:
    """A cursor says how many were shown already. It comes back from outside, so it may be anything."""
    if cursor is not None and not re.fullmatch("[0-9]{1,9}", cursor):
        raise Unsupported("The folder does not know this page.", hint="Search again.")
    return int(cursor or 0)


def facts(id: str, files: list[File], context: PluginContext) -> dict[str, Any]:
    """What a result and a detail have in common. With any change of a file the revision is another one."""
    states = sorted((file.name, file.size, file.changed) for file in files)
    newest = max(file.changed for file in files)
    return {
        "source": context.plugin,
        "id": id,
        "has_gguf": True,
        "updated_at": EPOCH + timedelta(microseconds=newest // 1000),
        "revision": hashlib.sha256(repr(states).encode()).hexdigest(),
    }


def model_file(parts: list[File], hashes: dict[File, str | None]) -> ModelFile:
    first, *others = parts
    return ModelFile(
        name=first.name,
        size=sum(part.size for part in parts),
        sha256=None if others else hashes[first],
        quantization=quantization(first.name),
        shards=tuple(part.name for part in parts) if others else (),
        role=role(first.name),
        parts=tuple(
            FilePart(
                name=part.name,
                size=part.size,
                sha256=hashes[part],
                url=part.path.as_uri(),
                version=str(part.changed),  # where there is no hash, this tells two states of the file apart
            )
            for part in parts
        ),
    )
