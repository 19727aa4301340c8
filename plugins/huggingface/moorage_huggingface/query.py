"""From a search to the Hub's parameters. Pure.

Source: huggingface_hub `HfApi.list_models`, and the Hub's own pages.
"""

from __future__ import annotations

from moorage import SearchQuery

SORT = {
    "downloads": "downloads",
    "likes": "likes",
    "trending": "trendingScore",
    "created": "createdAt",
    "updated": "lastModified",
}
LIST_FIELDS = ("author", "downloads", "likes", "gated", "tags", "pipeline_tag", "lastModified", "safetensors")
DETAIL_FIELDS = (*LIST_FIELDS, "sha", "private", "disabled", "gguf", "inferenceProviderMapping")
# `gguf` says parameters and context length, but brings a chat template of many kB along: for short pages only.
GGUF_UP_TO = 30


def search_params(query: SearchQuery) -> list[tuple[str, str]]:
    """Filters are repeated for AND; sorting is always descending, and `direction` is no longer sent."""
    text = query.text.strip()
    params = [("sort", SORT[query.sort]), ("limit", str(query.limit))]
    params += [("search", text)] if text else []
    licence = f"license:{query.license}" if query.license else None
    params += [("filter", value) for value in (query.format, licence, query.language) if value]
    single = {
        "apps": query.app,
        "pipeline_tag": query.task,
        "author": query.author,
        "gated": None if query.gated is None else str(query.gated).lower(),
        "inference_provider": query.served_by,
        "num_parameters": _parameter_range(query.min_parameters, query.max_parameters),
        "cursor": query.cursor,
    }
    params += [(key, value) for key, value in single.items() if value]
    fields = (*LIST_FIELDS, "gguf") if query.limit <= GGUF_UP_TO else LIST_FIELDS
    return params + [("expand[]", field) for field in fields]


def _parameter_range(low: int | None, high: int | None) -> str | None:
    parts = [f"{name}:{value}" for name, value in (("min", low), ("max", high)) if value is not None]
    return ",".join(parts) or None
