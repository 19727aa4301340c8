"""Saved providers: create, edit, test, and what they offer."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from moorage.clock import Clock, NewId
from moorage.configs import CheckedConfig, Configs
from moorage.errors import Conflict, FieldError, InvalidInput, Missing, MoorageError, Unsupported
from moorage.events import EventBus
from moorage.models import (
    Capabilities,
    Document,
    Page,
    Provider,
    ProviderDraft,
    ProviderModel,
    ProviderSpec,
    ProviderType,
    ProviderView,
    SavedProvider,
    TestResult,
    Time,
)
from moorage.plugins import Plugins
from moorage.probe import probe
from moorage.slugs import slugify
from moorage.store import Store

NAME_LENGTH = 120


class ProviderUse(Document):
    """When a provider last answered; apart from the provider, whose version counts what people change."""

    at: Time


class Providers:
    """`host.providers`."""

    def __init__(
        self,
        store: Store,
        configs: Configs,
        plugins: Plugins,
        events: EventBus,
        clock: Clock,
        new_id: NewId,
        context_length: Callable[[], int],
    ) -> None:
        self._documents = store.collection("providers", SavedProvider)
        self._uses = store.collection("provider_uses", ProviderUse)
        self.installs_on: Callable[[str], int] = lambda id: 0
        self._configs = configs
        self._plugins = plugins
        self._events = events
        self._clock = clock
        self._new_id = new_id
        self._context_length = context_length
        self._lock = threading.RLock()
        self._found: tuple[ProviderDraft, ...] = ()

    def add_presets(self) -> None:
        """Make the providers that exist from the first start."""
        for type, (_, spec) in self._plugins.specs().items():
            if spec.preset is not None and self._documents.get(spec.preset.id) is None:
                now = self._clock()
                self._documents.put(
                    SavedProvider(
                        id=spec.preset.id,
                        name=spec.preset.name,
                        slug=slugify(spec.preset.name, self._slugs(), type),
                        type=type,
                        config=dict(spec.preset.config),
                        created_at=now,
                        updated_at=now,
                    )
                )

    # -- provider types -----------------------------------------------------------------------------------------

    def types(self) -> builtins.list[ProviderType]:
        return [self._type_view(owner, spec) for owner, spec in self._plugins.specs().values()]

    def type(self, type: str) -> ProviderType:
        owner, spec = self._owner(type)
        return self._type_view(owner, spec)

    def config_model(self, type: str) -> builtins.type[BaseModel]:
        return self._owner(type)[1].config

    def options_model(self, type: str) -> builtins.type[BaseModel]:
        return self._owner(type)[1].options

    # -- saved providers ----------------------------------------------------------------------------------------

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Page[ProviderView]:
        page = self._documents.query(limit=limit, cursor=cursor)
        return Page(items=tuple(self._view(saved) for saved in page.items), next=page.next)

    def get(self, id: str) -> ProviderView:
        return self._view(self._saved(id))

    def create(self, name: str, type: str, config: Mapping[str, Any]) -> ProviderView:
        """Check and save a new provider; InvalidInput names every wrong field and saves nothing."""
        name = _checked_name(name)
        spec = self._spec_for_input(type)
        checked = self._check(spec, config)
        with self._lock:
            id, now = self._new_id("provider"), self._clock()
            saved = SavedProvider(
                id=id,
                name=name,
                slug=slugify(name, self._slugs(), type),
                type=type,
                config=checked.plain,
                created_at=now,
                updated_at=now,
            )
            # The secret first: a crash in between leaves a secret nobody points at, never a provider without its key.
            self._configs.save(_owner_of(id), checked)
            saved = self._documents.put(saved)
        self._events.publish("provider.saved", id, name=name, type=type)
        return self._view(saved)

    def update(self, id: str, name: str, config: Mapping[str, Any], version: int) -> ProviderView:
        """Replace name and config; secrets that are left out are kept, unless the endpoint's origin changes."""
        name = _checked_name(name)
        with self._lock:
            saved = self._saved(id)
            if version != saved.version:
                raise Conflict(
                    "This provider was changed in the meantime.", hint="Load it again and repeat the change."
                )
            checked = self._check(self._owner(saved.type)[1], config, id)
            changed = saved.model_copy(update={"name": name, "config": checked.plain, "updated_at": self._clock()})
            saved = self._documents.put(changed)
            self._configs.save(_owner_of(id), checked)
        self._events.publish("provider.saved", id, name=name, type=saved.type)
        return self._view(saved)

    def delete(self, id: str) -> None:
        """Conflict for one that is part of Moorage, and for a target that installs are for."""
        with self._lock:
            saved = self._saved(id)
            if self._is_preset(saved):
                raise Conflict(f"{saved.name} is part of Moorage and cannot be removed.")
            if wanted := self.installs_on(id):
                raise Conflict(
                    f"{'An install is' if wanted == 1 else f'{wanted} installs are'} for {saved.name}.",
                    hint="Cancel what is for it on the Installs page, then remove it.",
                )
            self._documents.delete(id)
            self._configs.forget(_owner_of(id))
            self._uses.delete(id)
        self._events.publish("provider.removed", id, name=saved.name)

    def mark_used(self, id: str) -> None:
        """Remember when a provider last answered; a lost race does not matter."""
        used = self._uses.get(id) or ProviderUse(id=id, at=self._clock())
        try:
            self._uses.put(used.model_copy(update={"at": self._clock()}))
        except Conflict:
            return

    # -- using them ---------------------------------------------------------------------------------------------

    def resolve(self, id: str, model: str | None = None) -> Provider:
        """The provider as its plugin gets it, secrets included; `model` overrides the saved one."""
        saved = self._saved(id)
        instance = self._instance(saved)
        return Provider(
            id=id, name=saved.name, type=saved.type, config=instance, model=model or getattr(instance, "model", None)
        )

    def inline(self, type: str, config: Mapping[str, Any], *, owner: str | None = None) -> Provider:
        """A provider that is not saved, from a type and a config; `owner` has its secrets."""
        spec = self._spec_for_input(type)
        checked = self._check(spec, config, owner=owner)
        model = getattr(checked.instance, "model", None)
        return Provider(id="", name=spec.label, type=type, config=checked.instance, model=model)

    def models(self, id: str) -> builtins.list[ProviderModel]:
        return self._plugins.list_models(self.resolve(id))

    def test(
        self, *, type: str | None = None, config: Mapping[str, Any] | None = None, id: str | None = None
    ) -> TestResult:
        """One real, short completion from saved or unsaved values; saves nothing.

        With `id` and `config` the unsaved values are used, with the saved secrets where they are left out.
        """
        if id is not None and config is None:
            provider = self.resolve(id)
        elif id is not None:
            saved = self._saved(id)
            checked = self._check(self._owner(saved.type)[1], config or {}, id)
            model = getattr(checked.instance, "model", None)
            provider = Provider(id=id, name=saved.name, type=saved.type, config=checked.instance, model=model)
        elif type is not None:
            provider = self.inline(type, config or {})
        else:
            raise InvalidInput("Say what to test.", errors=(FieldError("type", "is required without an id"),))
        return probe(self._plugins, provider, self._context_length())

    def names(self) -> dict[str, str]:
        """Id to name of all saved providers, also of those whose plugin is off."""
        return {saved.id: saved.name for saved in self._documents.list()}

    def targets(self) -> builtins.list[SavedProvider]:
        """The saved providers that can install models."""
        specs = self._plugins.specs()
        able = {type for type, (_, spec) in specs.items() if spec.capabilities.install}
        return [saved for saved in self._documents.list() if saved.type in able]

    def with_slug(self, slug: str) -> SavedProvider | None:
        return next((saved for saved in self._documents.list() if saved.slug == slug), None)

    def version(self, id: str) -> int | None:
        """The version of a saved provider, which every change raises; None for one that is gone."""
        saved = self._documents.get(id)
        return saved.version if saved is not None else None

    def is_preset(self, id: str) -> bool:
        return self._is_preset(self._saved(id))

    # -- discovery ----------------------------------------------------------------------------------------------

    def discover(self) -> tuple[ProviderDraft, ...]:
        """Ask the plugins what already runs on this machine; what is saved already is left out."""
        self._found = tuple(self._plugins.discover_providers())
        return self.discovered()

    def discovered(self) -> tuple[ProviderDraft, ...]:
        """What the last discovery found and nobody has saved yet."""
        found = {draft.type for draft in self._found}
        known = []
        for saved in self._documents.list():
            if saved.type not in found:
                continue
            try:
                known.append((saved.type, getattr(self._instance(saved), "endpoint", None)))
            except MoorageError:
                continue  # its plugin is off or no longer accepts it: nothing to compare with
        fresh = []
        for draft in self._found:
            try:
                endpoint = getattr(self.inline(draft.type, draft.config).config, "endpoint", None)
            except MoorageError:
                continue
            if (draft.type, endpoint) not in known:
                fresh.append(draft)
        return tuple(fresh)

    # -- inside -------------------------------------------------------------------------------------------------

    def _check(
        self, spec: ProviderSpec, config: Mapping[str, Any], id: str | None = None, owner: str | None = None
    ) -> CheckedConfig:
        return self._configs.check(
            spec.config,
            config,
            owner=_owner_of(id) if id is not None else owner,
            default_endpoint=spec.default_endpoint,
        )

    def _instance(self, saved: SavedProvider) -> BaseModel:
        spec = self._owner(saved.type)[1]
        return self._check(spec, saved.config, saved.id).instance

    def _saved(self, id: str) -> SavedProvider:
        saved = self._documents.get(id)
        if saved is None:
            raise Missing(f"There is no provider {id}.", hint="It may have been removed.")
        return saved

    def _owner(self, type: str) -> tuple[str, ProviderSpec]:
        found = self._plugins.specs().get(type)
        if found is None:
            raise Unsupported(
                f"No plugin offers the provider type {type} now.", hint="See the Plugins page for the reason."
            )
        return found

    def _spec_for_input(self, type: str) -> ProviderSpec:
        specs = self._plugins.specs()
        if type not in specs:
            known = ", ".join(sorted(specs)) or "none: no plugin is loaded"
            raise InvalidInput(
                f"There is no provider type {type}.", errors=(FieldError("type", f"must be one of {known}"),)
            )
        return specs[type][1]

    def _slugs(self) -> set[str]:
        # `agent/…` names agents where models are listed for other programs.
        return {"agent", *(saved.slug for saved in self._documents.list())}

    def _is_preset(self, saved: SavedProvider) -> bool:
        return _is_preset(saved, self._plugins.specs().get(saved.type))

    def _type_view(self, owner: str, spec: ProviderSpec) -> ProviderType:
        return ProviderType(
            type=spec.type,
            label=spec.label,
            description=spec.description,
            plugin=owner,
            capabilities=spec.capabilities,
            search_source=spec.search_source,
            schema_=self._configs.schema(spec.config),
            options_schema=self._configs.schema(spec.options),
        )

    def _view(self, saved: SavedProvider) -> ProviderView:
        found = self._plugins.specs().get(saved.type)
        used = self._uses.get(saved.id)
        config = (
            self._configs.shown(found[1].config, saved.config, _owner_of(saved.id)) if found else dict(saved.config)
        )
        return ProviderView(
            id=saved.id,
            name=saved.name,
            slug=saved.slug,
            type=saved.type,
            config=config,
            model=saved.config.get("model") or (_default_model(found[1]) if found else None),
            capabilities=found[1].capabilities if found else Capabilities(),
            preset=_is_preset(saved, found),
            available=found is not None,
            created_at=saved.created_at,
            updated_at=saved.updated_at,
            last_used_at=used.at if used else None,
            version=saved.version,
        )


def _is_preset(saved: SavedProvider, found: tuple[str, ProviderSpec] | None) -> bool:
    return found is not None and found[1].preset is not None and found[1].preset.id == saved.id


def _default_model(spec: ProviderSpec) -> str | None:
    """The model that a config without one means."""
    field = spec.config.model_fields.get("model")
    default = field.get_default() if field is not None else None
    return default if isinstance(default, str) else None


def _owner_of(id: str) -> str:
    return f"provider:{id}"


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_LENGTH:
        raise InvalidInput(
            "The name is not valid.", errors=(FieldError("name", f"must have 1 to {NAME_LENGTH} characters"),)
        )
    return name
