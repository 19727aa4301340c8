"""From a schema to the fields of a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from moorage_web.forms.parse import Submitted
from moorage_web.forms.schema import Kind, Leaf, as_option, choices, label_of, leaves


class Wrong(Protocol):
    """An error of one field, such as `moorage.errors.FieldError`."""

    @property
    def field(self) -> str: ...

    @property
    def message(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Secret:
    """What is known of a saved secret; `hint` are its last letters."""

    set: bool = False
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One control. `name` is its path in the request (`config.apiKey`), `key` the path in the config (`apiKey`).

    `value` is text, for a checkbox a bool, for `choices` the chosen values. `locked` says why it can't be changed.
    """

    name: str
    key: str
    label: str
    kind: Kind
    value: str | bool | tuple[str, ...] = ""
    required: bool = False
    help: str | None = None
    placeholder: str | None = None
    options: tuple[Option, ...] = ()
    error: str | None = None
    secret: Secret | None = None
    search: str | None = None
    advanced: bool = False
    locked: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    group: str | None = None

    @property
    def id(self) -> str:
        """For the element, its label and its descriptions."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name)


def fields(
    schema: Mapping[str, Any],
    values: Mapping[str, Any] | None = None,
    *,
    prefix: str = "config",
    submitted: Submitted | None = None,
    errors: Iterable[Wrong] = (),
    sources: Mapping[str, str] | None = None,
    search_source: str | None = None,
) -> list[Field]:
    """The fields of a schema, holding the saved `values`, or what was `submitted` where a form came back with errors.

    `sources` says where each value comes from; one from the environment is locked.
    """
    found = [
        _field(leaf, values or {}, prefix, submitted, (sources or {}).get(leaf.path[0]), search_source)
        for leaf in leaves(schema)
    ]
    return with_errors(found, errors)


def with_errors(found: Sequence[Field], errors: Iterable[Wrong]) -> list[Field]:
    """The fields with their errors; one about a part of a field (`config.stop.0`) belongs to that field."""
    messages: dict[str, list[str]] = {}
    for error in errors:
        owner = _owner(error.field, found)
        if owner is not None:
            messages.setdefault(owner.name, []).append(error.message)
    return [replace(item, error=_sentence(messages[item.name])) if item.name in messages else item for item in found]


def unplaced(found: Sequence[Field], errors: Iterable[Wrong]) -> list[Wrong]:
    """The errors that belong to none of these fields, to be shown above the form."""
    return [error for error in errors if _owner(error.field, found) is None]


def _field(
    leaf: Leaf,
    values: Mapping[str, Any],
    prefix: str,
    submitted: Submitted | None,
    source: str | None,
    search_source: str | None,
) -> Field:
    schema, key = leaf.schema, ".".join(leaf.path)
    search = schema.get("search") or (search_source if leaf.path == ("model",) else None)
    kind: Kind = "model" if search and leaf.kind == "text" else leaf.kind
    name = f"{prefix}.{key}" if prefix else key
    held = _held(leaf, values)
    default = schema.get("default")
    shown = default if held is None and kind in ("checkbox", "select", "choices") else held
    locked = source == "environment"
    return Field(
        name=name,
        key=key,
        label=label_of(leaf.path[-1], schema.get("title")),
        kind=kind,
        value=_shown(kind, shown) if submitted is None or locked else _typed(kind, name, submitted),
        required=leaf.required and kind != "checkbox" and not (isinstance(held, Mapping) and held.get("set")),
        help=schema.get("description"),
        placeholder=_placeholder(kind, default),
        options=_options(leaf, kind),
        secret=_secret(held) if kind == "secret" else None,
        search=search,
        advanced=bool(schema.get("advanced")),
        locked=_locked(schema.get("env")) if locked else None,
        minimum=schema.get("minimum", schema.get("exclusiveMinimum")),
        maximum=schema.get("maximum", schema.get("exclusiveMaximum")),
        group=leaf.group,
    )


def _held(leaf: Leaf, values: Mapping[str, Any]) -> Any:
    at: Any = values
    for part in leaf.path:
        at = at.get(part) if isinstance(at, Mapping) else None
    return at


def _shown(kind: Kind, value: Any) -> str | bool | tuple[str, ...]:
    if kind == "checkbox":
        return bool(value)
    if kind == "choices":
        return tuple(str(item) for item in value or ())
    if value is None or kind == "secret":
        return ""
    if kind == "lines":
        return "\n".join(str(item) for item in value)
    if kind == "json":
        return json.dumps(value, ensure_ascii=False, indent=2)
    return as_option(value) if isinstance(value, bool) else str(value)


def _typed(kind: Kind, name: str, form: Submitted) -> str | bool | tuple[str, ...]:
    """What the person typed. A secret is not sent back: it would stand in the page."""
    if kind == "checkbox":
        return form.get(name) is not None
    if kind == "choices":
        return tuple(form.getlist(name))
    return "" if kind == "secret" else form.get(name) or ""


def _options(leaf: Leaf, kind: Kind) -> tuple[Option, ...]:
    if kind not in ("select", "choices"):
        return ()
    words = {True: "Yes", False: "No"} if leaf.schema.get("type") == "boolean" else leaf.schema.get("labels", {})
    found = [Option(as_option(value), words.get(value, str(value))) for value in choices(leaf) if value is not None]
    if kind == "choices" or leaf.schema.get("default") is not None:
        return tuple(found)
    return (Option("", "Choose one" if leaf.required else words.get("", "Default")), *found)


def _secret(held: Any) -> Secret:
    if isinstance(held, Mapping):
        return Secret(bool(held.get("set")), held.get("hint"))
    return Secret()


def _placeholder(kind: Kind, default: Any) -> str | None:
    if kind in ("text", "url", "integer", "number", "model") and default not in (None, ""):
        return str(default)
    return None


def _locked(variable: str | None) -> str:
    where = f"the environment variable {variable}" if variable else "the environment"
    return f"Set by {where}. Change it there and restart."


def _owner(path: str, found: Sequence[Field]) -> Field | None:
    holders = [item for item in found if path == item.name or path.startswith(f"{item.name}.")]
    return max(holders, key=lambda item: len(item.name), default=None)


def _sentence(messages: Sequence[str]) -> str:
    """Pydantic's messages read 'Input should be …', ours 'is required': both become sentences."""
    text = "; ".join(dict.fromkeys(messages))
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?")) else f"{text}."
