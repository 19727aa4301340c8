"""The Markdown files of the repository: their fenced blocks, their links and what can be linked to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^>]+) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.M)


@dataclass(frozen=True)
class Block:
    """One fenced block; `mark` is the comment on the line above: `complete`, `from <path>` or nothing."""

    path: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    assert len(found) > 10
    return sorted(found)


def blocks(language: str) -> list[Block]:
    """All blocks in one language, at least one."""
    found = [block for page in pages() for block in _blocks(page) if block.language == language]
    assert found, language
    return found


def links(page: Path) -> list[str]:
    """The targets of links and pictures."""
    return [match["target"] for match in LINK.finditer(FENCE.sub("", page.read_text()))]


def anchors(page: Path) -> set[str]:
    """What a link into this page may name, as GitHub makes it from headings."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            path=page,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            mark=match["mark"] or "",
            text=re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M),
        )
        for match in FENCE.finditer(text)
    ]
