"""From a search to the Hub's parameters. Pure.

Source: huggingface_hub `HfApi.list_models`, and the Hub's own pages.
"""

from __future__ import annotations

import re

from moorage import SearchQuery

SORT = {
    "downloads": "downloads",
    "likes": "likes",
    "trending": "trendingScore",
    "created": "createdAt",
    "updated": "lastModified",
}
LIST_FIELDS = (
    *("author", "downloads", "likes", "gated", "private", "disabled", "tags", "pipeline_tag", "lastModified"),
    *("createdAt", "sha", "safetensors", "inferenceProviderMapping"),
)
DETAIL_FIELDS = (*LIST_FIELDS, "gguf")
EVERY_PROVIDER = "all"
_ADDRESS = re.compile(
    r"(?:^|[\s/])(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<id>[\w.-]+/[\w.-]+)", re.ASCII | re.IGNORECASE
)
# `gguf` says parameters and context length, but brings a chat template of many kB along: for short pages only.
GGUF_UP_TO = 30


def search_params(query: SearchQuery) -> list[tuple[str, str]]:
    """Filters are repeated for AND; sorting is always descending, and `direction` is no longer sent."""
    text = _without_address(query.text.strip())
    params = [("sort", SORT[query.sort]), ("limit", str(query.limit))]
    params += [("search", text)] if text else []
    licence = f"license:{query.license}" if query.license else None
    params += [("filter", value) for value in (query.format, licence, query.language) if value]
    single = {
        "apps": query.app,
        "pipeline_tag": query.task,
        "author": query.author,
        "gated": None if query.gated is None else str(query.gated).lower(),
        "inference_provider": EVERY_PROVIDER if query.served_by == "any" else query.served_by,
        "num_parameters": _parameter_range(query.min_parameters, query.max_parameters),
        "cursor": query.cursor,
    }
    params += [(key, value) for key, value in single.items() if value]
    fields = DETAIL_FIELDS if query.limit <= GGUF_UP_TO else LIST_FIELDS
    return params + [("expand[]", field) for field in fields]


def _without_address(text: str) -> str:
    """`org/name` out of an address of the Hub, or of a command with one, as people paste them."""
    found = _ADDRESS.search(text)
    return found["id"] if found else text


def _parameter_range(low: int | None, high: int | None) -> str | None:
    parts = [f"{name}:{_count(value)}" for name, value in (("min", low), ("max", high)) if value is not None]
    return ",".join(parts) or None


def _count(value: int) -> str:
    """As the Hub's own pages write it: `7B`, `350M`; exact where it is no whole number of those."""
    for unit, letter in ((10**9, "B"), (10**6, "M")):
        if value and value % unit == 0:
            return f"{value // unit}{letter}"
    return str(value)
