"""`GET /api/models` of the fake Hub: filters, order, cursors, and which keys an answer has."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.fakes.repo import Commit, Repo
from tests.fakes.server import Seen


class BadQuery(Exception):
    """The Hub answers 400 with this text."""


def stamp(moment: datetime) -> str:
    """ISO with milliseconds and Z, as every date of the Hub."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


SORT_KEYS: dict[str, Callable[[Repo], Any]] = {
    "trendingScore": lambda repo: repo.trending,
    "downloads": lambda repo: repo.downloads,
    "likes": lambda repo: repo.likes,
    "lastModified": lambda repo: stamp(repo.modified),
    "createdAt": lambda repo: stamp(repo.created),
    "num_parameters": lambda repo: repo.parameters or 0,
    "id": lambda repo: repo.id,
}


def find(repos: list[Repo], seen: Seen, max_page: int) -> tuple[list[Repo], str | None]:
    """One page of the repositories that the query asks for, always in descending order, and the next cursor."""
    sort = seen.param("sort") or "trendingScore"
    if sort not in SORT_KEYS:
        raise BadQuery(f"Invalid sort parameter: {sort}")
    key = SORT_KEYS[sort]
    # Stable in both directions: first by object id ascending, then (stably) by the key descending.
    found = sorted((repo for repo in repos if matches(repo, seen)), key=lambda repo: repo.object_id)
    found.sort(key=key, reverse=True)
    after = seen.param("cursor")
    if after:
        value, object_id = read_cursor(after, sort)
        found = [r for r in found if key(r) < value or (key(r) == value and r.object_id > object_id)]
    limit = page_limit(seen, max_page)
    page = found[:limit]
    return page, write_cursor(sort, key(page[-1]), page[-1].object_id) if len(found) > limit else None


def matches(repo: Repo, seen: Seen) -> bool:
    """Whether the repository meets every filter of the query."""
    name = repo.id.lower()
    words = " ".join(seen.params("search")).lower().split()
    wanted_tags = seen.params("filter")
    tags = {*repo.all_tags, repo.pipeline_tag}
    apps = _names(seen, "apps")
    served_by = _names(seen, "inference_provider")
    gated = seen.param("gated")
    checks = (
        all(word in name for word in words),
        all(tag in tags for tag in wanted_tags),
        seen.param("author") in (None, repo.author),
        seen.param("pipeline_tag") in (None, repo.pipeline_tag),
        all(app in repo.apps for app in apps),
        gated is None or (gated.lower() == "true") == bool(repo.gated),
        seen.param("inference") != "warm" or repo.is_warm,
        not served_by or ("all" in served_by and repo.is_warm) or any(name in repo.providers for name in served_by),
        _in_range(repo.parameters, seen.param("num_parameters")),
    )
    return all(checks)


def _names(seen: Seen, parameter: str) -> list[str]:
    return [name for value in seen.params(parameter) for name in value.split(",") if name]


def _in_range(parameters: int | None, wanted: str | None) -> bool:
    if wanted is None:
        return True
    bounds = {"min": 0.0, "max": float("inf")}
    for part in wanted.split(","):
        found = re.fullmatch(r"(min|max):([0-9.]+)([KMBT]?)", part.strip(), re.IGNORECASE)
        if not found:
            raise BadQuery(f"Invalid num_parameters: {wanted}")
        scale = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[found[3].upper()]
        bounds[found[1].lower()] = float(found[2]) * scale
    return parameters is not None and bounds["min"] <= parameters <= bounds["max"]


def page_limit(seen: Seen, max_page: int) -> int:
    """The page size that `limit` asks for, no more than the service gives."""
    text = seen.param("limit")
    if text is None:
        return max_page
    if not text.isdecimal() or int(text) < 1:
        raise BadQuery(f"Invalid limit: {text}")
    return min(int(text), max_page)


def write_cursor(sort: str, value: Any, object_id: str) -> str:
    """Opaque to clients; the real one is the same kind of thing, a Mongo condition in base64."""
    condition = {"$or": [{sort: value, "_id": {"$gt": object_id}}, {sort: {"$lt": value}}, {sort: None}]}
    return base64.b64encode(json.dumps(condition, separators=(",", ":")).encode()).decode()


def read_cursor(text: str, sort: str) -> tuple[Any, str]:
    try:
        first = json.loads(base64.b64decode(text, validate=True))["$or"][0]
        return first[sort], first["_id"]["$gt"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BadQuery("Invalid cursor") from error


def provider_mapping(repo: Repo, in_list: bool) -> Any:
    """An array on lists, an object on details."""
    entries = {
        name: {"status": "live", "providerId": repo.id, "task": "conversational", "isModelAuthor": False, **entry}
        for name, entry in repo.providers.items()
    }
    return [{"provider": name, **entry} for name, entry in entries.items()] if in_list else entries


def card_data(repo: Repo) -> dict[str, Any] | None:
    if repo.card is not None:
        return repo.card
    card = {
        "license": repo.license,
        "language": list(repo.languages) or None,
        "pipeline_tag": repo.pipeline_tag,
        "library_name": repo.library_name,
    }
    return {name: value for name, value in card.items() if value is not None} or None


def used_storage(repo: Repo) -> int:
    return sum({file.blob: file.blob.size for c in repo.commits for file in c.files.values() if file.is_lfs}.values())


# Every name that `expand` knows. None as a value means that the key is absent, except where noted at ALWAYS_THERE.
FIELDS: dict[str, Callable[[Repo, Commit, bool], Any]] = {
    "author": lambda repo, commit, in_list: repo.author,
    "baseModels": lambda repo, commit, in_list: None,
    "cardData": lambda repo, commit, in_list: card_data(repo),
    "childrenModelCount": lambda repo, commit, in_list: 0,
    "config": lambda repo, commit, in_list: repo.config,
    "createdAt": lambda repo, commit, in_list: stamp(repo.created),
    "disabled": lambda repo, commit, in_list: repo.disabled,
    "downloads": lambda repo, commit, in_list: repo.downloads,
    "downloadsAllTime": lambda repo, commit, in_list: repo.downloads * 10,
    "evalResults": lambda repo, commit, in_list: None,
    "gated": lambda repo, commit, in_list: repo.gated,
    "gguf": lambda repo, commit, in_list: repo.gguf,
    "gitalyUid": lambda repo, commit, in_list: None,
    "inference": lambda repo, commit, in_list: "warm" if repo.is_warm else None,
    "inferenceProviderMapping": lambda repo, commit, in_list: provider_mapping(repo, in_list),
    "lastModified": lambda repo, commit, in_list: stamp(commit.date),
    "library_name": lambda repo, commit, in_list: repo.library_name,
    "likes": lambda repo, commit, in_list: repo.likes,
    "mask_token": lambda repo, commit, in_list: None,
    "model-index": lambda repo, commit, in_list: None,
    "pipeline_tag": lambda repo, commit, in_list: repo.pipeline_tag,
    "private": lambda repo, commit, in_list: repo.private,
    "resourceGroup": lambda repo, commit, in_list: None,
    "safetensors": lambda repo, commit, in_list: (
        {"parameters": repo.safetensors, "total": sum(repo.safetensors.values())} if repo.safetensors else None
    ),
    "sha": lambda repo, commit, in_list: commit.sha,
    "siblings": lambda repo, commit, in_list: [file.sibling(blobs=False) for file in commit.files.values()],
    "spaces": lambda repo, commit, in_list: [],
    "tags": lambda repo, commit, in_list: repo.all_tags,
    "transformersInfo": lambda repo, commit, in_list: None,
    "trendingScore": lambda repo, commit, in_list: repo.trending,
    "usedStorage": lambda repo, commit, in_list: used_storage(repo),
    "widgetData": lambda repo, commit, in_list: None,
}
ALWAYS_THERE = {"model-index"}  # literally null where there is none

PLAIN = ("likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt")
FULL = ("author", "gated", "lastModified", "sha", "siblings")
DETAIL = (
    *("private", "pipeline_tag", "library_name", "tags", "downloads", "likes", "author", "sha", "lastModified"),
    *("gated", "disabled", "inference", "model-index", "config", "cardData", "gguf", "safetensors", "siblings"),
    *("spaces", "createdAt", "usedStorage"),
)


def list_entry(repo: Repo, seen: Seen) -> dict[str, Any]:
    """One element of the list answer."""
    wanted = expanded(seen)
    if wanted:
        return {"_id": repo.object_id, "id": repo.id, **_pick(repo, repo.commits[-1], wanted, True)}
    names = PLAIN + (FULL if _is_set(seen, "full") else ())
    names += tuple(name for name in ("config", "cardData") if _is_set(seen, name))
    entry = {"_id": repo.object_id, "id": repo.id, "modelId": repo.id}
    return entry | _pick(repo, repo.commits[-1], names, True)


def detail(repo: Repo, commit: Commit, seen: Seen) -> dict[str, Any]:
    """The answer about one repository at one commit."""
    wanted = expanded(seen)
    if wanted:
        return {"_id": repo.object_id, "id": repo.id, **_pick(repo, commit, wanted, False)}
    answer = {"_id": repo.object_id, "id": repo.id, "modelId": repo.id, **_pick(repo, commit, DETAIL, False)}
    if _is_set(seen, "blobs"):
        answer["siblings"] = [file.sibling(blobs=True) for file in commit.files.values()]
    if _is_set(seen, "securityStatus"):
        issues = [{"path": path, "level": level} for path, level in repo.unsafe.items()]
        answer["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": issues}
    return answer


def expanded(seen: Seen) -> list[str]:
    """The names in `expand`; an unknown one is the Hub's 400."""
    wanted = seen.params("expand")
    unknown = [name for name in wanted if name not in FIELDS]
    if unknown:
        raise BadQuery(f"Invalid expand value {unknown[0]!r}, expected one of: {', '.join(FIELDS)}")
    return wanted


def _is_set(seen: Seen, name: str) -> bool:
    return (seen.param(name) or "").lower() in ("true", "1")


def _pick(repo: Repo, commit: Commit, names: tuple[str, ...] | list[str], in_list: bool) -> dict[str, Any]:
    values = {name: FIELDS[name](repo, commit, in_list) for name in names}
    return {name: value for name, value in values.items() if value is not None or name in ALWAYS_THERE}
