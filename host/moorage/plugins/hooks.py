"""Calling the hooks: one typed method for each, to the plugin that it concerns.

pluggy's own calls are untyped and stop at the first exception, so each plugin is called by itself through `calls.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from moorage.context import Fetch, PluginContext
from moorage.errors import InvalidInput, Missing, PluginFailed, Unsupported, field_errors
from moorage.http import CallScope, HttpDoor
from moorage.models import (
    Catalog,
    CatalogViolation,
    CompletionEvent,
    CompletionRequest,
    FilePart,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    KeyCheck,
    ModelDetail,
    ModelRef,
    Provider,
    ProviderDraft,
    ProviderModel,
    SearchPage,
    SearchQuery,
    TargetFacts,
)
from moorage.plugins.calls import call, check_admitted
from moorage.plugins.record import PluginRecord
from moorage.plugins.streams import PluginStream

SECONDS: Mapping[str, float] = {
    "review_catalog": 1.0,
    "search_models": 10.0,
    "describe_model": 20.0,
    "check_key": 20.0,
    "describe_target": 5.0,
    "discover_providers": 3.0,
    "list_models": 20.0,
    "plan_install": 20.0,
    "remove_model": 60.0,
    "on_event": 20.0,  # of its HTTP: nobody waits for the call itself
}
R = TypeVar("R")


class HookCalls:
    """The typed calls of a host's plugins; `Plugins` adds how they are loaded, switched and shown."""

    def __init__(self, home: Path, door: HttpDoor) -> None:
        self._home = home
        self._door = door
        self._records: dict[str, PluginRecord] = {}
        self._loaded_configs: dict[str, BaseModel | None] = {}

    def search_models(self, source: str, query: SearchQuery) -> SearchPage | None:
        record = self._record(source)
        page = self._call(record, "search_models", SearchPage, query=query)
        if page is None:
            return None
        try:  # a plugin may make a page without the checks of its model
            page = SearchPage.model_validate(page.model_dump(warnings=False))
        except ValidationError as error:
            raise self._fault(record, "search_models", f"what is no page of results: {_first(error)}") from None
        self._refuse_foreign(record, "search_models", (hit.source for hit in page.results))
        return page

    def describe_model(self, ref: ModelRef) -> ModelDetail:
        detail = self._call(self._record(ref.source), "describe_model", ModelDetail, ref=ref)
        if detail is None:
            raise Unsupported(f"{ref.source} cannot describe models.")
        self._refuse_foreign(self._record(ref.source), "describe_model", (detail.source,))
        return detail

    def check_key(self, name: str) -> KeyCheck | None:
        return self._call(self._record(name), "check_key", KeyCheck)

    def describe_target(self, provider: Provider) -> TargetFacts | None:
        owner = self._owner(provider.type)
        return (
            self._call(owner, "describe_target", TargetFacts, provider=provider)
            if "describe_target" in owner.hooks
            else None
        )

    def list_models(self, provider: Provider) -> list[ProviderModel]:
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

    def discover_providers(self) -> list[ProviderDraft]:
        drafts: list[ProviderDraft] = []
        for record in self._ordered():
            if "discover_providers" in record.hooks and record.callable:
                try:
                    drafts += self._call(record, "discover_providers", list) or []
                except Exception:
                    logging.getLogger("moorage.plugins").info("discovery by %s failed", record.name, exc_info=True)
        return drafts

    def review_catalog(self, catalog: Catalog) -> list[CatalogViolation]:
        violations: list[CatalogViolation] = []
        for record in self._ordered():
            if "review_catalog" in record.hooks and record.callable:
                try:
                    violations += self._call(record, "review_catalog", list, catalog=catalog) or []
                except PluginFailed:
                    continue  # noted with the plugin; the host keeps searched types empty by itself
        return violations

    def complete(self, request: CompletionRequest) -> PluginStream[CompletionEvent]:
        record = self._owner(request.provider.type)
        if request.options is None:  # plugins are promised an instance of their model
            spec = next(spec for spec in record.specs if spec.type == request.provider.type)
            try:
                request = request.model_copy(update={"options": spec.options()})
            except ValidationError as error:
                raise InvalidInput("Some options are missing.", errors=field_errors(error, "options")) from None
        return self._stream(record, "complete", request=request)

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
            raise self._fault(record, hook, f"a {type(result).__name__}, not {returns.__name__}")
        return result

    def _refuse_foreign(self, record: PluginRecord, hook: str, sources: Iterable[str]) -> None:
        """A source speaks for itself only: what names another would be described and installed from there."""
        foreign = next((source for source in sources if source != record.name), None)
        if foreign is not None:
            raise self._fault(record, hook, f"a model of the source {foreign}")

    @staticmethod
    def _fault(record: PluginRecord, hook: str, what: str) -> PluginFailed:
        message = f"The plugin {record.name} answered {hook} with {what}."
        record.note_failure(hook, message)
        return PluginFailed(record.name, message, hint="This is a fault of the plugin.")

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
        directory = self._home / "plugins" / record.name
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


def _first(error: ValidationError) -> str:
    item = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, item['loc']))} {item['msg']}"


def _no_fetch(parts: Iterable[FilePart]) -> Any:
    raise Unsupported("Files can be fetched in install_model only.")
