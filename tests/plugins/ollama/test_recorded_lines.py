"""The lines of whole pulls and creations, as the server's own documents and its source have them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from moorage_ollama.importing import step_of
from moorage_ollama.pull import PullProgress

RECORDED = Path(__file__).parents[4] / "shared/data/ollama/ollama-repo/api.trimmed.md"


def documented(section: str) -> list[list[dict[str, Any]]]:
    """The streams of lines in the section of Ollama's own page on its API."""
    text = RECORDED.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```(?:json|shell)\n((?:\{\"status\".*\}\n)+)```", text)
    return [[json.loads(line) for line in block.splitlines()] for block in blocks]


def test_every_line_of_a_documented_creation_has_words_of_ours() -> None:
    streams = documented("Create a Model")
    assert [stream[-1]["status"] for stream in streams] == ["success"] * len(streams)
    assert len(streams) >= 4
    for stream in streams:
        for line in stream:
            said = step_of(line)
            assert said is not None, line
            assert said.endswith(".")
            assert said != line["status"]


def test_the_documented_pull() -> None:
    """The only pull that is recorded: its first line, one of its layers, and its end."""
    section = RECORDED.read_text().partition("\n## Pull a Model\n")[2].partition("\nif `stream` is set to false")[0]
    blocks = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    lines = [json.loads(found) for block in blocks for found in re.findall(r"\{.*?\}", block, re.DOTALL)]
    assert len(lines) == 6
    progress = PullProgress(0)
    shown = [progress.feed(line) for line in lines]
    assert progress.succeeded
    assert [item.completed for item in shown] == [None, 241_970, *[2_142_590_208] * 4]
    assert [item.phase for item in shown] == ["planning", "downloading", "verifying", *["importing"] * 3]


def test_a_pull_of_23_lines() -> None:
    """Five layers as a server sends them: the first ends without saying so, the small ones never have `completed`."""
    size = 2_019_377_376
    model, config = "sha256:dde5aa3fc5ff", "sha256:34bb5ab01051"

    def layer(digest: str, total: int, completed: int | None = None) -> dict[str, Any]:
        line = {"status": f"pulling {digest.removeprefix('sha256:')}", "digest": digest, "total": total}
        return line if completed is None else {**line, "completed": completed}

    lines = [
        {"status": "pulling manifest"},
        layer(model, size),
        *(layer(model, size, size * percent // 100) for percent in (2, 9, 17, 26, 34, 43, 51, 60, 68, 77, 85, 94)),
        layer("sha256:966de95ca8a6", 1429),
        layer("sha256:fcc5a6bec9da", 7711, 7711),
        layer("sha256:a70ff7e570d9", 6016),
        layer("sha256:56bb8bd477a5", 96),
        layer(config, 561),
        layer(config, 561, 561),
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]
    assert len(lines) == 23
    progress = PullProgress(size)
    shown = [progress.feed(line) for line in lines]
    assert progress.succeeded
    completed = [item.completed or 0 for item in shown]
    assert completed == sorted(completed)
    assert completed[-1] == shown[-1].total == size + 1429 + 7711 + 6016 + 96 + 561
    assert [item.phase for item in shown] == ["planning", *["downloading"] * 19, "verifying", *["importing"] * 2]
    assert not any(item.message for item in shown)
