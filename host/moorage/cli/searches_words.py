"""Saved searches and what they found, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moorage.cli.tables import count, moment, size, table

FILTERS = {
    "format": "format",
    "app": "runs in",
    "task": "task",
    "author": "author",
    "license": "licence",
    "language": "language",
    "servedBy": "served by",
}


def searches_table(searches: Any) -> Any:
    return table(
        ("id", "name", "new", "asks for", "last look", "next look"),
        (
            (
                item["id"],
                item["name"],
                item["unread"] or "",
                query_text(item["query"]),
                moment(item["lastRunAt"]),
                moment(item["nextRunAt"]) or "when told to",
            )
            for item in searches
        ),
        right=("new",),
        empty="No saved searches yet. Save one: moorage searches save NAME WORDS --gguf",
    )


def finds_table(finds: Sequence[Any]) -> Any:
    return table(
        ("model", "found", "parameters", "licence", ""),
        (
            (find["id"], moment(find["foundAt"]), count(find["parameters"]), find["license"], _outcome(find))
            for find in finds
        ),
        right=("parameters",),
        whole="model",
        empty="Nothing new.",
    )


def query_text(query: Any) -> str:
    """`phi, format gguf, at most 4B, by likes`"""
    parts = [query["q"], *(f"{word} {query[key]}" for key, word in FILTERS.items() if query[key])]
    if query["gated"] is not None:
        parts.append("gated" if query["gated"] else "open")
    for key, word in (("minParameters", "at least"), ("maxParameters", "at most")):
        if query[key] is not None:
            parts.append(f"{word} {count(query[key]).replace(' ', '')}")
    parts += [f"at {', '.join(query['source'])}"] if query["source"] else []
    return ", ".join(filter(None, (*parts, f"by {query['sort']}")))


def search_text(search: Any, names: Mapping[str, str]) -> str:
    """All there is to know about one."""
    facts = {
        "Asks for": query_text(search["query"]),
        "Last look": moment(search["lastRunAt"]),
        "Next look": moment(search["nextRunAt"]) or "when told to",
        "Failed": search["lastError"],
        "Installs": _rule_text(search["rule"], names),
    }
    return "\n".join([search["name"], *(f"  {key}: {value}" for key, value in facts.items() if value)])


def _rule_text(rule: Any, names: Mapping[str, str]) -> str:
    if rule is None:
        return "nothing by itself"
    place = names.get(rule["target"], rule["target"]) if rule["target"] else "the default target"
    parts = [f"up to {rule['maxPerDay']} a day on {place}"]
    parts += [f"files up to {size(rule['maxBytes'])}"] if rule["maxBytes"] else []
    parts += ["also what fits tightly"] if rule["tightToo"] else []
    window = rule["window"]
    if window:
        days = f" on {', '.join(window['days'])}" if window["days"] else ""
        parts.append(f"between {window['from']} and {window['to']}{days} ({window['timeZone']})")
    return ", ".join(parts)


def _outcome(find: Any) -> str:
    """What its rule made of it."""
    if find["install"]:
        return f"queued: {find['file']}"
    return f"{find['skipped']} It is tried again." if find["waits"] and find["skipped"] else find["skipped"] or ""
