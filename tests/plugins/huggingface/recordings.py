"""Answers of the Hub and the router: recorded ones, read in place where they are, and our own of the same shapes.

An envelope has `request` and `response`; streams stand beside them as `.sse`. A clone by itself has our own only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data" / "huggingface"
OWN = Path(__file__).parents[2] / "data" / "huggingface"


def named(pattern: str) -> list[Path]:
    """The recorded files; none where nothing recorded is at hand."""
    found = sorted(DATA.glob(pattern))
    assert found or not DATA.exists(), f"no recording matches {pattern}"
    return found


def answers(pattern: str) -> list[Path]:
    """Our own files, and the recorded ones where they are."""
    own = sorted(OWN.glob(pattern))
    return own + sorted(DATA.glob(pattern))


def label(path: Path) -> str:
    if path.is_relative_to(OWN):
        return f"own/{path.relative_to(OWN).as_posix()}"
    return path.relative_to(DATA).as_posix()


def raw(name: str | Path) -> bytes:
    path = DATA / name
    if not path.exists():
        pytest.skip("the recorded answers are not beside this clone")
    return path.read_bytes()


def read(name: str | Path) -> Any:
    return json.loads(raw(name))


def response(name: str | Path) -> dict[str, Any]:
    answer: dict[str, Any] = read(name)["response"]
    return answer


def body_of(answer: dict[str, Any]) -> bytes:
    if "body_json" in answer:
        return json.dumps(answer["body_json"]).encode()
    return str(answer.get("body_text", "")).encode()


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
