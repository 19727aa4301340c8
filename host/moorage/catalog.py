"""The merged catalog of static suggestions, and who broke its policy.

Types whose models are found by search have no list, ever: their entries are dropped here whatever the policy plugin
says, and the policy plugin names who tried.
"""

from __future__ import annotations

import threading

from moorage.events import EventBus
from moorage.models import Catalog, CatalogEntry, CatalogView, CatalogViolation
from moorage.plugins import Plugins


class CatalogService:
    """`host.catalog`."""

    def __init__(self, plugins: Plugins, events: EventBus) -> None:
        self._plugins = plugins
        self._events = events
        self._lock = threading.Lock()
        self._view: CatalogView | None = None
        self._told: set[CatalogViolation] = set()
        plugins.on_change(self.review)

    def view(self) -> CatalogView:
        """The catalog by provider type, and the violations."""
        with self._lock:
            view = self._view
        return view if view is not None else self.review()

    def review(self) -> CatalogView:
        suggestions = self._plugins.suggestions()
        searched = {type for type, (_, spec) in self._plugins.specs().items() if spec.search_source is not None}
        violations = self._plugins.review_catalog(Catalog(suggestions=suggestions, searched=tuple(sorted(searched))))
        refused = {(violation.plugin, violation.provider_type) for violation in violations}
        merged: dict[str, tuple[CatalogEntry, ...]] = dict.fromkeys(sorted(self._plugins.specs()), ())
        for suggestion in suggestions:
            kept = merged.setdefault(suggestion.provider_type, ())
            if (suggestion.plugin, suggestion.provider_type) in refused or suggestion.provider_type in searched:
                continue
            merged[suggestion.provider_type] = (*kept, *suggestion.entries)
        view = CatalogView(catalog=merged, violations=tuple(violations))
        with self._lock:
            self._view = view
            news = [violation for violation in violations if violation not in self._told]
            self._told = set(violations)
        for violation in news:
            self._events.publish(
                "catalog.violated",
                violation.plugin,
                providerType=violation.provider_type,
                message=violation.message,
            )
        return view
