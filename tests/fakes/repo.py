"""What the fake Hub holds: repositories, their commits and their files, with the hashes that git and LFS would give."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

LFS_SUFFIXES = (".gguf", ".safetensors", ".bin", ".h5", ".pt", ".onnx")
LFS_FROM = 10_000_000  # bytes; smaller files of other kinds are plain git blobs
CHUNK = 256 * 1024


@dataclass(frozen=True)
class SparseFile:
    """`size` bytes made on the fly: `head`, then noise from `seed`. Nothing is stored."""

    size: int
    seed: int = 0
    head: bytes = b""

    @cached_property
    def _noise(self) -> bytes:
        # The period is prime, so that a block written at a wrong offset changes the hash.
        return random.Random(self.seed).randbytes(1_000_003)

    def read(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        start = offset % len(self._noise)
        times = (start + length) // len(self._noise) + 1
        data = (self._noise * times)[start : start + length]
        kept = self.head[offset : offset + length]
        return kept + data[len(kept) :]


class Blob:
    """One file's bytes. Hashes are computed once, when first asked for; a `Blob` may be shared between repositories."""

    def __init__(self, content: bytes | Path | SparseFile) -> None:
        self.content = content

    @cached_property
    def size(self) -> int:
        if isinstance(self.content, Path):
            return self.content.stat().st_size
        return len(self.content) if isinstance(self.content, bytes) else self.content.size

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, in pieces of at most 256 KiB."""
        stop = self.size if stop is None else stop
        if isinstance(self.content, Path):
            with self.content.open("rb") as file:
                file.seek(start)
                while start < stop and (data := file.read(min(CHUNK, stop - start))):
                    start += len(data)
                    yield data
            return
        for at in range(start, stop, CHUNK):
            end = min(at + CHUNK, stop)
            yield self.content[at:end] if isinstance(self.content, bytes) else self.content.read(at, end - at)

    def read(self) -> bytes:
        return b"".join(self.chunks())

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    @cached_property
    def git_sha1(self) -> str:
        digest = hashlib.sha1(b"blob %d\0" % self.size)
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    @property
    def pointer(self) -> bytes:
        """The text that git keeps in place of an LFS file."""
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
            self.sha256.encode(),
            self.size,
        )

    @property
    def xet_hash(self) -> str:
        """What the CDN uses as ETag; like the real one it has 64 hexadecimal digits and is not the sha256."""
        return hashlib.sha256(b"xet" + self.sha256.encode()).hexdigest()


Content = bytes | Path | SparseFile | Blob


@dataclass(frozen=True)
class RepoFile:
    path: str
    blob: Blob

    @property
    def is_lfs(self) -> bool:
        return self.path.lower().endswith(LFS_SUFFIXES) or self.blob.size > LFS_FROM

    @property
    def oid(self) -> str:
        """git's sha1, of the pointer for an LFS file."""
        return Blob(self.blob.pointer).git_sha1 if self.is_lfs else self.blob.git_sha1

    def sibling(self, blobs: bool) -> dict[str, Any]:
        """As in `siblings` of the detail answer."""
        entry: dict[str, Any] = {"rfilename": self.path}
        if blobs:
            entry |= {"size": self.blob.size, "blobId": self.oid}
            if self.is_lfs:
                entry["lfs"] = {
                    "sha256": self.blob.sha256,
                    "size": self.blob.size,
                    "pointerSize": len(self.blob.pointer),
                }
        return entry

    def tree_entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "oid": self.oid, "size": self.blob.size, "path": self.path}
        if self.is_lfs:
            entry["lfs"] = {"oid": self.blob.sha256, "size": self.blob.size, "pointerSize": len(self.blob.pointer)}
            entry["xetHash"] = self.blob.xet_hash
        return entry


@dataclass(frozen=True)
class Commit:
    sha: str
    title: str
    date: datetime
    files: dict[str, RepoFile]


@dataclass
class Repo:
    """A model repository. `None`, `()` and `{}` mean that the Hub does not say it: the key is then absent."""

    id: str
    files: dict[str, Content] = field(default_factory=dict)
    downloads: int = 0
    likes: int = 0
    trending: int = 0
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library_name: str | None = None
    gated: Literal[False, "auto", "manual"] = False
    private: bool = False
    disabled: bool = False
    license: str | None = None
    languages: tuple[str, ...] = ()
    gguf: dict[str, Any] | None = None  # total (parameters), architecture, context_length, chat_template, ...
    safetensors: dict[str, int] | None = None  # parameters by data type
    apps: tuple[str, ...] = ()
    num_parameters: int | None = None
    created: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    modified: datetime = datetime(2024, 6, 1, tzinfo=UTC)
    providers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by name: status, providerId, task, ...
    aliases: tuple[str, ...] = ()  # former ids, answered with a redirect
    branches: tuple[str, ...] = ("main",)
    config: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] | None = None
    unsafe: dict[str, str] = field(default_factory=dict)  # path -> securityFileStatus.status
    commits: list[Commit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._commit({}, self.files, "Upload model", self.modified)

    def push(self, files: dict[str, Content], title: str = "Update", when: datetime | None = None) -> str:
        """Commit files to every branch and return the new sha; earlier commits stay reachable by theirs."""
        self.modified = when or self.modified + timedelta(days=1)
        self._commit(self.commits[-1].files, files, title, self.modified)
        return self.sha

    def _commit(self, base: dict[str, RepoFile], files: dict[str, Content], title: str, date: datetime) -> None:
        blobs = {path: content if isinstance(content, Blob) else Blob(content) for path, content in files.items()}
        merged = base | {path: RepoFile(path, blob) for path, blob in blobs.items()}
        sha = hashlib.sha1(f"{self.id}#{len(self.commits)}".encode()).hexdigest()
        self.commits.append(Commit(sha, title, date, dict(sorted(merged.items()))))

    @property
    def sha(self) -> str:
        return self.commits[-1].sha

    def commit(self, revision: str) -> Commit | None:
        """The commit that a branch, `refs/heads/...` or a full sha names."""
        if revision.removeprefix("refs/heads/") in self.branches:
            return self.commits[-1]
        return next((commit for commit in self.commits if commit.sha == revision), None)

    @property
    def author(self) -> str:
        return self.id.split("/")[0]

    @property
    def object_id(self) -> str:
        return hashlib.sha1(self.id.encode()).hexdigest()[:24]

    @property
    def has_gguf(self) -> bool:
        return self.gguf is not None or any(path.endswith(".gguf") for path in self.commits[-1].files)

    @property
    def all_tags(self) -> list[str]:
        """What `tags` shows and `filter` looks at."""
        tags = [self.library_name, *self.tags, "gguf" if self.has_gguf else None, *self.languages]
        tags += [f"license:{self.license}" if self.license else None, "region:us"]
        return list(dict.fromkeys(tag for tag in tags if tag))

    @property
    def parameters(self) -> int | None:
        if self.num_parameters is not None:
            return self.num_parameters
        if self.safetensors is not None:
            return sum(self.safetensors.values())
        return (self.gguf or {}).get("total")

    @property
    def is_warm(self) -> bool:
        return any(entry.get("status", "live") == "live" for entry in self.providers.values())


@dataclass
class Token:
    """An access token. `granted` names the private and gated repositories it may read beyond its owner's own.

    `rejected` and `pending` name gated ones whose authors have refused access, or have not answered yet. `scoped` and
    `everywhere` are what `whoami` says of a fine-grained token; by themselves they change nothing.
    """

    name: str
    role: Literal["read", "write", "god", "fineGrained"] = "read"
    granted: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    pending: set[str] = field(default_factory=set)
    scoped: list[dict[str, Any]] = field(default_factory=list)
    everywhere: list[str] = field(default_factory=list)
    revoked: bool = False
    is_pro: bool = False
    orgs: tuple[str, ...] = ()
    may_infer: bool = True  # "Make calls to Inference Providers"
    credits: bool = True

    def may_read(self, repo: Repo) -> bool:
        return repo.author in (self.name, *self.orgs) or repo.id in self.granted
