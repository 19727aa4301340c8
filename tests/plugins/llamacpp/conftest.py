"""The plugin with a context of its own: the real door, and files that are there already instead of a download."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    FilePart,
    InstallProgress,
    InstallRequest,
    ModelDetail,
    ModelFile,
    PluginContext,
    Provider,
    TextDelta,
    Tool,
)
from moorage.http import CallScope, HttpDoor
from moorage_llamacpp.config import EngineProvider, Options, Settings
from moorage_llamacpp.plugin import LlamaCppPlugin

QUESTION = "Tell me a long story about the sea."


def provider(model: str | None = None) -> Provider:
    return Provider(
        id="builtin", name="Built-in engine", type="llamacpp", config=EngineProvider(model=model), model=model
    )


def install_request(*parts: FilePart, model: str = "org/small-GGUF", **fields: Any) -> InstallRequest:
    """A request for one file, or for shards, of a model that says nothing about itself unless told to."""
    file = ModelFile(
        name=parts[0].name,
        size=sum(part.size for part in parts),
        quantization=fields.pop("quantization", "Q4_1"),
        shards=tuple(part.name for part in parts) if len(parts) > 1 else (),
        role=fields.pop("role", "model"),
        parts=parts,
    )
    road = fields.pop("road", None)
    detail = ModelDetail(source="hub", id=model, revision="a" * 40, files=(file,), **fields)
    return InstallRequest(target=provider(), model=detail, file=file, road=road)


def text_of(events: Sequence[CompletionEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@dataclass
class Bench:
    """One plugin as a host has it, with its data directory, and shelves of downloaded files beside it."""

    home: Path
    door: HttpDoor
    plugin: LlamaCppPlugin = field(default_factory=LlamaCppPlugin)
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.data_dir = self.home / "plugins" / "llamacpp"
        self.blobs = self.home / "models" / "blobs"
        for directory in (self.data_dir, self.blobs):
            directory.mkdir(parents=True, exist_ok=True)

    def context(self, scope: CallScope | None = None, paths: Sequence[Path] = ()) -> PluginContext:
        scope = scope or CallScope(None)

        def fetch(parts: Sequence[FilePart]) -> Generator[InstallProgress, None, tuple[Path, ...]]:
            yield InstallProgress(phase="downloading", completed=0, total=sum(part.size for part in parts))
            return tuple(paths)

        return PluginContext(
            plugin="llamacpp",
            config=self.settings,
            http=self.door.client("provider", scope=scope),
            fetch=fetch,
            data_dir=self.data_dir,
            log=logging.getLogger("moorage.plugin.llamacpp"),
            cancelled=lambda: scope.cancelled,
        )

    def blob(self, content: bytes | Path) -> Path:
        """A file as a finished download is kept."""
        if isinstance(content, bytes):
            path = self.blobs / hashlib.sha256(content).hexdigest()
            path.write_bytes(content)
            return path
        path = self.blobs / hashlib.sha256(content.name.encode()).hexdigest()
        if not path.exists():
            try:
                os.link(content, path)
            except OSError:
                shutil.copyfile(content, path)
        return path

    def install(self, *contents: bytes | Path, model: str = "org/small-GGUF", names: Sequence[str] = ()) -> str:
        """Install as the host does, and give the name the model has then."""
        paths = [self.blob(content) for content in contents]
        names = names or ["small.Q4_1.gguf"]
        parts = [
            FilePart(name=name, size=path.stat().st_size, url=f"http://127.0.0.1/{name}")
            for name, path in zip(names, paths, strict=True)
        ]
        plan = self.plugin.plan_install(install_request(*parts, model=model), self.context())
        assert plan.ok, plan.problems
        progress = list(self.plugin.install_model(plan, self.context(paths=paths)))
        assert [step.phase for step in progress] == ["downloading", "importing"]
        return plan.name

    def start(
        self,
        model: str,
        question: str = QUESTION,
        *,
        scope: CallScope | None = None,
        max_tokens: int | None = 16,
        tools: tuple[Tool, ...] = (),
        **options: Any,
    ) -> Iterator[CompletionEvent]:
        """The generator of one answer."""
        request = CompletionRequest(
            provider=provider(model),
            model=model,
            messages=(ChatMessage(role="user", content=question),),
            tools=tools,
            options=Options(**options),
            max_tokens=max_tokens,
        )
        return self.plugin.complete(request, self.context(scope))

    def answer(self, model: str, question: str = QUESTION, **more: Any) -> list[CompletionEvent]:
        return list(self.start(model, question, **more))

    @property
    def loaded(self) -> list[str]:
        return [model.name for model in self.plugin.list_models(provider(), self.context()) if model.loaded]

    @property
    def pid(self) -> int:
        """Of the engine's process."""
        engine = self.plugin._engine
        assert engine is not None
        assert engine._child is not None
        return engine._child.process.pid


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    benches: list[Bench] = []

    def make(home: str = "home", **fields: Any) -> Bench:
        bench = Bench(tmp_path / home, HttpDoor(user_agent="moorage/test"), **fields)
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        bench.plugin.close()
        bench.door.close()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()
