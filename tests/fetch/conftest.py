"""A Hub with one model, its CDN, and a downloader that does not wait long."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from moorage.fetch import Downloader, Patience
from moorage.http import CallScope, HttpDoor
from moorage.models import Credential, FilePart, InstallProgress
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Blob, Repo, SparseFile, Token

SIZE = 3_000_000
CONTENT = SparseFile(SIZE, seed=3, head=b"GGUF")
WHOLE = Blob(CONTENT)


@dataclass
class Desk:
    """What a test of a download needs."""

    hub: FakeHub
    downloader: Downloader
    directory: Path
    part: FilePart
    credential: Credential

    def run(self, *parts: FilePart, scope: CallScope | None = None, owner: str | None = None) -> Result:
        """Fetch to the end, and give the paths and all that was told."""
        fetching = self.downloader.fetch(parts or (self.part,), credential=self.credential, scope=scope, owner=owner)
        told: list[InstallProgress] = []
        while True:
            try:
                told.append(next(fetching))
            except StopIteration as end:
                return Result(end.value, told)

    def files(self) -> list[str]:
        """Every file that is there, relative to the directory."""
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file())

    @property
    def unfinished(self) -> list[str]:
        return [name for name in self.files() if not name.startswith("blobs/") and not name.endswith(".lock")]


@dataclass
class Result:
    paths: tuple[Path, ...]
    told: list[InstallProgress]

    @property
    def messages(self) -> str:
        return "\n".join(progress.message for progress in self.told if progress.message)


def file_part(hub: FakeHub, path: str, content: SparseFile | bytes, *, repo: str = "acme/m") -> FilePart:
    blob = Blob(content)
    url = f"{hub.url}/{repo}/resolve/{hub.repos[repo].sha}/{path}"
    return FilePart(name=path, size=blob.size, sha256=blob.sha256, url=url)


def is_right(desk: Desk) -> bool:
    """Whether the file is there, right, and nothing else."""
    return desk.downloader.path(desk.part).read_bytes() == WHOLE.read() and desk.unfinished == []


def ranges(desk: Desk) -> list[str | None]:
    """The ranges that the CDN was asked for, request by request."""
    return [seen.headers.get("range") for seen in desk.hub.cdn.requests]


def is_honest(told: list[InstallProgress]) -> bool:
    """What is shown falls only where it says that it begins again, and then says why."""
    return all(
        now.again or (now.completed or 0) >= (before.completed or 0) for before, now in itertools.pairwise(told)
    ) and all(progress.message for progress in told if progress.again)


def half(desk: Desk, owner: str) -> None:
    """Fetch some of the file for this install, and stop."""
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 4))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential, owner=owner)
    next(progress for progress in fetching if progress.message)
    fetching.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    hub = FakeHub()
    hub.tokens = {"hf_good": Token("ada", granted={"acme/gated"})}
    hub.add(Repo("acme/m", {"m.gguf": CONTENT}))
    door = HttpDoor()
    patience = Patience(silence=0.4, tries=3, first_pause=0.01)
    with hub:
        downloader = Downloader(door, tmp_path / "models", reserve=0, patience=patience)
        credential = Credential(value=SecretStr("hf_good"), origins=(hub.url,))
        yield Desk(hub, downloader, tmp_path / "models", file_part(hub, "m.gguf", CONTENT), credential)
    door.close()
