"""Every hook a plugin may implement. The docstring is the contract.

Hooks are plain functions (or methods of an object), marked with `from moorage import hookimpl`. An implementation
names only the arguments it uses, so hooks can grow. `async def`, wrappers and names that are not here are refused.
Hooks with a `context` run on a thread of their own with a deadline; raise the errors of `moorage` (Unreachable,
AuthFailed, …) for what a service does, anything else is reported as a bug of the plugin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from moorage.context import PluginContext
    from moorage.events import Event
    from moorage.models import (
        Catalog,
        CatalogEntry,
        CatalogViolation,
        CompletionEvent,
        CompletionRequest,
        InstallPlan,
        InstallProgress,
        InstallRequest,
        KeyCheck,
        ModelDetail,
        ModelRef,
        Provider,
        ProviderDraft,
        ProviderModel,
        ProviderSpec,
        SearchPage,
        SearchQuery,
        TargetFacts,
        Tool,
    )

hookspec = pluggy.HookspecMarker("moorage")
hookimpl = pluggy.HookimplMarker("moorage")


class Hooks:
    """The hooks, in the order in which a plugin meets them."""

    @hookspec
    def register_config(self) -> type[BaseModel] | None:
        """The model of the plugin's own settings: a form on *Plugins*, an instance in `context.config`.

        Called once at load; no I/O, 1 s. Derive it from `moorage.Config`; a field with
        `json_schema_extra={"env": "NAME"}` is set by that environment variable. A required field without a value puts
        the plugin in the state needs-config: it is loaded, but not called.

            @hookimpl
            def register_config():
                return Settings
        """

    @hookspec
    def register_provider(self) -> list[ProviderSpec]:  # type: ignore[empty-body]
        """The provider types that this plugin owns.

        Called once at load; no I/O, 1 s. All calls about a type's providers go to the plugin that registered it, and
        to no other. A type that is taken already is refused, with both plugins named.

            @hookimpl
            def register_provider():
                return [ProviderSpec(type="echo", label="Echo", config=EchoConfig)]
        """

    @hookspec
    def register_tools(self) -> list[Tool]:  # type: ignore[empty-body]
        """Tools that agents may be given.

        Called once at load; no I/O, 1 s. `Tool.run` is called with arguments that fit `Tool.parameters`, with a
        deadline of 60 s; what it raises goes to the model as the result.

            @hookimpl
            def register_tools():
                return [Tool(name="dice", description="Roll a die.", run=lambda arguments: str(randint(1, 6)))]
        """

    @hookspec
    def model_catalog(self) -> dict[str, list[CatalogEntry]]:  # type: ignore[empty-body]
        """Static suggestions by provider type.

        Called once at load; no I/O, 1 s. Types whose models are found by search (huggingface is one) take none:
        an entry for them is dropped and named as a violation.
        """

    @hookspec
    def review_catalog(self, catalog: Catalog) -> list[CatalogViolation]:  # type: ignore[empty-body]
        """Which suggestions break the catalog policy; each entry named by a violation is dropped.

        Called after all plugins are loaded and when one is switched; no I/O, 1 s.
        """

    @hookspec
    def search_models(self, query: SearchQuery, context: PluginContext) -> SearchPage | None:
        """One page of live results, and the cursor of the next.

        Called for each search; quick, 10 s. Return None when this plugin is no source. Raise RateLimited with the time
        to wait; an error here does not touch the other sources. What a source cannot filter by it leaves out of account
        only where every result still meets the query: no result is better than a wrong one.
        """

    @hookspec
    def describe_model(self, ref: ModelRef, context: PluginContext) -> ModelDetail | None:
        """One model with its files (sizes, sha256, quantisation, shards), gate, licence and where it is served.

        Called for the source named in `ref.source` only, which is the plugin's name; 20 s. `ModelDetail.credential`
        is what the host may use to fetch the files. At most four calls are under way at a time. Where `ref.revision`
        is set, the list has named that commit: what belongs to it does not change and may be kept.
        """

    @hookspec
    def check_key(self, context: PluginContext) -> KeyCheck | None:
        """Whose the saved key is and what it may do; None where none is saved.

        Called when a person asks, 20 s; the answer is kept until the settings change, or for a day. AuthFailed for a
        key that is not accepted.
        """

    @hookspec
    def discover_providers(self, context: PluginContext) -> list[ProviderDraft]:  # type: ignore[empty-body]
        """Endpoints of this plugin's types that already run on this machine.

        Called in the background at start and when a person asks; 3 s.
        """

    @hookspec
    def list_models(self, provider: Provider, context: PluginContext) -> list[ProviderModel] | None:
        """What this endpoint offers right now (installed models, served models), with capabilities. 20 s."""

    @hookspec
    def describe_target(self, provider: Provider, context: PluginContext) -> TargetFacts | None:
        """Whether this target runs on this machine, and what memory it reports; None where nothing is known. 5 s."""

    @hookspec
    def plan_install(self, request: InstallRequest, context: PluginContext) -> InstallPlan | None:
        """May the target take this file, by which road, under which name, and what stands in the way.

        Called before every install; 20 s. The host adds the problems it knows itself (gate, disk). Also called for
        every file that a person may choose, then with `request.ask_target` False: answer from the names alone.
        """

    @hookspec
    def install_model(self, plan: InstallPlan, context: PluginContext) -> Iterator[InstallProgress]:  # type: ignore[empty-body]
        """A generator that does the install and yields its progress.

        The host drives it on a thread of its own; closing it is cancelling it. `yield from context.fetch(plan.files)`
        downloads. Returning is success, so return only when the target lists the model.
        """

    @hookspec
    def remove_model(self, provider: Provider, model: str, context: PluginContext) -> None:
        """Remove an installed model from the target; NotFound when it is not there. 60 s."""

    @hookspec
    def complete(self, request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:  # type: ignore[empty-body]
        """A generator that streams one answer: text, reasoning and tool-call deltas, usage, and Finish at the end.

        The host drives it on a reader thread; closing it must stop the remote at once, which leaving the `with` of
        `context.http.stream` does. Yield Finish only when the remote said that it had finished.
        """

    @hookspec
    def on_event(self, event: Event, context: PluginContext) -> None:
        """Something has happened. Delivered in order on a thread of the plugin's own; never delays the host.

        Nobody waits for it. While one call goes on, up to 1000 later events are kept for the plugin, and then the
        oldest are dropped; `context.http` has 20 s for each. What a call raises is shown with the plugin. In the state
        needs-config nothing is delivered, and nothing of before is made up for.

            @hookimpl
            def on_event(event, context):
                if event.type == "install.failed":
                    context.log.info("%s failed: %s", event.about, event.data["message"])
        """
