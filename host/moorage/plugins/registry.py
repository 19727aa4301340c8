"""The plugins of one host: loads them all, switches them, and gives each hook a typed call.

pluggy's calls are untyped and stop at the first exception, so each plugin is called by itself through `calls.py`.
"""

from __future__ import annotations

import builtins
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from moorage.clock import Clock
from moorage.configs import Configs
from moorage.context import Fetch, PluginContext
from moorage.errors import FieldError, InvalidInput, Missing, PluginFailed, Unsupported
from moorage.events import EventBus
from moorage.http import CallScope, HttpDoor
from moorage.models import (
    Catalog,
    CatalogSuggestion,
    CatalogViolation,
    CompletionEvent,
    CompletionRequest,
    Document,
    FilePart,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    ModelDetail,
    ModelRef,
    Page,
    PluginConfigView,
    PluginView,
    Provider,
    ProviderDraft,
    ProviderModel,
    ProviderSpec,
    SearchPage,
    SearchQuery,
    Tool,
)
from moorage.plugins.calls import call, check_admitted
from moorage.plugins.discovery import Candidate, Discover
from moorage.plugins.listener import Listener
from moorage.plugins.loader import load, new_manager, unload
from moorage.plugins.plugin_config import PluginConfigs
from moorage.plugins.record import PluginRecord
from moorage.plugins.streams import PluginStream
from moorage.settings import Settings
from moorage.store import Store

LOAD_SECONDS = 3.0
SECONDS: Mapping[str, float] = {
    "review_catalog": 1.0,
    "search_models": 10.0,
    "describe_model": 20.0,
    "discover_providers": 3.0,
    "list_models": 20.0,
    "plan_install": 20.0,
    "remove_model": 60.0,
}
R = TypeVar("R")


class PluginSwitch(Document):
    """Whether a person has switched a plugin off; `id` is its name."""

    disabled: bool


class Plugins:
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
    ) -> None:
        self._settings = settings
        self._switches = store.collection("plugins", PluginSwitch)
        self._configs = PluginConfigs(store, configs, environment)
        self._door = door
        self._events = events
        self._clock = clock
        self._discover = discover
        self._manager = new_manager()
        self._lock = threading.RLock()
        self._records: dict[str, PluginRecord] = {}
        self._loaded_configs: dict[str, BaseModel | None] = {}
        self._listeners: dict[str, Listener] = {}
        self._admitted: set[str] = set()
        self._changed: builtins.list[Callable[[], object]] = []

    # -- the life of plugins ------------------------------------------------------------------------------------

    def load_all(self) -> None:
        """Find and load everything, each plugin on a thread of its own, all within a few seconds."""
        loading: builtins.list[tuple[PluginRecord, threading.Thread]] = []
        for candidate in self._discover():
            record = PluginRecord(candidate, self._clock)
            if candidate.name in self._records:
                self._refuse_double(record)
                continue
            self._records[candidate.name] = record
            if self._blocked(record):
                continue
            thread = threading.Thread(
                target=load, args=(record, self._manager), name=f"load:{record.name}", daemon=True
            )
            record.fail("It is still loading.")
            thread.start()
            loading.append((record, thread))
        left = LOAD_SECONDS
        for record, thread in loading:
            started = self._clock()
            thread.join(max(left, 0.0))
            left -= (self._clock() - started).total_seconds()
            if thread.is_alive():
                # The thread may end later and touch this record: give it one of its own to play with.
                stuck = PluginRecord(record.candidate, self._clock)
                stuck.fail(f"It did not finish loading within {LOAD_SECONDS:g} s.", "Update or uninstall the plugin.")
                stuck.note_failure("load", stuck.error or "")
                self._records[record.name] = stuck
        # Ours first: a stranger cannot take the place of one of them.
        for record in sorted(self._records.values(), key=lambda r: (not r.candidate.first_party, r.name)):
            self._admit(record)

    def enable(self, name: str) -> PluginView:
        record = self._record(name)
        self._switch(name, disabled=False)
        with self._lock:
            if record.state == "disabled" and not self._blocked(record):
                record.breaker = type(record.breaker)()
                record.overdue.clear()
                load(record, self._manager)
                self._admit(record)
        self._notify()
        return record.view()

    def disable(self, name: str) -> PluginView:
        record = self._record(name)
        self._switch(name, disabled=True)
        with self._lock:
            self._retire(record)
            record.state, record.error = "disabled", "A person switched it off."
            record.hint = "Enable it to use it again."
        self._notify()
        return record.view()

    def close(self) -> None:
        with self._lock:
            for record in self._records.values():
                self._retire(record)

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

    # -- typed calls: one method per hook -----------------------------------------------------------------------

    def search_models(self, source: str, query: SearchQuery) -> SearchPage | None:
        return self._call(self._record(source), "search_models", SearchPage, query=query)

    def describe_model(self, ref: ModelRef) -> ModelDetail:
        detail = self._call(self._record(ref.source), "describe_model", ModelDetail, ref=ref)
        if detail is None:
            raise Unsupported(f"{ref.source} cannot describe models.")
        return detail

    def list_models(self, provider: Provider) -> builtins.list[ProviderModel]:
        found = self._call(self._owner(provider.type), "list_models", list, provider=provider)
        return [] if found is None else found

    def plan_install(self, request: InstallRequest) -> InstallPlan:
        owner = self._owner(request.target.type)
        plan = self._call(owner, "plan_install", InstallPlan, request=request)
        if plan is None:
            raise Unsupported(f"{request.target.name} cannot install models.")
        return plan

    def remove_model(self, provider: Provider, model: str) -> None:
        self._call(self._owner(provider.type), "remove_model", object, provider=provider, model=model)

    def discover_providers(self) -> builtins.list[ProviderDraft]:
        drafts: builtins.list[ProviderDraft] = []
        for record in self._ordered():
            if "discover_providers" in record.hooks and record.callable:
                try:
                    drafts += self._call(record, "discover_providers", list) or []
                except Exception:
                    logging.getLogger("moorage.plugins").info("discovery by %s failed", record.name, exc_info=True)
        return drafts

    def review_catalog(self, catalog: Catalog) -> builtins.list[CatalogViolation]:
        violations: builtins.list[CatalogViolation] = []
        for record in self._ordered():
            if "review_catalog" in record.hooks and record.callable:
                try:
                    violations += self._call(record, "review_catalog", list, catalog=catalog) or []
                except PluginFailed:
                    continue  # noted with the plugin; the host keeps searched types empty by itself
        return violations

    def complete(self, request: CompletionRequest) -> PluginStream[CompletionEvent]:
        return self._stream(self._owner(request.provider.type), "complete", request=request)

    def install_model(self, plan: InstallPlan, fetch: Fetch, scope: CallScope) -> PluginStream[InstallProgress]:
        return self._stream(self._owner(plan.target.type), "install_model", fetch=fetch, scope=scope, plan=plan)

    # -- inside -------------------------------------------------------------------------------------------------

    def _call(self, record: PluginRecord, hook: str, returns: type[R], **arguments: Any) -> R | None:
        seconds = SECONDS[hook]
        if hook not in record.hooks and record.callable:
            raise Unsupported(f"The plugin {record.name} cannot do this ({hook}).")
        scope = CallScope(seconds)
        arguments["context"] = self._context(record, scope, seconds)
        result = call(record, hook, seconds, arguments, on_overdue=scope.cancel)
        if result is not None and not isinstance(result, returns):
            message = (
                f"The plugin {record.name} returned a {type(result).__name__} from {hook}, not {returns.__name__}."
            )
            record.note_failure(hook, message)
            raise PluginFailed(record.name, message, hint="This is a fault of the plugin.")
        return result

    def _stream(
        self,
        record: PluginRecord,
        hook: str,
        *,
        fetch: Fetch | None = None,
        scope: CallScope | None = None,
        **arguments: Any,
    ) -> PluginStream[Any]:
        check_admitted(record)
        if hook not in record.hooks:
            raise Unsupported(f"The plugin {record.name} cannot do this ({hook}).")
        scope = scope or CallScope(None)
        arguments["context"] = self._context(record, scope, None, fetch)
        implementation = record.hooks[hook]

        def start() -> Iterator[Any] | None:
            return implementation(**arguments)  # type: ignore[no-any-return]

        return PluginStream(record, hook, start, scope.cancel)

    def _context(
        self, record: PluginRecord, scope: CallScope, deadline: float | None, fetch: Fetch | None = None
    ) -> PluginContext:
        directory = self._settings.home / "plugins" / record.name
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PluginContext(
            plugin=record.name,
            config=self._loaded_configs.get(record.name),
            http=self._door.client("provider", scope=scope),
            fetch=fetch or _no_fetch,
            data_dir=directory,
            log=logging.getLogger(f"moorage.plugin.{record.name}"),
            deadline=deadline,
            cancelled=lambda: scope.cancelled,
        )

    def _admit(self, record: PluginRecord) -> None:
        """After loading: conflicts, settings, events."""
        if record.state == "ready":
            self._refuse_conflicts(record)
        if record.state == "ready":
            self._apply_config(record)
        if record.state in ("ready", "needs-config"):
            self._admitted.add(record.name)
            if "on_event" in record.hooks:
                self._listeners[record.name] = Listener(record, self._events)
            self._events.publish("plugin.loaded", record.name, state=record.state)
        elif record.state != "disabled":
            self._events.publish("plugin.failed", record.name, state=record.state, error=record.error)

    def _apply_config(self, record: PluginRecord) -> None:
        if record.config_model is None:
            return
        try:
            self._loaded_configs[record.name] = self._configs.load(record.name, record.config_model)
        except InvalidInput as error:
            wrong = "; ".join(f"{item.field.removeprefix('values.')} {item.message}" for item in error.errors)
            record.state, record.error = "needs-config", f"Its settings are not complete: {wrong}."
            record.hint = "Fill them in on the Plugins page."
        else:
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
                unload(record, self._manager)
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
        self._admitted.discard(record.name)
        unload(record, self._manager)

    def _switch(self, name: str, *, disabled: bool) -> None:
        switch = self._switches.get(name) or PluginSwitch(id=name, disabled=not disabled)
        if switch.disabled != disabled:
            self._switches.put(switch.model_copy(update={"disabled": disabled}))

    def _notify(self) -> None:
        for listener in self._changed:
            listener()

    def _ordered(self) -> Iterable[PluginRecord]:
        return [self._records[name] for name in sorted(self._records)]

    def _record(self, name: str) -> PluginRecord:
        record = self._records.get(name)
        if record is None:
            raise Missing(f"There is no plugin named {name}.")
        return record

    def _owner(self, provider_type: str) -> PluginRecord:
        for record in self._ordered():
            if any(spec.type == provider_type for spec in record.specs):
                return record
        raise Unsupported(
            f"No plugin offers the provider type {provider_type} now.", hint="See the Plugins page for the reason."
        )

    def _config_model(self, name: str) -> type[BaseModel]:
        model = self._record(name).config_model
        if model is None:
            raise Missing(f"The plugin {name} has no settings of its own.")
        return model


def _no_fetch(parts: Iterable[FilePart]) -> Any:
    raise Unsupported("Files can be fetched in install_model only.")


__all__ = ["Candidate", "Plugins"]
