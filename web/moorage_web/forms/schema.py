"""Reading a JSON Schema: its values one by one, each with the kind of control that fits it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "text",
    "url",
    "time",
    "secret",
    "integer",
    "number",
    "checkbox",
    "select",
    "textarea",
    "lines",
    "choices",
    "json",
    "model",
]
LONG_TEXT = 1000
DEPTH = 3  # objects inside objects further down are edited as JSON, which also ends recursive models
_ACRONYMS = {"api", "url", "id", "http", "https", "llm", "gpu", "cpu", "ui", "tls", "ip"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of a schema: its path, its schema without null, and the heading of the object it is in."""

    path: tuple[str, ...]
    schema: Mapping[str, Any]
    kind: Kind
    required: bool
    nullable: bool
    group: str | None


def leaves(schema: Mapping[str, Any]) -> Iterator[Leaf]:
    yield from _walk(schema, schema.get("$defs", {}), (), True, None)


def _walk(
    schema: Mapping[str, Any], defs: Mapping[str, Any], path: tuple[str, ...], required: bool, group: str | None
) -> Iterator[Leaf]:
    needed = schema.get("required", ())
    for key, raw in schema.get("properties", {}).items():
        plain, nullable = _resolved(raw, defs)
        below = (*path, key)
        is_needed = required and key in needed
        if plain.get("type") == "object" and plain.get("properties") and len(below) < DEPTH:
            yield from _walk(plain, defs, below, is_needed, label_of(key, plain.get("title")))
        else:
            yield Leaf(below, plain, _kind(plain, nullable), is_needed, nullable, group)


def _resolved(raw: Mapping[str, Any], defs: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A property with its reference followed and null taken out of its choices; what it says itself wins."""
    own = dict(raw)
    choices = own.pop("anyOf", None) or own.pop("oneOf", None) or own.pop("allOf", None)
    nullable = False
    if choices:
        real = [choice for choice in choices if choice.get("type") != "null"]
        nullable = len(real) < len(choices)
        own = {**(real[0] if len(real) == 1 else _widest(real)), **own}
    if "$ref" in own:
        target = defs[own.pop("$ref").rsplit("/", 1)[-1]]
        inner, also = _resolved(target, defs)
        own, nullable = {**inner, **own}, nullable or also
    return own, nullable


def _widest(choices: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Several types in one field are text where text is one of them, else JSON."""
    return next((choice for choice in choices if choice.get("type") == "string"), {})


def _kind(schema: Mapping[str, Any], nullable: bool) -> Kind:
    type, items = schema.get("type"), schema.get("items", {})
    if schema.get("format") == "password" or schema.get("writeOnly"):
        return "secret"
    if "enum" in schema or "const" in schema:
        return "select"
    if type == "boolean":
        return "select" if nullable else "checkbox"
    if type == "integer":
        return "integer"
    if type == "number":
        return "number"
    if type == "array":
        if items.get("enum"):
            return "choices"
        return "lines" if items.get("type") in ("string", "integer", "number") else "json"
    if type != "string":
        return "json"
    if schema.get("format") in ("uri", "url"):
        return "url"
    if schema.get("control") == "time":  # HH:MM; the format `time` of JSON Schema has seconds and an offset
        return "time"
    return "textarea" if schema.get("multiline") or schema.get("maxLength", 0) >= LONG_TEXT else "text"


def choices(leaf: Leaf) -> tuple[Any, ...]:
    if leaf.kind == "choices":
        return tuple(leaf.schema["items"]["enum"])
    if leaf.schema.get("type") == "boolean":
        return (True, False)
    return tuple(leaf.schema["enum"]) if "enum" in leaf.schema else (leaf.schema["const"],)


def as_option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def label_of(key: str, title: str | None) -> str:
    """The schema's title where its author wrote one; else the name as a sentence: `apiKey` is 'API key'."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", key).strip().split()
    if title and title.replace(" ", "").lower() != "".join(words).lower():
        return title
    text = " ".join(word.upper() if word.lower() in _ACRONYMS else word.lower() for word in words)
    return text[:1].upper() + text[1:]
