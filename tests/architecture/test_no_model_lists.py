"""Discovery is search: nothing in the shipped package lists models of the Hub, neither code, data nor templates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# org/name as the Hub has it: two words joined by a slash, the second with a size, a version or a format in it.
MODEL_ID = re.compile(
    r"""(?:^|["'`\s(>\[,=:])(?P<id>[A-Za-z][\w.-]{1,40}/[A-Za-z][\w.-]*(?:\d+(?:\.\d+)?[bBmM]\b|-GGUF|-[Ii]nstruct|-[Cc]hat)[\w.-]*)"""
)
KNOWN_OWNERS = re.compile(
    r"\b(?:meta-llama|mistralai|Qwen|google|google-bert|microsoft|deepseek-ai|bartowski|TheBloke|unsloth|HuggingFaceTB"
    r"|HuggingFaceH4|TinyLlama|facebook|openai|openai-community|ibm-granite|nvidia|lmstudio-community|mradermacher|tiiuae"
    r"|allenai|CohereForAI|CohereLabs|01-ai|stabilityai|moonshotai|zai-org|sentence-transformers|BAAI|intfloat"
    r"|black-forest-labs)/[A-Za-z0-9]"
)
# Names of models without their owner: a list would have many of them; a file about one family may have one.
FAMILIES = re.compile(
    r"\b(?:llama|qwen|gemma|mistral|mixtral|phi|deepseek|granite|smollm)-?\d(?:\.\d)?[-:]\w+", re.IGNORECASE
)


def shipped_files() -> Iterator[Path]:
    """Every file that goes into the wheel, whatever its kind, but for what Python makes while it runs."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package in config["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / package).is_dir()
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def found(pattern: re.Pattern[str]) -> set[str]:
    named = set()
    for path in shipped_files():
        text = path.read_bytes().decode("utf-8", "replace")
        named |= {f"{path.relative_to(ROOT)}: {match[0].strip()}" for match in pattern.finditer(text)}
    return named


def test_all_of_the_package_is_looked_at() -> None:
    files = list(shipped_files())
    assert len(files) > 200
    assert {".py", ".html", ".js", ".css", ".svg"} <= {path.suffix for path in files}


@pytest.mark.parametrize("pattern", [MODEL_ID, KNOWN_OWNERS, FAMILIES], ids=["shape", "owner", "family"])
def test_no_model_is_named_in_the_package(pattern: re.Pattern[str]) -> None:
    assert not found(pattern)


def test_no_model_that_was_recorded_is_named_in_the_package(recorded_models: frozenset[str]) -> None:
    """The ids in real answers of the Hub and the router, in any writing."""
    texts = {path: path.read_bytes().decode("utf-8", "replace").lower() for path in shipped_files()}
    named = {f"{path.relative_to(ROOT)}: {id}" for path, text in texts.items() for id in recorded_models if id in text}
    assert not named


@pytest.fixture
def recorded_models() -> frozenset[str]:
    folder = ROOT.parent / "shared" / "data" / "huggingface"
    if not folder.is_dir():
        pytest.skip("the recorded answers are not beside this clone")
    texts = [path.read_text(errors="replace") for path in folder.rglob("*.json")]
    quoted = re.compile(r'"(?:id|modelId|providerId|model)": ?"([\w.-]+/[\w.-]+)"')
    ids = frozenset(id.lower() for text in texts for id in quoted.findall(text))
    assert len(ids) > 30
    return ids


def test_the_patterns_find_what_they_are_for() -> None:
    assert MODEL_ID.search('"acme/tiny-3B-GGUF"')
    assert MODEL_ID.search('"acme/tiny-Instruct"')
    assert MODEL_ID.search("acme/tiny-7b\nacme/other-8B-chat")
    assert KNOWN_OWNERS.search('"meta-llama/Whatever"')
    assert FAMILIES.search("llama3.2:latest")
    assert FAMILIES.search("Qwen2.5-Coder")
    assert not MODEL_ID.search('"application/json"')
    assert not FAMILIES.search("llama.cpp")
