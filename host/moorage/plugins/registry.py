"""The plugins of one host: found, loaded, switched, configured and shown. `hooks.py` calls them."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from moorage.clock import Clock
from moorage.configs import Configs, secret_values
from moorage.errors import FieldError, InvalidInput, Missing
from moorage.events import EventBus
from moorage.http import HttpDoor, redact
from moorage.models import (
    CatalogSuggestion,
    Document,
    Page,
    PluginConfigView,
    PluginView,
    ProviderSpec,
    Tool,
)
from moorage.plugins.discovery import Candidate, Discover
from moorage.plugins.hooks import SECONDS, HookCalls
from moorage.plugins.listener import Listener
from moorage.plugins.loader import load, unload
from moorage.plugins.plugin_config import PluginConfigs
from moorage.plugins.record import PluginRecord
from moorage.settings import Settings
from moorage.store import Store

LOAD_SECONDS = 3.0


class PluginSwitch(Document):
    """Whether a person has switched a plugin off; `id` is its name."""

    disabled: bool


class Plugins(HookCalls):
    """`host.plugins`."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        configs: Configs,
        door: HttpDoor,
        events: EventBus,
        clock: Clock,
        discover: Discover,
        environment: Mapping[str, str],
        known_secrets: Callable[[], Iterable[str]],
    ) -> None:
        super().__init__(settings.home, door)
        self._settings = settings
        self._switches = store.collection("plugins", PluginSwitch)
        self._configs = PluginConfigs(store, configs, environment)
        self._events = events
        self._clock = clock
        self._discover = discover
        self._lock = threading.RLock()
        self._listeners: dict[str, Listener] = {}
        self._admitted: set[str] = set()
        self._closed = False
        self._known_secrets = known_secrets
        self._own_secrets: set[str] = set()
        self._changed: builtins.list[Callable[[], object]] = []

    # -- the life of plugins ------------------------------------------------------------------------------------

    def load_all(self) -> None:
        """Find and load everything, each plugin on a thread of its own, all within a few seconds."""
        wanted = []
        for candidate in self._discover():
            record = self._new_record(candidate)
            if candidate.name in self._records:
                self._refuse_double(record)
                continue
            self._records[candidate.name] = record
            if not self._blocked(record):
                wanted.append(record)
        self._load(wanted)
        # Ours first: a stranger cannot take the place of one of them.
        for record in sorted(self._records.values(), key=lambda r: (not r.candidate.first_party, r.name)):
            self._admit(record)

    def enable(self, name: str) -> PluginView:
        record = self._record(name)
        self._switch(name, disabled=False)
        with self._lock:
            record = self._records[name]
            wanted = record.state == "disabled" and not self._blocked(record) and not self._closed
            if wanted:
                # What an earlier life of it left behind, such as a call that hangs, is not held against the new one.
                record = self._records[name] = record.successor()
                record.fail("It is still loading.")
        if wanted:
            self._load([record])  # without the lock: this runs the plugin's own code, which may hang
            with self._lock:
                record = self._records[name]
                if record.state != "disabled" and not self._closed:
                    self._admit(record)
        self._notify()
        return self._records[name].view()

    def disable(self, name: str) -> PluginView:
        self._record(name)
        self._switch(name, disabled=True)
        with self._lock:
            self._retire(self._records[name])
            record = self._records[name] = self._records[name].successor()
            record.state, record.error = "disabled", "A person switched it off."
            record.hint = "Enable it to use it again."
        self._notify()
        return record.view()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for record in self._records.values():
                self._retire(record)

    def _new_record(self, candidate: Candidate) -> PluginRecord:
        return PluginRecord(candidate, self._clock, redact=self._redacted)

    def _redacted(self, text: str) -> str:
        return redact(text, (*self._known_secrets(), *self._own_secrets))

    def _load(self, records: builtins.list[PluginRecord]) -> None:
        """Load them side by side; one that does not come back in time is given up."""
        threads = []
        for record in records:
            record.fail("It is still loading.")
            thread = threading.Thread(target=self._load_one, args=(record,), name=f"load:{record.name}", daemon=True)
            thread.start()
            threads.append(thread)
        until = time.monotonic() + LOAD_SECONDS
        for record, thread in zip(records, threads, strict=True):
            thread.join(max(until - time.monotonic(), 0.0))
            with self._lock:
                if thread.is_alive() and self._records[record.name] is record:
                    # The thread may end later and touch its record: the host goes on with another one.
                    stuck = self._records[record.name] = record.successor()
                    message = f"It did not finish loading within {LOAD_SECONDS:g} s."
                    stuck.fail(message, "Update or uninstall the plugin.")
                    stuck.note_failure("load", message)

    def _load_one(self, record: PluginRecord) -> None:
        load(record)
        with self._lock:
            late = self._closed or self._records[record.name] is not record
        if late:  # given up, or switched off in the meantime
            unload(record)

    def on_change(self, listener: Callable[[], object]) -> None:
        """Call `listener` after plugins were loaded or switched."""
        self._changed.append(listener)

    # -- what people see ----------------------------------------------------------------------------------------

    def list(self) -> builtins.list[PluginView]:
        return [record.view() for record in self._ordered()]

    def page(self, *, limit: int, cursor: str | None = None) -> Page[PluginView]:
        """One page of `list`; the cursor is the name of the last plugin before it."""
        if cursor is not None and cursor not in self._records:
            raise InvalidInput(
                "This cursor is not one of this list.", errors=(FieldError("cursor", "is not known here"),)
            )
        left = [view for view in self.list() if cursor is None or view.name > cursor]
        items = tuple(left[:limit])
        return Page(items=items, next=items[-1].name if len(left) > limit else None)

    def get(self, name: str) -> PluginView:
        return self._record(name).view()

    def config(self, name: str) -> PluginConfigView:
        """The plugin's own settings; Missing where it has none."""
        return self._configs.view(name, self._config_model(name))

    def config_model(self, name: str) -> type[BaseModel]:
        return self._config_model(name)

    def save_config(self, name: str, values: Mapping[str, Any], version: int | None = None) -> PluginConfigView:
        model = self._config_model(name)
        self._configs.save(name, model, values, version)
        self._apply_config(self._records[name])
        self._events.publish("settings.saved", name)
        self._notify()
        return self.config(name)

    # -- what they register -------------------------------------------------------------------------------------

    def specs(self) -> dict[str, tuple[str, ProviderSpec]]:
        """Provider type to (owner plugin, spec), of the plugins that are loaded."""
        return {spec.type: (record.name, spec) for record in self._ordered() for spec in record.specs}

    def tools(self) -> dict[str, tuple[str, Tool]]:
        return {tool.name: (record.name, tool) for record in self._ordered() for tool in record.tools}

    def sources(self) -> tuple[str, ...]:
        """The plugins that search for models."""
        return tuple(record.name for record in self._ordered() if "search_models" in record.hooks and record.callable)

    def suggestions(self) -> tuple[CatalogSuggestion, ...]:
        return tuple(
            CatalogSuggestion(plugin=record.name, provider_type=provider_type, entries=entries)
            for record in self._ordered()
            for provider_type, entries in record.catalog.items()
        )

    # -- inside -------------------------------------------------------------------------------------------------

    def _admit(self, record: PluginRecord) -> None:
        """After loading: conflicts, settings, events."""
        if record.state == "ready":
            self._refuse_conflicts(record)
        if record.state == "ready":
            self._apply_config(record)
        if record.state in ("ready", "needs-config"):
            self._admitted.add(record.name)
            if "on_event" in record.hooks:
                self._listeners[record.name] = self._listener(record)
            self._events.publish("plugin.loaded", record.name, state=record.state)
        elif record.state != "disabled":
            self._events.publish("plugin.failed", record.name, state=record.state, error=record.error)

    def _listener(self, record: PluginRecord) -> Listener:
        seconds = SECONDS["on_event"]
        return Listener(record, self._events, seconds, lambda scope: self._context(record, scope, seconds))

    def _apply_config(self, record: PluginRecord) -> None:
        if record.config_model is None:
            return
        try:
            self._loaded_configs[record.name] = self._configs.load(record.name, record.config_model)
        except InvalidInput as error:
            wrong = "; ".join(
                f"{item.field.removeprefix('values.')} {item.message.rstrip('.')}" for item in error.errors
            )
            record.state, record.error = "needs-config", f"Its settings are not complete: {wrong.rstrip('.')}."
            record.hint = "Fill them in on the Plugins page."
        else:
            self._own_secrets |= secret_values(self._loaded_configs[record.name])
            if record.state == "needs-config":
                record.state, record.error, record.hint = "ready", None, None

    def _refuse_conflicts(self, record: PluginRecord) -> None:
        for other in self._ordered():
            if other is record or other.name not in self._admitted:
                continue
            taken = {spec.type for spec in other.specs} & {spec.type for spec in record.specs}
            taken |= {tool.name for tool in other.tools} & {tool.name for tool in record.tools}
            if taken:
                names = ", ".join(sorted(taken))
                unload(record)
                record.fail(f"{names} is registered by the plugin {other.name} already.", "Remove one of the two.")
                return

    def _refuse_double(self, record: PluginRecord) -> None:
        first = self._records[record.name]
        both = f"{first.candidate.distribution} and {record.candidate.distribution}"
        first.note_failure("load", f"Two distributions have a plugin named {record.name}: {both}. The first is used.")

    def _blocked(self, record: PluginRecord) -> bool:
        switch = self._switches.get(record.name)
        if self._settings.safe_mode and not record.candidate.first_party:
            record.error, record.hint = (
                "Safe mode: only Moorage's own plugins are loaded.",
                "Start without --safe-mode.",
            )
        elif record.name in self._settings.blocked_plugins:
            record.error, record.hint = "MOORAGE_DISABLED_PLUGINS names it.", "Take it out of that variable."
        elif switch is not None and switch.disabled:
            record.error, record.hint = "A person switched it off.", "Enable it to use it again."
        else:
            return False
        record.state = "disabled"
        return True

    def _retire(self, record: PluginRecord) -> None:
        listener = self._listeners.pop(record.name, None)
        if listener is not None:
            listener.close()
        self._loaded_configs.pop(record.name, None)
        record.retire()
        self._admitted.discard(record.name)
        unload(record)

    def _switch(self, name: str, *, disabled: bool) -> None:
        switch = self._switches.get(name) or PluginSwitch(id=name, disabled=not disabled)
        if switch.disabled != disabled:
            self._switches.put(switch.model_copy(update={"disabled": disabled}))

    def _notify(self) -> None:
        for listener in self._changed:
            listener()

    def _config_model(self, name: str) -> type[BaseModel]:
        model = self._record(name).config_model
        if model is None:
            raise Missing(f"The plugin {name} has no settings of its own.")
        return model
