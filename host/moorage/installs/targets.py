"""What installs ask of their targets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from moorage.errors import Missing, NotFound
from moorage.local import LocalModels
from moorage.plugins import Plugins
from moorage.providers import Providers

STEP_SECONDS = 0.25


class Targets:
    def __init__(self, local: LocalModels, providers: Providers, plugins: Plugins) -> None:
        self._local = local
        self._providers = providers
        self._plugins = plugins
        self._changed = threading.Condition()
        self._going: set[tuple[str, str]] = set()  # (target, model) that are being taken back at this moment

    def lacks(self, target: str, model: str) -> bool:
        """Whether it answers and has no model of this name; False where it cannot be asked."""
        return self._local.lacks(target, model)

    def is_here(self, target: str) -> bool:
        """Whether it is part of Moorage, so that its disk is ours."""
        return self._providers.is_preset(target)

    def changed(self, target: str) -> None:
        """What was known of its models does not hold any more."""
        self._local.forget(target)

    def take_back(self, target: str, model: str, unless: Callable[[], bool]) -> None:
        """Remove a model that an install brought, unless somebody wants it by now. Errors of the plugin go through."""
        with self._changed:
            if unless():
                return
            self._going.add((target, model))
        try:
            with suppress(NotFound, Missing):  # it never got there, or the target is no target any more
                self._plugins.remove_model(self._providers.resolve(target), model)
            self.changed(target)
        finally:
            with self._changed:
                self._going.discard((target, model))
                self._changed.notify_all()

    def wait_until_gone(self, target: str, model: str, stopped: Callable[[], bool]) -> None:
        """Before a model is brought: the same one may be on its way out."""
        with self._changed:
            while (target, model) in self._going and not stopped():
                self._changed.wait(STEP_SECONDS)
