"""How much memory a target has: asked in the background, so that no page waits for a server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from moorage.errors import MoorageError
from moorage.machine import gpu_memory, total_memory
from moorage.models import TargetFacts
from moorage.plugins import Plugins
from moorage.providers import Providers

log = logging.getLogger("moorage.fit")

KEPT_SECONDS = 60.0
PATIENCE = 0.3  # seconds that the first question about a target waits for its answer


class Memory(NamedTuple):
    """Bytes; None when not known. `gpu` is what GPUs have of their own, None also where the target uses none."""

    ram: int | None = None
    gpu: int | None = None


UNKNOWN = Memory()


@dataclass
class _Asked:
    """One target: what is known of it, and when it was asked. `done` is set while no question is under way."""

    done: threading.Event
    at: float
    until: float  # when nobody waits any more for its first answer
    version: int | None  # of the provider that it is
    memory: Memory | None = None


class TargetMemory:
    """Thread-safe. The plugin of a target says whether it runs on this machine, or what its server reports."""

    def __init__(
        self,
        providers: Providers,
        plugins: Plugins,
        *,
        ram: Callable[[], int | None] = total_memory,
        gpu: Callable[[], int | None] = gpu_memory,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._providers = providers
        self._plugins = plugins
        self._ram = ram
        self._gpu = gpu
        self._clock = clock
        self._patience = patience
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}

    def of(self, target: str) -> Memory:
        """What is known now. It is asked for anew at most once a minute; only the first time is waited for, shortly."""
        version = self._providers.version(target)
        with self._lock:
            asked = self._asked.get(target)
            if asked is None or asked.version != version:  # its address may be another one now
                until = time.monotonic() + self._patience
                asked = self._asked[target] = _Asked(threading.Event(), self._clock(), until, version)
                self._start(target, asked)
            elif asked.done.is_set() and self._clock() - asked.at > KEPT_SECONDS:
                asked.done.clear()
                asked.at = self._clock()
                self._start(target, asked)
        if asked.memory is None:
            asked.done.wait(max(0.0, asked.until - time.monotonic()))
        return asked.memory or (Memory(self._ram()) if self._is_preset(target) else UNKNOWN)

    def _start(self, target: str, asked: _Asked) -> None:
        threading.Thread(target=self._ask, args=(target, asked), name=f"memory:{target}", daemon=True).start()

    def _ask(self, target: str, asked: _Asked) -> None:
        try:
            asked.memory = self._found(target)
        except Exception:  # nobody waits for this thread, and the host may close while it asks
            log.info("the memory of %s could not be asked for", target, exc_info=True)
        finally:
            asked.done.set()

    def _found(self, target: str) -> Memory:
        """What is part of Moorage runs here whatever is said of it; another target that cannot be asked is unknown."""
        facts = TargetFacts()
        with suppress(MoorageError):
            facts = self._plugins.describe_target(self._providers.resolve(target)) or facts
        preset = self._is_preset(target)
        if not (facts.here or preset):
            return Memory(facts.memory, facts.gpu_memory or None)
        # A plugin that says 0 uses no GPU, whatever this machine has.
        gpu = facts.gpu_memory if preset or facts.gpu_memory is not None else self._gpu()
        return Memory(facts.memory or self._ram(), gpu or None)

    def _is_preset(self, target: str) -> bool:
        with suppress(MoorageError):
            return self._providers.is_preset(target)
        return False
