"""From what a person calls something to its id: every command takes an id, a slug or a name."""

from __future__ import annotations

from typing import Any

from moorage.cli.connection import Api
from moorage.errors import InvalidInput, Missing


def agent_id(api: Api, given: str) -> str:
    return _id(api.all("/api/agents", "agents"), given, "agent", "`moorage agents` lists them.")


def provider_id(api: Api, given: str) -> str:
    return _id(api.all("/api/llm/providers", "providers"), given, "provider", "`moorage providers` lists them.")


def target_id(api: Api, given: str) -> str:
    targets = [item for item in api.all("/api/llm/providers", "providers") if item["capabilities"]["install"]]
    known = ", ".join(f"{item['name']} ({item['slug']})" for item in targets) or "none"
    return _id(targets, given, "target", f"There are: {known}.")


def target_names(api: Api) -> dict[str, str]:
    """Target id to name."""
    return {item["id"]: item["name"] for item in api.all("/api/llm/providers", "providers")}


def plugin_name(api: Api, given: str) -> str:
    plugins = api.get("/api/plugins")["plugins"]
    named = [{"id": item["name"], "name": item["title"]} for item in plugins]
    return _id(named, given, "plugin", "`moorage plugins` lists them.")


def search_id(api: Api, given: str) -> str:
    searches = api.all("/api/saved-searches", "savedSearches")
    return _id(searches, given, "saved search", "`moorage searches` lists them.")


def token_id(api: Api, given: str) -> str:
    return _id(api.get("/api/tokens")["tokens"], given, "token", "`moorage tokens` lists them.")


def _id(items: list[Any], given: str, noun: str, hint: str) -> str:
    """The id of the one that is meant. Ids win over slugs and those over names; InvalidInput when several match."""
    for key in ("id", "slug", "name"):
        found = [str(item["id"]) for item in items if item.get(key) == given]
        if len(found) > 1:
            nouns = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
            raise InvalidInput(
                f"{len(found)} {nouns} are called {given}: {', '.join(found)}.", hint="Say which one by its id."
            )
        if found:
            return found[0]
    raise Missing(f"There is no {noun} {given}.", hint=hint)
