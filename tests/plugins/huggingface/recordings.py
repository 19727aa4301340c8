"""Recorded traffic, read in place: envelopes with `request` and `response`, and streams beside them as `.sse`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[4] / "shared" / "data" / "huggingface"


def named(pattern: str) -> list[Path]:
    found = sorted(DATA.glob(pattern))
    assert found, f"no recording matches {pattern}"
    return found


def label(path: Path) -> str:
    return path.relative_to(DATA).as_posix()


def read(name: str | Path) -> Any:
    return json.loads((DATA / name).read_bytes())


def response(name: str | Path) -> dict[str, Any]:
    answer: dict[str, Any] = read(name)["response"]
    return answer


def body_of(answer: dict[str, Any]) -> bytes:
    if "body_json" in answer:
        return json.dumps(answer["body_json"]).encode()
    return str(answer.get("body_text", "")).encode()


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
