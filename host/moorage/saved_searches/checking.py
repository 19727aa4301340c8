"""Whether a saved search can be kept as it is wished: every wrong field is named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from moorage.errors import FieldError, InvalidInput, field_errors
from moorage.installs.rules import checked
from moorage.models import InstallRule, SavedQuery, SavedSearch, WhenWindow


def checked_search(
    values: Mapping[str, Any],
    old: SavedSearch | None,
    *,
    sources: Collection[str],
    targets: Collection[str],
    now: datetime,
    time_zone: str,
) -> SavedSearch:
    """The search of these values, with the time zone of its window filled in.

    A source or target that it has already may be gone: that is said where it is used. InvalidInput names what is wrong.
    """
    try:
        search = SavedSearch.model_validate(values)
    except ValidationError as error:
        raise _invalid(*field_errors(error)) from None
    errors = list(_errors(search, old, sources, targets))
    rule = search.rule
    if rule is not None and rule.window is not None:
        try:
            when = checked(WhenWindow(window=rule.window), now, time_zone)
            if isinstance(when, WhenWindow):
                rule = rule.model_copy(update={"window": when.window})
        except InvalidInput as error:
            errors += [FieldError(f"rule{item.field.removeprefix('when')}", item.message) for item in error.errors]
    if errors:
        raise _invalid(*errors)
    return search.model_copy(update={"name": search.name.strip(), "rule": rule})


def _errors(
    search: SavedSearch, old: SavedSearch | None, sources: Collection[str], targets: Collection[str]
) -> Iterator[FieldError]:
    query, before = search.query, old.query if old is not None else SavedQuery()
    if not search.name.strip():
        yield FieldError("name", "is required")
    if not query.asks:
        yield FieldError("query.q", "is required without another filter")
    low, high = query.min_parameters, query.max_parameters
    if low is not None and high is not None and low > high:
        yield FieldError("query.minParameters", "must not be above maxParameters")
    if any(name not in sources for name in query.source if name not in before.source):
        yield FieldError("query.source", f"must be one of {', '.join(sources) or 'none: no source is loaded'}")
    rule = search.rule or InstallRule()
    known = old.rule.target if old is not None and old.rule is not None else None
    if rule.target is not None and rule.target not in (known, *targets):
        yield FieldError("rule.target", f"must be one of {', '.join(targets) or 'none: there is no target'}")


def _invalid(*errors: FieldError) -> InvalidInput:
    return InvalidInput("Some fields are not valid.", errors=errors)
