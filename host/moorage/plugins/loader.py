"""Loading one plugin: import, validate, register, and ask what it registers. Every failure becomes a state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import pluggy
from pydantic import BaseModel

from moorage.errors import MoorageError, PluginFailed
from moorage.hookspecs import Hooks
from moorage.models import CatalogEntry, ProviderSpec, Tool
from moorage.plugins.calls import Overdue, run_bounded
from moorage.plugins.discovery import API_VERSION
from moorage.plugins.record import Hook, PluginRecord
from moorage.plugins.validation import Refused, validate

log = logging.getLogger("moorage.plugins")
REGISTER_SECONDS = 1.0
M = TypeVar("M")


def new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("moorage")
    manager.add_hookspecs(Hooks)
    return manager


def load(record: PluginRecord) -> None:
    """Bring `record` to ready, failed or incompatible; the caller decides on needs-config.

    Runs on a thread of its own, which may hang, so it touches nothing but the record. Each start has a manager of its
    own: one that comes late cannot stand in the way of the next.
    """
    manager = new_manager()
    candidate = record.candidate
    if not candidate.valid_name:
        record.fail(f"The name {candidate.name!r} is not allowed.", "Use lower-case letters, digits and hyphens.")
        return
    if candidate.api_version != API_VERSION:
        record.state = "incompatible"
        record.error = f"It is written for plugin API v{candidate.api_version}; this Moorage has v{API_VERSION}."
        record.hint = "Install a version of the plugin for this API, or a matching Moorage."
        return
    try:
        loaded = candidate.load()
        plugin = loaded() if isinstance(loaded, type) else loaded
        validate(manager, plugin)
        record.hooks = _register(manager, candidate.name, plugin)
        record.plugin = plugin
        record.title = str(getattr(plugin, "TITLE", "") or candidate.name.replace("-", " ").capitalize())
        record.version = str(getattr(plugin, "VERSION", "") or candidate.version or "") or None
        _ask(record)
        record.state, record.error, record.hint = "ready", None, None
    except Refused as refused:
        record.fail(str(refused), refused.hint)
        record.note_failure("load", str(refused))
    except BaseException as error:  # noqa: BLE001 - importing is running the plugin's code
        message = f"It failed while loading: {type(error).__name__}: {error}"
        record.fail(message, "Its traceback is below. Update, fix or uninstall the plugin.")
        record.note_failure("load", message, error)
    if record.state != "ready":
        unload(record)
        log.warning("plugin %s: %s", record.name, record.error)


def unload(record: PluginRecord) -> None:
    """Forget everything the plugin registered, and let it clean up if it wants to (`close()`)."""
    if record.plugin is not None:
        close = getattr(record.plugin, "close", None)
        if callable(close):
            try:
                run_bounded(close, 5.0, f"{record.name}:close")
            except (Overdue, Exception) as error:  # noqa: BLE001 - closing must not fail for one plugin
                record.note_failure("close", f"{type(error).__name__}: {error}", error)
    record.plugin, record.hooks, record.config_model = None, {}, None
    record.specs, record.tools, record.catalog = (), (), {}


def _register(manager: pluggy.PluginManager, name: str, plugin: object) -> dict[str, Hook]:
    try:
        manager.register(plugin, name=name)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise Refused(str(error), "Compare the arguments with the hook reference.") from error
    callers = manager.get_hookcallers(plugin) or ()
    return {
        caller.name: Hook(implementation.function, tuple(implementation.argnames))
        for caller in callers
        for implementation in caller.get_hookimpls()
        if implementation.plugin is plugin
    }


def _redacted(record: PluginRecord, tool: Tool) -> Tool:
    """The tool, whose errors go to a model and into a conversation without a key that they name."""

    def run(arguments: dict[str, Any]) -> str:
        try:
            return tool.run(arguments)
        except Exception as error:  # noqa: BLE001 - a tool is plugin code: what it raises is its result
            raise PluginFailed(record.name, record.redact(f"{type(error).__name__}: {error}")) from None

    return tool.model_copy(update={"run": run})


def _ask(record: PluginRecord) -> None:
    """Call the register hooks, check what they return, and keep it."""
    config = _answer(record, "register_config", lambda value: value)
    if config is not None and not (isinstance(config, type) and issubclass(config, BaseModel)):
        raise Refused("register_config must return a pydantic model class.", "Derive it from moorage.Config.")
    record.config_model = config
    record.specs = tuple(_listed(record, "register_provider", ProviderSpec))
    record.tools = tuple(_redacted(record, tool) for tool in _listed(record, "register_tools", Tool))
    catalog = _answer(record, "model_catalog", lambda value: value) or {}
    if not isinstance(catalog, dict):
        raise Refused("model_catalog must return a dict of provider type to entries.")
    record.catalog = {
        str(provider_type): tuple(CatalogEntry.model_validate(entry, from_attributes=True) for entry in entries)
        for provider_type, entries in catalog.items()
    }


def _listed(record: PluginRecord, hook: str, kind: type[M]) -> list[M]:
    items = _answer(record, hook, lambda value: list(value)) or []
    for item in items:
        if not isinstance(item, kind):
            raise Refused(f"{hook} must return a list of {kind.__name__}; it has a {type(item).__name__}.")
    return items


def _answer(record: PluginRecord, hook: str, take: Callable[[Any], Any]) -> Any:
    implementation = record.hooks.get(hook)
    if implementation is None:
        return None
    try:
        value = run_bounded(implementation, REGISTER_SECONDS, f"{record.name}:{hook}")
    except Overdue:
        raise Refused(f"The hook {hook} did not return within {REGISTER_SECONDS:g} s.", "It must do no I/O.") from None
    except MoorageError as error:
        raise Refused(f"The hook {hook} failed: {error}", error.hint) from error
    return None if value is None else take(value)
