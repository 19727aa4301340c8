"""The hooks of the built-in engine. One object per host, since it holds a child process."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from typing import Any

from moorage import (
    Capabilities,
    CompletionEvent,
    CompletionRequest,
    Disk,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    PluginContext,
    Problem,
    Provider,
    ProviderModel,
    ProviderPreset,
    ProviderSpec,
    Unreachable,
    Unsupported,
    chat_completion_body,
    hookimpl,
    read_chat_completion,
)
from moorage_llamacpp.config import EngineProvider, Options, Settings
from moorage_llamacpp.engine import Child, Engine, Wanted
from moorage_llamacpp.library import Installed, Library

GET_ENGINE = "Install it with: pip install 'moorage[llamacpp]' (make run does so where a wheel exists)."
SILENCE_SECONDS = 600.0  # a long prompt on a slow machine is silent for minutes


def engine_available() -> bool:
    """Whether the engine's package is installed; it is never imported in this process."""
    return importlib.util.find_spec("xllamacpp") is not None


class LlamaCppPlugin:
    TITLE = "Built-in engine"

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Called by the host when it closes: end the child process."""
        with self._lock:
            engine, self._engine = self._engine, None
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
        loaded = self._engine.loaded if self._engine is not None else None
        return [_shown(model, loaded) for model in Library(context.data_dir).list()]

    @hookimpl
    def plan_install(self, request: InstallRequest, context: PluginContext) -> InstallPlan:
        file = request.file
        problems = []
        if not engine_available():
            problems.append(
                Problem(code="engine-missing", message="The built-in engine is not installed.", hint=GET_ENGINE)
            )
        if file.role != "model":
            problems.append(Problem(code="not-a-model", message=f"{file.name} is no model by itself."))
        if request.road == "pull":
            problems.append(Problem(code="road", message="The built-in engine always imports.", hint="Leave road out."))
        label = file.quantization or file.name.rpartition("/")[2].removesuffix(".gguf")
        return InstallPlan(
            target=request.target,
            source=request.model.source,
            model=request.model.id,
            revision=request.model.revision,
            file=file,
            name=f"{request.model.id}:{label}",
            road="import",
            files=file.parts,
            bytes=file.size,
            already_here=request.already_here,
            disk=Disk(free=None, needed=None, ok=True),  # the host knows its own disk
            gate=request.model.gate,
            license=request.model.license,
            problems=tuple(problems),
        )

    @hookimpl
    def install_model(self, plan: InstallPlan, context: PluginContext) -> Iterator[InstallProgress]:
        paths = yield from context.fetch(plan.files)
        yield InstallProgress(phase="importing", completed=plan.bytes, total=plan.bytes)
        if self._engine is not None:
            self._engine.unload(plan.name)
        Library(context.data_dir).add(plan, paths)

    @hookimpl
    def remove_model(self, provider: Provider, model: str, context: PluginContext) -> None:
        library = Library(context.data_dir)
        library.get(model)
        if self._engine is not None:
            self._engine.unload(model)
        library.remove(model)

    @hookimpl
    def complete(self, request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        if not engine_available():
            raise Unsupported("The built-in engine is not installed.", hint=GET_ENGINE)
        library = Library(context.data_dir)
        model = library.get(request.model)
        options: Options = request.options or Options()
        length = min(options.context_length, model.context_length or options.context_length)
        wanted = Wanted(model.name, library.path(model), length, context.config.threads)
        engine = self._running(context)
        idle = context.config.idle_minutes * 60
        with engine.serving(wanted, idle_seconds=idle, cancelled=context.cancelled) as child:
            try:
                yield from _answer(child, request, options, context)
            except Unreachable:
                if engine.crashed(child):
                    raise Unreachable(
                        "The built-in engine stopped while answering.",
                        hint="It starts again with the next message. If it happens again, the model may be too big.",
                    ) from None
                raise

    def _running(self, context: PluginContext) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = Engine(context.data_dir, context.log)
            return self._engine


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
            raise _refusal(_json(response.read()))
        yield from read_chat_completion(response.events(), _refusal)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _refusal(answer: dict[str, Any]) -> Exception:
    """The error for an error object of the engine."""
    error = answer.get("error")
    said = error.get("message") if isinstance(error, dict) else error
    text = str(said or "it gave no reason")[:300]
    if "context" in text.lower() and ("exceed" in text.lower() or "larger" in text.lower()):
        return Unsupported(
            f"The conversation is longer than the model's context: {text}",
            hint="Start a new conversation, or raise the context length in the agent's options.",
        )
    return Unsupported(f"The engine refused the request: {text}", hint="Check the options of the agent.")


def _shown(model: Installed, loaded: str | None) -> ProviderModel:
    return ProviderModel(
        name=model.name,
        size=model.size,
        quantization=model.quantization,
        parameters=model.parameters,
        context_length=model.context_length,
        capabilities=("completion", "tools") if model.tools else ("completion",),
        modified_at=model.installed_at,
        loaded=model.name == loaded,
    )
