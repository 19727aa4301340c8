from __future__ import annotations

from moorage import Catalog, CatalogEntry, CatalogSuggestion
from moorage_catalog import plugin


def suggestion(name: str, provider_type: str, *models: str) -> CatalogSuggestion:
    entries = tuple(CatalogEntry(model=model) for model in models)
    return CatalogSuggestion(plugin=name, provider_type=provider_type, entries=entries)


def test_it_lists_nothing_itself() -> None:
    assert plugin.model_catalog() == {"huggingface": []}


def test_who_lists_models_of_a_searched_type_is_named() -> None:
    catalog = Catalog(
        suggestions=(
            suggestion("catalog", "huggingface"),
            suggestion("pushy", "huggingface", "a/b"),
            suggestion("pushy", "hub2", "a/b", "a/c"),
            suggestion("fair", "ollama", "tiny"),
        ),
        searched=("hub2",),  # huggingface itself may be switched off
    )
    violations = plugin.review_catalog(catalog)
    assert [(item.plugin, item.provider_type) for item in violations] == [("pushy", "huggingface"), ("pushy", "hub2")]
    assert "pushy suggests a model for huggingface" in violations[0].message
    assert "2 models" in violations[1].message
