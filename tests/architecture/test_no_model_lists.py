"""Discovery is search: nothing in the package lists models of the Hub."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / "host", ROOT / "web", ROOT / "plugins"]
# org/name as the Hub has it: two words joined by a slash, the second with a size, a version or a format in it.
MODEL_ID = re.compile(
    r"""["'`\s(>](?P<id>[A-Za-z][\w.-]{1,40}/[A-Za-z][\w.-]*(?:\d+(?:\.\d+)?[bBmM]\b|-GGUF|-[Ii]nstruct|-[Cc]hat)[\w.-]*)"""
)
KNOWN_OWNERS = re.compile(
    r"\b(?:meta-llama|mistralai|Qwen|google|microsoft|deepseek-ai|bartowski|TheBloke|unsloth|HuggingFaceTB|openai|ibm-granite"
    r"|nvidia|lmstudio-community|mradermacher|tiiuae|allenai|CohereForAI|01-ai|stabilityai|moonshotai|zai-org)/[A-Za-z0-9]"
)


def shipped_files() -> list[Path]:
    found = [
        path
        for folder in SHIPPED
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".py", ".html", ".js", ".css", ".json", ".toml", ".txt", ".md", ".svg")
    ]
    assert len(found) > 50
    return found


@pytest.mark.parametrize("pattern", [MODEL_ID, KNOWN_OWNERS], ids=["shape", "owner"])
def test_no_model_id_is_shipped(pattern: re.Pattern[str]) -> None:
    named = {
        f"{path.relative_to(ROOT)}: {match[0].strip()}"
        for path in shipped_files()
        for match in pattern.finditer(path.read_text(errors="replace"))
    }
    assert not named


def test_the_patterns_find_what_they_are_for() -> None:
    assert MODEL_ID.search('"acme/tiny-3B-GGUF"')
    assert MODEL_ID.search('"acme/tiny-Instruct"')
    assert KNOWN_OWNERS.search('"meta-llama/Whatever"')
    assert not MODEL_ID.search('"application/json"')
