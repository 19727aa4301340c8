"""`<key>.json`: what is known about an unfinished file, apart from its bytes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Sidecar:
    """What is known about a part. `offset` counts the bytes that are safe; `name` and `total` (bytes) are of the file
    that it becomes, to be shown. Who wants it is not here: see `Owners`.
    """

    offset: int = 0
    etag: str | None = None
    name: str | None = None
    total: int | None = None

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """The sidecar, or an empty one where it is missing or damaged: then the bytes are fetched again."""
        try:
            value = json.loads(path.read_bytes())
            etag, name, total = value["etag"], value.get("name"), value.get("total")
            return cls(
                offset=max(0, int(value["offset"])),
                etag=None if etag is None else str(etag),
                name=None if name is None else str(name),
                total=None if total is None else int(total),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    def write(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(json.dumps(asdict(self)).encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
