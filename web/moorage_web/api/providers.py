"""Provider types, and saved providers."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from moorage.errors import FieldError, InvalidInput
from moorage.models import Model, Page, ProviderModel, ProviderType, ProviderView, TestResult
from moorage_web.arguments import Body, Line, Name, Paging, check_unchanged
from moorage_web.current import host
from moorage_web.operations import Answer, Routes

api = Routes("providers")


class ProviderTypes(Model):
    provider_types: tuple[ProviderType, ...]


class ProviderList(Model):
    providers: tuple[ProviderView, ...]
    next: str | None


class ProviderModels(Model):
    models: tuple[ProviderModel, ...]


class NewProvider(Body):
    name: Name
    type: Line
    config: dict[str, Any] = Field(default_factory=dict)


class ProviderChange(Body):
    """The whole provider as GET gave it. `name` and `config` can be changed; `version` must be the newest."""

    name: Name
    config: dict[str, Any]
    version: int
    id: str = ""
    slug: str = ""
    type: str = ""
    model: str | None = None
    capabilities: dict[str, Any] = Field(default_factory=dict)
    preset: bool = False
    available: bool = False
    created_at: str = ""
    updated_at: str = ""
    last_used_at: str | None = None


class ProviderTest(Body):
    """Unsaved values (`type` and `config`), a saved provider (`id`), or a saved one with unsaved values."""

    id: Line | None = None
    type: Line | None = None
    config: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _says_what(self) -> ProviderTest:
        if (self.id is None) == (self.type is None):
            raise InvalidInput("Say what to test.", errors=(FieldError("type", "give either type and config, or id"),))
        return self


@api.get("/api/llm/provider-types", answer=ProviderTypes)
def provider_types() -> ProviderTypes:
    """The kinds of endpoint that plugins offer, with the JSON Schema of their settings."""
    return ProviderTypes(provider_types=tuple(host().providers.types()))


@api.get("/api/llm/providers", query=Paging, answer=ProviderList)
def list_providers(query: Paging) -> ProviderList:
    """The saved providers, oldest first."""
    page: Page[ProviderView] = host().providers.list(limit=query.limit, cursor=query.cursor)
    return ProviderList(providers=page.items, next=page.next)


@api.post("/api/llm/providers", body=NewProvider, answer=ProviderView, status=201)
def create_provider(body: NewProvider) -> Answer:
    """Save a provider; its config is checked by the plugin's own model."""
    view = host().providers.create(body.name, body.type, body.config)
    return Answer(view, 201, {"Location": f"/api/llm/providers/{view.id}"})


@api.post("/api/llm/providers/test", body=ProviderTest, answer=TestResult)
def test_provider(body: ProviderTest) -> TestResult:
    """One real completion. Saves nothing."""
    return host().providers.test(type=body.type, config=body.config, id=body.id)


@api.get("/api/llm/providers/<id:provider_id>", answer=ProviderView)
def get_provider(provider_id: str) -> ProviderView:
    """One provider; secrets are masked."""
    return host().providers.get(provider_id)


@api.put("/api/llm/providers/<id:provider_id>", body=ProviderChange, answer=ProviderView)
def update_provider(provider_id: str, body: ProviderChange) -> ProviderView:
    """Replace name and config. A secret left out is kept, unless the endpoint moves to another origin."""
    current = host().providers.get(provider_id)
    if body.version == current.version:
        sent = body.model_dump(by_alias=True, exclude_unset=True, exclude={"name", "config", "version", "last_used_at"})
        check_unchanged(sent, current.model_dump(mode="json", by_alias=True))
    return host().providers.update(provider_id, body.name, body.config, body.version)


@api.delete("/api/llm/providers/<id:provider_id>")
def delete_provider(provider_id: str) -> None:
    """Forget a provider and its key."""
    host().providers.delete(provider_id)


@api.get("/api/llm/providers/<id:provider_id>/models", answer=ProviderModels)
def provider_models(provider_id: str) -> ProviderModels:
    """What the endpoint offers now."""
    return ProviderModels(models=tuple(host().providers.models(provider_id)))
