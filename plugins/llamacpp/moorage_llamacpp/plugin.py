"""The hooks of the built-in engine. One object per host, since it holds a child process."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from typing import Any

from moorage import (
    Cancelled,
    Capabilities,
    CompletionEvent,
    CompletionRequest,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    PluginContext,
    Provider,
    ProviderModel,
    ProviderPreset,
    ProviderSpec,
    TargetFacts,
    Unreachable,
    Unsupported,
    chat_completion_body,
    hookimpl,
    read_chat_completion,
)
from moorage_llamacpp.child import Child, Wanted
from moorage_llamacpp.config import EngineProvider, Options, Settings
from moorage_llamacpp.engine import Engine
from moorage_llamacpp.library import Library
from moorage_llamacpp.mapping import GET_ENGINE, MISSING, planned, refusal, shown

REMOVE_SECONDS = 30.0
SILENCE_SECONDS = 600.0  # the engine says every 10 s that it is alive, but not within one batch of a long prompt


class LlamaCppPlugin:
    """`package` is the engine's; it is never imported in this process, since a crash in it would end the host."""

    TITLE = "Built-in engine"

    def __init__(self, package: str = "xllamacpp") -> None:
        self._package = package
        self._engine: Engine | None = None
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Called by the host when it closes: end the child process."""
        with self._lock:
            engine, self._engine = self._engine, None
            self._closed = True
        if engine is not None:
            engine.close()

    @hookimpl
    def register_config(self) -> type[Settings]:
        return Settings

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        return [
            ProviderSpec(
                type="llamacpp",
                label="Built-in engine",
                description="Runs a GGUF file on this machine; nothing else is needed.",
                config=EngineProvider,
                options=Options,
                capabilities=Capabilities(chat=True, tools=True, install=True),
                preset=ProviderPreset(id="builtin", name="Built-in engine"),
            )
        ]

    @hookimpl
    def list_models(self, provider: Provider, context: PluginContext) -> list[ProviderModel]:
        self._require()
        engine = self._engine
        loaded = engine.loaded if engine is not None else None
        return [shown(model, loaded) for model in Library(context.data_dir).list()]

    @hookimpl
    def describe_target(self, provider: Provider) -> TargetFacts:
        return TargetFacts(here=True, gpu_memory=0)  # the engine's wheel computes with the processor only

    @hookimpl
    def plan_install(self, request: InstallRequest, context: PluginContext) -> InstallPlan:
        return planned(request, engine_here=self._available())

    @hookimpl
    def install_model(self, plan: InstallPlan, context: PluginContext) -> Iterator[InstallProgress]:
        self._require()
        paths = yield from context.fetch(plan.files)
        yield InstallProgress(phase="importing", completed=plan.bytes, total=plan.bytes)
        self._unload(plan.name)
        Library(context.data_dir).add(plan, paths)

    @hookimpl
    def remove_model(self, provider: Provider, model: str, context: PluginContext) -> None:
        library = Library(context.data_dir)
        library.get(model)
        self._unload(model)
        library.remove(model)

    @hookimpl
    def complete(self, request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        self._require()
        library = Library(context.data_dir)
        model = library.get(request.model)
        options: Options = request.options or Options()
        length = options.context_length or request.context_length
        wanted = Wanted(
            model.name,
            library.path(model),
            min(length, model.context_length or length),
            context.config.threads,
            model.installed_at.isoformat(),
        )
        idle = context.config.idle_minutes * 60
        with self._running(context).serving(wanted, idle_seconds=idle, cancelled=context.cancelled) as child:
            try:
                yield from _answer(child, request, options, context)
            except Unreachable:
                if not child.ended_within(0.5):
                    raise
                raise Unreachable(
                    f"The built-in engine stopped while answering ({child.how_it_ended()}).",
                    hint="It starts again with the next message. If it stops again, there may be too little memory: "
                    "try a smaller file or a shorter context.",
                ) from None

    def _available(self) -> bool:
        return importlib.util.find_spec(self._package) is not None

    def _require(self) -> None:
        if not self._available():
            raise Unsupported(MISSING, hint=GET_ENGINE)

    def _running(self, context: PluginContext) -> Engine:
        with self._lock:
            if self._closed:
                raise Cancelled("It was stopped.")
            if self._engine is None:
                self._engine = Engine(context.data_dir, context.log)
            return self._engine

    def _unload(self, name: str) -> None:
        engine = self._engine
        if engine is not None:
            engine.unload(name, wait=REMOVE_SECONDS)


def _answer(
    child: Child, request: CompletionRequest, options: Options, context: PluginContext
) -> Iterator[CompletionEvent]:
    chosen = options.model_dump(exclude_none=True, exclude={"context_length"})
    body = {**chosen, **chat_completion_body(request)}
    url = f"{child.url}/v1/chat/completions"
    with context.http.stream(
        "POST", url, json=body, key=child.key, first_timeout=SILENCE_SECONDS, idle_timeout=SILENCE_SECONDS
    ) as response:
        if response.status >= 400:
            raise refusal(_json(response.read()))
        yield from read_chat_completion(response.events(), refusal)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
