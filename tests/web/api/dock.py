"""A plugin that does everything and reaches nothing: a source, a target, settings. Tests hold its strings."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from pydantic import Field, SecretStr

from moorage import (
    Capabilities,
    Config,
    Disk,
    FilePart,
    Gate,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    KeyAbility,
    KeyCheck,
    ModelDetail,
    ModelFile,
    ModelHit,
    ModelRef,
    MoorageError,
    NotFound,
    Problem,
    Provider,
    ProviderModel,
    ProviderSpec,
    SearchPage,
    SearchQuery,
    hookimpl,
)

MODEL = "acme/tug-GGUF"
SIZE = 1000


class DockSettings(Config):
    token: SecretStr | None = None
    mirror_endpoint: str = Field(default="https://dock.example", json_schema_extra={"env": "DOCK_MIRROR"})


class DockConfig(Config):
    endpoint: str = "http://127.0.0.1:8998"


class Dock:
    """`go` lets an install finish, `may_list` an answer to what is installed.

    `search_error` and `problems` are what it says instead.
    """

    def __init__(self) -> None:
        self.go = threading.Event()
        self.may_list = threading.Event()
        self.may_list.set()
        self.queries: list[SearchQuery] = []
        self.search_error: MoorageError | None = None
        self.problems: tuple[Problem, ...] = ()
        self.installed: list[str] = []

    @hookimpl
    def register_config(self) -> type[DockSettings]:
        return DockSettings

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        able = Capabilities(install=True)
        return [ProviderSpec(type="dock", label="Dock", config=DockConfig, capabilities=able, search_source="dock")]

    @hookimpl
    def search_models(self, query: SearchQuery) -> SearchPage:
        self.queries.append(query)
        if self.search_error is not None:
            raise self.search_error
        return SearchPage(results=(ModelHit(source="dock", id=MODEL, has_gguf=True),), cursor="more")

    @hookimpl
    def describe_model(self, ref: ModelRef) -> ModelDetail:
        if ref.id != MODEL:
            raise NotFound(f"There is no model {ref.id}.")
        files = tuple(
            ModelFile(
                name=f"tug-{label}.gguf",
                size=SIZE * (number + 1),
                quantization=label,
                parts=(
                    FilePart(name=f"tug-{label}.gguf", size=SIZE * (number + 1), url=f"https://dock.example/{label}"),
                ),
            )
            for number, label in enumerate(("Q4_K_M", "Q8_0"))
        )
        return ModelDetail(source="dock", id=MODEL, revision="c0ffee", gate=Gate(state="open"), files=files)

    @hookimpl
    def check_key(self) -> KeyCheck:
        return KeyCheck(account="ada", kind="read", abilities=(KeyAbility(name="Read", allowed=True),))

    @hookimpl
    def list_models(self, provider: Provider) -> list[ProviderModel]:
        self.may_list.wait(15)
        return [ProviderModel(name=name, size=SIZE) for name in self.installed]

    @hookimpl
    def plan_install(self, request: InstallRequest) -> InstallPlan:
        return InstallPlan(
            target=request.target,
            source="dock",
            model=request.model.id,
            revision=request.model.revision,
            file=request.file,
            name=f"tug:{request.file.quantization}",
            road="pull",
            files=request.file.parts,
            bytes=request.file.size,
            disk=Disk(free=None, needed=None, ok=True),
            gate=request.model.gate,
            problems=self.problems,
        )

    @hookimpl
    def install_model(self, plan: InstallPlan) -> Iterator[InstallProgress]:
        done = 0
        while not self.go.wait(0.02):
            yield InstallProgress(phase="downloading", completed=done, total=plan.bytes)
            done = min(done + 1, plan.bytes - 1)
        self.installed.append(plan.name)
        yield InstallProgress(phase="downloading", completed=plan.bytes, total=plan.bytes)

    @hookimpl
    def remove_model(self, provider: Provider, model: str) -> None:
        if model not in self.installed:
            raise NotFound(f"There is no model {model} here.")
        self.installed.remove(model)
