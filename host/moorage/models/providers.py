"""Provider types that plugins register, and the providers that people save."""

from __future__ import annotations

import builtins
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from moorage.errors import Part
from moorage.models.base import Document, Model, Time


class Config(Model):
    """Base of a plugin's own settings, a provider type's config and its options.

    Conventions that give a form its behaviour: a `SecretStr` field is write-only, encrypted, and kept only for the
    origin in the fields that are named or end in `endpoint`; a field named `model` names the model to use.
    `json_schema_extra={"env": "NAME"}` on a field of a plugin's settings names the environment variable that sets it;
    `"search": "<source>"` makes a field a model search, `"advanced": True` folds it away.
    """


class NoOptions(Config):
    """The options of a provider type that has none."""


class Capabilities(Model):
    """What a provider type can do."""

    chat: bool = False
    tools: bool = False
    install: bool = False


class ProviderPreset(Model):
    """A provider that exists from the first start and cannot be removed."""

    id: str
    name: str
    config: dict[str, Any] = Field(default_factory=dict)


class ProviderSpec(Model):
    """A kind of endpoint, as its plugin registers it.

    `type` is lower case and unique; `search_source` names the source its models are found at, for types without a
    list; `default_endpoint` is where a config without an endpoint goes (its keys are bound to that origin).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    type: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    label: str
    description: str = ""
    config: builtins.type[BaseModel]
    options: builtins.type[BaseModel] = NoOptions
    capabilities: Capabilities = Capabilities(chat=True)
    search_source: str | None = None
    default_endpoint: str | None = None
    preset: ProviderPreset | None = None


class ProviderType(Model):
    """A registered provider type, as the API shows it."""

    type: str
    label: str
    description: str
    plugin: str
    capabilities: Capabilities
    search_source: str | None
    schema_: dict[str, Any] = Field(alias="schema")
    options_schema: dict[str, Any]


class Provider(Model):
    """One endpoint as its owner plugin receives it; `config` is an instance of the type's config model, with keys."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    id: str
    name: str
    type: str
    config: Any
    model: str | None = None


class SavedProvider(Document):
    """One saved provider; `config` holds no secrets: those are in the secret store under `provider:<id>`."""

    name: str
    slug: str
    type: str
    config: dict[str, Any]
    created_at: Time
    updated_at: Time


class ProviderView(Model):
    """A saved provider as people see it; a secret in `config` is `{"set": true, "hint": "…abcd"}`."""

    id: str
    name: str
    slug: str
    type: str
    config: dict[str, Any]
    model: str | None
    capabilities: Capabilities
    preset: bool
    available: bool
    created_at: Time
    updated_at: Time
    last_used_at: Time | None
    version: int


class ProviderDraft(Model):
    """An endpoint that `discover_providers` found running."""

    type: str
    name: str
    config: dict[str, Any]


class ProviderModel(Model):
    """One model that an endpoint offers now. `name` is what `complete` takes; `size` in bytes."""

    name: str
    label: str | None = None
    size: int | None = None
    quantization: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] | None = None
    modified_at: Time | None = None
    loaded: bool | None = None


class TestError(Model):
    part: Part
    message: str
    hint: str | None = None


class TestResult(Model):
    """One real completion, tried: `seconds` wall time, `reply` the text that came, `tokens` what it cost.

    `tokens_per_second` is how fast it was written, None where there was too little to tell.
    """

    ok: bool
    seconds: float
    model: str | None
    reply: str | None
    tokens: int | None = None
    tokens_per_second: float | None = None
    error: TestError | None


class TargetFacts(Model):
    """What a target is made of. `here`: it runs on this machine, so the host knows its memory. Sizes in bytes.

    `gpu_memory` is what GPUs have of their own, 0 where the target uses none whatever the machine has.
    """

    here: bool = False
    memory: int | None = None
    gpu_memory: int | None = None
    version: str | None = None


class Target(Model):
    """A provider that can install models, with what is on it. `free` and `memory` in bytes, None when not known."""

    target: str
    name: str
    type: str
    ok: bool
    error: str | None = None
    hint: str | None = None
    free: int | None = None
    memory: int | None = None
    models: tuple[ProviderModel, ...] = ()


class CatalogEntry(Model):
    """A static suggestion for one provider type."""

    model: str
    label: str | None = None
    note: str | None = None


class CatalogSuggestion(Model):
    """What one plugin suggests for one provider type."""

    plugin: str
    provider_type: str
    entries: tuple[CatalogEntry, ...]


class Catalog(Model):
    """All suggestions, for review. `searched` are the provider types whose models are found by search."""

    suggestions: tuple[CatalogSuggestion, ...]
    searched: tuple[str, ...]


class CatalogViolation(Model):
    """Whose suggestion broke the catalog policy, and how."""

    plugin: str
    provider_type: str
    message: str


class CatalogView(Model):
    catalog: dict[str, tuple[CatalogEntry, ...]]
    violations: tuple[CatalogViolation, ...]
