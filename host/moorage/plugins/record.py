"""What the host knows of one plugin: its state and reasons, its hooks, and how its calls went."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from moorage.clock import Clock
from moorage.errors import FieldError, InvalidInput, MoorageError, PluginFailed
from moorage.models import CatalogEntry, PluginFailure, PluginState, PluginView, ProviderSpec, Tool
from moorage.plugins.discovery import Candidate

E = TypeVar("E", bound=MoorageError)
BREAKER_FAILURES = 5
BREAKER_SECONDS = 30.0


class Running(Protocol):
    """A stream of the plugin, which goes on until it is closed."""

    def close(self, reason: MoorageError | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Hook:
    """One implementation: `function` is bound, `arguments` are the names it takes."""

    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def __call__(self, **available: Any) -> Any:
        return self.function(**{name: available[name] for name in self.arguments})


class Breaker:
    """Opens after repeated failures in a row and lets one call through again after a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._opened = 0.0

    def admits(self) -> bool:
        with self._lock:
            if self._failures < BREAKER_FAILURES:
                return True
            if time.monotonic() - self._opened < BREAKER_SECONDS:
                return False
            self._opened = time.monotonic()  # half open: this one call decides
            return True

    def record(self, *, ok: bool) -> None:
        with self._lock:
            self._failures = 0 if ok else self._failures + 1
            if self._failures >= BREAKER_FAILURES:
                self._opened = time.monotonic()


@dataclass
class PluginRecord:
    """One start of one plugin of this host.

    Changed by the registry under its lock; failures and streams come and go on any thread.
    """

    candidate: Candidate
    clock: Clock
    state: PluginState = "failed"
    error: str | None = None
    hint: str | None = None
    plugin: object | None = None
    title: str = ""
    version: str | None = None
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    config_model: type[BaseModel] | None = None
    specs: tuple[ProviderSpec, ...] = ()
    tools: tuple[Tool, ...] = ()
    catalog: Mapping[str, tuple[CatalogEntry, ...]] = field(default_factory=dict)
    failures: deque[PluginFailure] = field(default_factory=lambda: deque(maxlen=20))
    breaker: Breaker = field(default_factory=Breaker)
    overdue: set[int] = field(default_factory=set)
    redact: Callable[[str], str] = str  # a plugin may put its key into an exception; no error may show it
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: set[Running] = field(default_factory=set)
    _retired: bool = False

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def callable(self) -> bool:
        return self.state == "ready"

    def fail(self, message: str, hint: str | None = None) -> None:
        self.state, self.error = "failed", self.redact(message)
        self.hint = self.redact(hint) if hint is not None else None

    def note_failure(self, hook: str, message: str, error: BaseException | None = None) -> None:
        trace = "".join(traceback.format_exception(error)) if error is not None else None
        shown = self.redact(trace) if trace is not None else None
        self.failures.append(PluginFailure(at=self.clock(), hook=hook, message=self.redact(message), trace=shown))

    def cleaned(self, error: E) -> E:
        """The error that a plugin raised, without what it must not say."""
        error.args = tuple(self.redact(part) if isinstance(part, str) else part for part in error.args)
        if error.hint is not None:
            error.hint = self.redact(error.hint)
        if isinstance(error, InvalidInput):
            error.errors = tuple(FieldError(item.field, self.redact(item.message)) for item in error.errors)
        return error

    def attach(self, stream: Running) -> None:
        """Remember a stream that begins; PluginFailed where the plugin was switched off in the meantime."""
        with self._lock:
            if self._retired:
                raise self._switched_off()
            self._running.add(stream)

    def detach(self, stream: Running) -> None:
        with self._lock:
            self._running.discard(stream)

    def retire(self) -> None:
        """Close what runs, and let nothing begin any more."""
        with self._lock:
            self._retired = True
            running, self._running = self._running, set()
        for stream in running:
            stream.close(self._switched_off())

    def successor(self) -> PluginRecord:
        """A record for the next start: a call or an import that still holds this one cannot touch it."""
        return PluginRecord(
            self.candidate,
            self.clock,
            title=self.title,
            version=self.version,
            failures=self.failures,
            redact=self.redact,
        )

    def _switched_off(self) -> PluginFailed:
        return PluginFailed(
            self.name, f"The plugin {self.name} was switched off.", hint="Enable it on the Plugins page to go on."
        )

    def view(self) -> PluginView:
        return PluginView(
            name=self.name,
            title=self.title or self.name,
            version=self.version or self.candidate.version,
            distribution=self.candidate.distribution,
            first_party=self.candidate.first_party,
            state=self.state,
            hooks=tuple(sorted(self.hooks)),
            provider_types=tuple(spec.type for spec in self.specs),
            tools=tuple(tool.name for tool in self.tools),
            error=self.error,
            hint=self.hint,
            has_config=self.config_model is not None,
            last_failures=tuple(self.failures),
        )
