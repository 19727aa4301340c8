"""Plugins, and the settings that are their own."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from moorage.models import KeyCheck, Model, PluginConfigView, PluginView
from moorage_web.arguments import Body, Limit, Line, Query, check_unchanged
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("plugins")


class PluginPaging(Query):
    limit: Limit = 200
    cursor: Line | None = None


class PluginList(Model):
    plugins: tuple[PluginView, ...]
    next: str | None


class ConfigChange(Body):
    """The whole config as GET gave it; secrets left out or masked are kept, null removes one."""

    values: dict[str, Any]
    version: int
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    sources: dict[str, str] | None = None
    notices: list[str] | None = None


class KeyAnswer(Model):
    """`key` is null where the plugin has none."""

    key: KeyCheck | None


@api.get("/api/plugins", query=PluginPaging, answer=PluginList)
def list_plugins(query: PluginPaging) -> PluginList:
    """All plugins by name, also those that could not be loaded, with the reason."""
    page = host().plugins.page(limit=query.limit, cursor=query.cursor)
    return PluginList(plugins=page.items, next=page.next)


@api.post("/api/plugins/<id:name>/enable", answer=PluginView)
def enable_plugin(name: str) -> PluginView:
    """Switch a plugin on."""
    return host().plugins.enable(name)


@api.post("/api/plugins/<id:name>/disable", answer=PluginView)
def disable_plugin(name: str) -> PluginView:
    """Switch a plugin off, at once."""
    return host().plugins.disable(name)


@api.get("/api/plugins/<id:name>/config", answer=PluginConfigView)
def get_plugin_config(name: str) -> PluginConfigView:
    """The plugin's own settings, secrets masked, with their JSON Schema."""
    return host().plugins.config(name)


@api.put("/api/plugins/<id:name>/config", body=ConfigChange, answer=PluginConfigView)
def save_plugin_config(name: str, body: ConfigChange) -> PluginConfigView:
    """Replace the plugin's own settings."""
    current = host().plugins.config(name)
    if body.version == current.version:
        sent = body.model_dump(by_alias=True, exclude_unset=True, include={"schema_", "sources", "notices"})
        check_unchanged(sent, current.model_dump(mode="json", by_alias=True))
    return host().plugins.save_config(name, body.values, body.version)


@api.post("/api/plugins/<id:name>/check-key", answer=KeyAnswer)
def check_plugin_key(name: str) -> KeyAnswer:
    """Whose key the plugin has, and what its service lets it do. The answer is kept for a day."""
    return KeyAnswer(key=host().keys.check(name))
