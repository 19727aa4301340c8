"""Every hook is documented with its exact signature, and has a test that names it."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from moorage.events import EventType
from tests.docs.hook_reference import REFERENCE, render, signatures
from tests.docs.markdown import ROOT

DOCS = ROOT / "tests" / "docs"
TESTS = [path.read_text() for path in (ROOT / "tests").rglob("*.py") if DOCS not in path.parents]


def test_the_reference_is_what_the_docstrings_say() -> None:
    assert REFERENCE.read_text() == render(), "run: .venv/bin/python -m tests.docs.hook_reference"


def test_signatures_are_exact() -> None:
    assert signatures()["search_models"] == (
        "search_models(query: SearchQuery, context: PluginContext) -> SearchPage | None"
    )
    assert signatures()["register_config"] == "register_config() -> type[BaseModel] | None"
    assert len(signatures()) == 16


@pytest.mark.parametrize("hook", signatures())
def test_a_hook_says_what_it_is_for(hook: str) -> None:
    _, _, after = REFERENCE.read_text().partition(f"\n## `{signatures()[hook]}`\n\n")
    contract = after.partition("\n## ")[0]
    assert len(contract.split()) >= 10


@pytest.mark.parametrize("hook", signatures())
def test_a_hook_has_a_test(hook: str) -> None:
    assert any(re.search(rf"\b{hook}\b", text) for text in TESTS)


def test_the_events_of_installs_are_listed() -> None:
    listed = re.findall(r"^\| `(install\.\w+)` \|", (ROOT / "docs" / "plugins.md").read_text(), re.M)
    assert sorted(listed) == sorted(kind for kind in get_args(EventType) if kind.startswith("install."))
