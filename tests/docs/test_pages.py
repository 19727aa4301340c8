"""Links resolve, the README begins with the two commands, and every variable is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moorage.preferences import ENVIRONMENT
from moorage.settings import Settings
from tests.docs.markdown import ROOT, anchors, blocks, links, pages

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def test_every_decision_is_listed_and_has_its_parts() -> None:
    folder = ROOT / "docs" / "adr"
    listed = set(links(folder / "README.md"))
    decisions = sorted(folder.glob("[0-9]*.md"))
    assert listed == {path.name for path in decisions}
    for number, path in enumerate(decisions, 1):
        text = path.read_text()
        assert text.startswith(f"# {number:04}: ")
        parts = re.findall(r"^## (.+)$", text, re.M)
        assert parts == ["Context", "Options", "Choice", "Consequences", "Revisit when"], path.name


def test_the_readme_begins_with_three_sentences_and_two_commands() -> None:
    introduction = README.partition("\n## ")[0].partition("\n")[2].strip()
    assert len(re.findall(r"\.(?:\s|$)", introduction)) == 3
    first, second = [block.text for block in blocks("console") if block.path.name == "README.md"][:2]
    assert (first, second) == ("$ make run\n", "$ make test\n")
    assert README.index("make run") < README.index("make test") < README.index("make demo")
    assert README.index("make demo") < README.index("\n## What you can do")
    assert len(README.splitlines()) <= 150


def test_the_readme_shows_two_small_pictures() -> None:
    pictures = [target for target in links(ROOT / "README.md") if target.endswith(".png")]
    assert len(pictures) == 2
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 200_000


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tone_is_calm(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`|!\[", "", page.read_text(), flags=re.S)
    assert "!" not in prose.replace("<!--", "")


def test_every_variable_is_explained() -> None:
    read = {f"MOORAGE_{name.upper()}" for name in Settings.model_fields}
    read |= {name for names in ENVIRONMENT.values() for name in names}
    for folder in ("host", "plugins", "web"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            read |= set(re.findall(r"""os\.environ(?:\.get\(|\[)"([A-Z_]+)\"""", text))
            read |= set(re.findall(r"""\"env": "([A-Z_]+)\"""", text))
    read -= {"DISPLAY", "WAYLAND_DISPLAY", "NAME"}  # the desktop's own, and the placeholder of docstrings
    assert len(read) > 15
    explained = set(re.findall(r"`([A-Za-z_]+)`", (ROOT / "docs" / "configuration.md").read_text()))
    missing = read - explained
    assert not missing
