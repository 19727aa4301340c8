"""What `moorage` exports is a promise to plugin authors: frozen in a list, and each name explained."""

from __future__ import annotations

import ast
import inspect
import sys
from itertools import pairwise

import pytest

import moorage
from tests.docs.markdown import ROOT

FROZEN = ROOT / "tests" / "data" / "public_names.txt"


def test_the_names_are_sorted() -> None:
    assert list(moorage.__all__) == sorted(moorage.__all__)


def test_the_names_are_those_that_were_promised() -> None:
    assert list(moorage.__all__) == FROZEN.read_text().split(), "a change of the plugin API: see CONTRIBUTING.md"


@pytest.mark.parametrize("name", moorage.__all__)
def test_a_name_is_there(name: str) -> None:
    assert hasattr(moorage, name)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in moorage.__all__
        if name not in ("__version__", "hookimpl")  # a text, and a marker that pluggy makes
    ],
)
def test_a_name_is_explained(name: str) -> None:
    assert explanation(name)


def explanation(name: str) -> str | None:
    """A class's own docstring (not one inherited, or made by dataclasses), or the text below an alias."""
    thing = getattr(moorage, name)
    if inspect.isclass(thing):
        text = vars(thing).get("__doc__")
        return None if text is None or text.startswith(f"{name}(") else text
    if inspect.isfunction(thing):
        return thing.__doc__
    return _below_alias(name)


def _below_alias(name: str) -> str | None:
    for module in [module for key, module in sys.modules.items() if key.startswith("moorage.") and module.__file__]:
        if name not in vars(module):
            continue
        body = ast.parse(inspect.getsource(module)).body
        for statement, following in pairwise(body):
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                value = following.value if isinstance(following, ast.Expr) else None
                return str(value.value) if isinstance(value, ast.Constant) else None
    return None
