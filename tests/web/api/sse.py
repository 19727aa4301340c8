"""Reading an event stream the way a strict client would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Heard:
    id: int
    type: str
    data: Any


def heard(stream: bytes) -> list[Heard]:
    """All events; each must have its three lines, and data must be one JSON object on one line."""
    events = []
    for block in stream.decode().split("\n\n"):
        if not block or block.startswith((":", "retry:")):
            continue
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        assert set(lines) == {"event", "id", "data"}, block
        data = json.loads(lines["data"])
        assert isinstance(data, dict)
        events.append(Heard(int(lines["id"]), lines["event"], data))
    return events
