"""Local models: what is on each target, and taking it off again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from moorage.errors import Conflict, FieldError, InvalidInput, Missing, MoorageError
from moorage.events import EventBus
from moorage.machine import Machine, disk_size, free_disk, total_memory
from moorage.models import SavedProvider, Target
from moorage.plugins import Plugins
from moorage.preferences import PreferencesService
from moorage.providers import Providers

KEPT_SECONDS = 5.0


class LocalModels:
    """`host.local`."""

    def __init__(
        self, providers: Providers, plugins: Plugins, preferences: PreferencesService, events: EventBus, home: Path
    ) -> None:
        self._providers = providers
        self._plugins = plugins
        self._preferences = preferences
        self._events = events
        self._home = home
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Target]] = {}
        self.on_removed: Callable[[str, str], None] = lambda target, model: None
        self.is_brought: Callable[[str, str], bool] = lambda target, model: False

    def names(self) -> dict[str, str]:
        """Target id to name, of all saved targets, without asking them anything."""
        return {saved.id: saved.name for saved in self._providers.targets()}

    def known_target(self, target: str | None) -> str | None:
        """`target` itself; InvalidInput where it is the id of none."""
        names = self.names()
        if target is not None and target not in names:
            known = ", ".join(names) or "none"
            raise InvalidInput(
                f"There is no target {target}.", errors=(FieldError("target", f"must be one of {known}"),)
            )
        return target

    def targets(self, patience: float | None = None) -> list[Target]:
        """Every target with its models, all asked at once; one that does not answer says why.

        With `patience`, in seconds, one that has not answered by then says so; None waits for all.
        """
        saved = self._providers.targets()
        found: dict[str, Target] = {}

        def ask(item: SavedProvider) -> None:
            found[item.id] = self._ask(item)

        threads = [threading.Thread(target=ask, args=(item,), daemon=True) for item in saved]
        for thread in threads:
            thread.start()
        until = None if patience is None else time.monotonic() + patience
        for thread in threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return [found.get(item.id) or self._silent(item) for item in saved]

    def _silent(self, saved: SavedProvider) -> Target:
        return Target(
            target=saved.id,
            name=saved.name,
            type=saved.type,
            ok=False,
            error="It has not answered yet.",
            hint="See whether the server runs, then load this page again.",
        )

    def target(self, id: str) -> Target:
        """One target; its answer is kept for a few seconds."""
        with self._lock:
            kept = self._kept.get(id)
        if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        for saved in self._providers.targets():
            if saved.id == id:
                return self._ask(saved)
        raise Missing(f"There is no target {id}.", hint="A target is a saved provider that can install models.")

    def here(self) -> list[Target]:
        """The targets that are part of Moorage, whose models are in the data directory."""
        return [self.target(saved.id) for saved in self._providers.targets() if self._providers.is_preset(saved.id)]

    def lacks(self, target: str, name: str) -> bool:
        """Whether the target answers and has no model of this name; False where it cannot be asked."""
        if target not in self.names():
            return True
        here = self.target(target)
        return here.ok and all(model.name.casefold() != name.casefold() for model in here.models)

    def this_machine(self) -> Machine:
        """Disk and memory of the machine that Moorage runs on."""
        return Machine(free=free_disk(self._home), disk=disk_size(self._home), memory=total_memory())

    def likely_target(self) -> str | None:
        """What `default_target` will probably say, without asking any server."""
        chosen = self._preferences.current.default_target
        names = list(self.names())
        if chosen in names:
            return chosen
        others = [name for name in names if not self._providers.is_preset(name)]
        return next(iter(others or names), None)

    def default_target(self) -> str:
        """The setting, else the first saved target that answers, else the one that is always there."""
        chosen = self._preferences.current.default_target
        saved = self._providers.targets()
        if chosen is not None and any(item.id == chosen for item in saved):
            return chosen
        presets = [item.id for item in saved if self._providers.is_preset(item.id)]
        for item in saved:
            if item.id not in presets and self.target(item.id).ok:
                return item.id
        if presets:
            return presets[0]
        raise Missing("There is no target to install on.", hint="Add an Ollama server in Settings, or enable a plugin.")

    def remove(self, target: str, name: str) -> None:
        """Remove an installed model from its target; Conflict while an install is at work on it."""
        if target not in self.names():
            known = ", ".join(f"{id} ({name})" for id, name in self.names().items()) or "none"
            raise Missing(f"There is no target {target}.", hint=f"There are: {known}.")
        if self.is_brought(target, name):
            raise Conflict(f"{name} is being installed at this moment.", hint="Cancel the install: that removes it.")
        self._plugins.remove_model(self._providers.resolve(target), name)
        self.forget(target)
        self.on_removed(target, name)
        self._events.publish("model.removed", target, model=name)

    def forget(self, target: str) -> None:
        with self._lock:
            self._kept.pop(target, None)

    def _ask(self, saved: SavedProvider) -> Target:
        here = self._providers.is_preset(saved.id)  # what is part of Moorage runs on this machine
        target = Target(
            target=saved.id,
            name=saved.name,
            type=saved.type,
            ok=True,
            free=free_disk(self._home) if here else None,
            memory=total_memory() if here else None,
        )
        try:
            models = self._plugins.list_models(self._providers.resolve(saved.id))
            target = target.model_copy(update={"models": tuple(models)})
        except MoorageError as error:
            target = target.model_copy(update={"ok": False, "error": str(error), "hint": error.hint})
        with self._lock:
            self._kept[saved.id] = (time.monotonic(), target)
        return target
