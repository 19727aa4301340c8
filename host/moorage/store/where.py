"""What `where` means: each field equal to its value, or to one of several."""

from __future__ import annotations

from collections.abc import Callable

from moorage.models import Document
from moorage.store import Where

_Test = Callable[[Document], bool]


def matcher(model: type[Document], where: Where) -> _Test:
    """A function that says whether a document matches. ValueError for a field that the model does not have."""
    for name in where:
        if name not in model.model_fields:
            raise ValueError(f"{model.__name__} has no field {name!r}")
    tests = [
        _one_of(name, value) if isinstance(value, list | tuple | set | frozenset) else _equal(name, value)
        for name, value in where.items()
    ]
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


def _one_of(name: str, values: list[object] | tuple[object, ...] | set[object] | frozenset[object]) -> _Test:
    wanted = frozenset(values)
    return lambda document: getattr(document, name) in wanted


def _equal(name: str, value: object) -> _Test:
    return lambda document: bool(getattr(document, name) == value)
