"""The catalog policy: models that are found by search are never listed by hand.

A list in a package is out of date the day after it is written, and puts its author's choice before the person's.
"""

from __future__ import annotations

from moorage import Catalog, CatalogEntry, CatalogViolation, hookimpl

TITLE = "Catalog policy"
ALWAYS_SEARCHED = "huggingface"  # also while the plugin that searches it is switched off


@hookimpl
def model_catalog() -> dict[str, list[CatalogEntry]]:
    return {ALWAYS_SEARCHED: []}


@hookimpl
def review_catalog(catalog: Catalog) -> list[CatalogViolation]:
    searched = {ALWAYS_SEARCHED, *catalog.searched}
    return [
        CatalogViolation(
            plugin=suggestion.plugin,
            provider_type=suggestion.provider_type,
            message=f"The plugin {suggestion.plugin} suggests {_counted(len(suggestion.entries))} for "
            f"{suggestion.provider_type}, whose models are found by search. Its suggestions are left out.",
        )
        for suggestion in catalog.suggestions
        if suggestion.entries and suggestion.provider_type in searched
    ]


def _counted(number: int) -> str:
    return "a model" if number == 1 else f"{number} models"
