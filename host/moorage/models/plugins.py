"""Plugins as people see them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from moorage.models.base import Model, Time

PluginState = Literal["ready", "disabled", "failed", "incompatible", "needs-config"]


class PluginFailure(Model):
    """One failure of a plugin: which hook, when, and what; `trace` is the traceback for its author."""

    at: Time
    hook: str
    message: str
    trace: str | None = None


class PluginView(Model):
    name: str
    title: str
    version: str | None
    distribution: str | None
    first_party: bool
    state: PluginState
    hooks: tuple[str, ...]
    provider_types: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    error: str | None
    hint: str | None = None
    has_config: bool = False
    last_failures: tuple[PluginFailure, ...]


class PluginConfigView(Model):
    """A plugin's own settings: `values` with secrets masked; `sources` says where each value comes from.

    `notices` are sentences on what the environment sets and is not used, such as a key for another address.
    """

    schema_: dict[str, Any] = Field(alias="schema")
    values: dict[str, Any]
    sources: dict[str, Literal["default", "file", "environment"]]
    version: int
    notices: tuple[str, ...] = ()
