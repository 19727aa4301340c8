"""Nobody lists the models of a type that is searched: `huggingface: []`, and whoever tries is named."""

from __future__ import annotations

from moorage import Catalog, CatalogEntry, CatalogViolation, hookimpl

TITLE = "Catalog policy"
SEARCHED = "huggingface"


@hookimpl
def model_catalog() -> dict[str, list[CatalogEntry]]:
    return {SEARCHED: []}


@hookimpl
def review_catalog(catalog: Catalog) -> list[CatalogViolation]:
    """Name every plugin that suggests models for a type whose models are found by search."""
    searched = {SEARCHED, *catalog.searched}
    return [
        CatalogViolation(
            plugin=suggestion.plugin,
            provider_type=suggestion.provider_type,
            message=f"{suggestion.plugin} suggests {len(suggestion.entries)} models for {suggestion.provider_type}, "
            f"whose models are found by search only. They are left out.",
        )
        for suggestion in catalog.suggestions
        if suggestion.provider_type in searched and suggestion.entries
    ]
