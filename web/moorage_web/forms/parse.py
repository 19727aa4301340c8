"""From a submitted form to the config that it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from moorage_web.forms.schema import Leaf, as_option, choices, leaves

_ABSENT = object()


class Submitted(Protocol):
    """A submitted form, such as werkzeug's MultiDict."""

    def get(self, key: str, /) -> str | None: ...

    def getlist(self, key: str, /) -> list[str]: ...


def parse(
    schema: Mapping[str, Any], form: Submitted, *, prefix: str = "config", locked: Iterable[str] = ()
) -> dict[str, Any]:
    """The config that a form holds, typed as its schema says; keys are camelCase, as in the API.

    Empty fields are left out. A secret is left out to keep it, null to clear it, text to set it. Top-level keys in
    `locked` (set by the environment) are left out.
    """
    fixed = set(locked)
    config: dict[str, Any] = {}
    for leaf in leaves(schema):
        if leaf.path[0] in fixed:
            continue
        value = _parsed(leaf, form, ".".join((prefix, *leaf.path)) if prefix else ".".join(leaf.path))
        if value is _ABSENT:
            continue
        at = config
        for part in leaf.path[:-1]:
            at = at.setdefault(part, {})
        at[leaf.path[-1]] = value
    return config


def _parsed(leaf: Leaf, form: Submitted, name: str) -> Any:
    if leaf.kind == "checkbox":
        return form.get(name) is not None
    if leaf.kind == "choices":
        return [_as_value(leaf, text) for text in form.getlist(name)]
    if leaf.kind == "secret" and form.get(f"{name}.clear") is not None and not form.get(name):
        return None
    text = (form.get(name) or "").replace("\r\n", "\n")
    if leaf.kind != "textarea":
        text = text.strip()
    if not text.strip():
        return _ABSENT
    if leaf.kind == "select":
        return _as_value(leaf, text)
    if leaf.kind in ("integer", "number"):
        return _number(text, leaf.kind)
    if leaf.kind == "lines":
        return [_item(leaf, line.strip()) for line in text.split("\n") if line.strip()]
    if leaf.kind == "json":
        return _json(text)
    return text


def _as_value(leaf: Leaf, text: str) -> Any:
    return next((value for value in choices(leaf) if value is not None and as_option(value) == text), text)


def _item(leaf: Leaf, text: str) -> Any:
    type = leaf.schema["items"].get("type")
    return _number(text, type) if type in ("integer", "number") else text


def _number(text: str, kind: str) -> int | float | str:
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
