"""A source and a target in one plugin, for saved searches: models come and go, and each can be hard to take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from moorage import (
    Capabilities,
    Config,
    Disk,
    FilePart,
    Gate,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    ModelDetail,
    ModelFile,
    ModelHit,
    ModelRef,
    MoorageError,
    Problem,
    ProviderModel,
    ProviderPreset,
    ProviderSpec,
    SearchPage,
    SearchQuery,
    TargetFacts,
    hookimpl,
)
from moorage.models.gates import GateState

GB = 10**9
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Duck:
    """A model of the pond; `files` are sizes in bytes by quantisation."""

    id: str
    files: dict[str, int] = field(default_factory=lambda: {"Q4_K_M": GB, "Q8_0": 2 * GB})
    gate: GateState = "open"
    downloads: int = 0
    created: datetime | None = BEGAN
    revision: str = "c1"


class Pond:
    """`ducks` are what it has; `error` is what a search raises, `describe_error` a look at one."""

    def __init__(self, name: str = "pond") -> None:
        self.name = name
        self.ducks: list[Duck] = []
        self.queries: list[SearchQuery] = []
        self.described: list[str] = []
        self.error: MoorageError | None = None
        self.error_of: Callable[[SearchQuery], MoorageError | None] = lambda query: None
        self.describe_error: MoorageError | None = None
        self.problems: tuple[Problem, ...] = ()
        self.memory = 16 * GB
        self.limit = 100
        self.ignores_limit = False

    def add(self, *ids: str, **more: object) -> None:
        """Each is newer than those before, and has fewer downloads."""
        for id in ids:
            number = len(self.ducks)
            values = {"created": BEGAN + timedelta(hours=number), "downloads": 1_000_000 - number, **more}
            self.ducks.append(Duck(id, **values))  # type: ignore[arg-type]  # of a test's own choice

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        preset = ProviderPreset(id=f"{self.name}-shore", name="The shore")
        able = Capabilities(install=True)
        return [ProviderSpec(type=self.name, label="Pond", config=Config, capabilities=able, preset=preset)]

    @hookimpl
    def search_models(self, query: SearchQuery) -> SearchPage:
        self.queries.append(query)
        error = self.error or self.error_of(query)
        if error is not None:
            raise error

        def place(duck: Duck) -> tuple[float, str]:
            if query.sort == "created":
                return -(duck.created or BEGAN).timestamp(), duck.id
            return -duck.downloads, duck.id

        found = sorted((duck for duck in self.ducks if query.text in duck.id), key=place)
        limit = self.limit if self.ignores_limit else min(self.limit, query.limit)
        return SearchPage(results=tuple(self._hit(duck) for duck in found[:limit]))

    def _hit(self, duck: Duck) -> ModelHit:
        return ModelHit(source=self.name, id=duck.id, downloads=duck.downloads, created_at=duck.created, has_gguf=True)

    @hookimpl
    def describe_model(self, ref: ModelRef) -> ModelDetail:
        self.described.append(ref.id)
        if self.describe_error is not None:
            raise self.describe_error
        duck = next(duck for duck in self.ducks if duck.id == ref.id)
        files = tuple(
            ModelFile(
                name=f"{label}.gguf",
                size=size,
                quantization=label,
                parts=(FilePart(name=f"{label}.gguf", size=size, url="http://127.0.0.1:9/nobody"),),
            )
            for label, size in duck.files.items()
        )
        gate = Gate(state=duck.gate, url="https://pond.example")
        return ModelDetail(source=self.name, id=duck.id, revision=duck.revision, gate=gate, files=files, parameters=GB)

    @hookimpl
    def describe_target(self) -> TargetFacts:
        return TargetFacts(memory=self.memory, gpu_memory=0)

    @hookimpl
    def list_models(self) -> list[ProviderModel]:
        return []

    @hookimpl
    def plan_install(self, request: InstallRequest) -> InstallPlan:
        return InstallPlan(
            target=request.target,
            source=request.model.source,
            model=request.model.id,
            revision=request.model.revision,
            file=request.file,
            name=f"{request.model.id}:{request.file.quantization}",
            road="pull",
            files=request.file.parts,
            bytes=request.file.size,
            disk=Disk(free=None, needed=None, ok=True),
            gate=request.model.gate,
            problems=() if request.ask_target is False else self.problems,
        )

    @hookimpl
    def install_model(self, plan: InstallPlan) -> Iterator[InstallProgress]:
        yield InstallProgress(phase="downloading", completed=plan.bytes, total=plan.bytes)
