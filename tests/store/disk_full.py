"""Run as a process of its own: `python -m tests.store.disk_full <home> <times>`.

Puts a document while the system refuses to write more than a part of the file, a different part each time, and
prints one JSON line per time.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from moorage.errors import StoreError
from moorage.store.tinydb import TinyDBStore
from tests.store.things import Thing


def main(home: Path, times: int) -> None:
    store = TinyDBStore(home, url=None)
    things = store.collection("things", Thing)
    for number in range(20):
        things.put(Thing(id=f"t{number}", extra={"text": "x" * 400}))
    file = home / "store" / "things.json"
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for number in range(times):
        before, held = file.read_bytes(), things.list()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) * number // times, hard))
        try:
            things.put(Thing(id="new"))
            said = None
        except StoreError as error:
            said = f"{error} {error.hint}"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print(
            json.dumps(
                {
                    "said": said,
                    "file": file.read_bytes() == before,
                    "memory": things.list() == held,
                    "temporary": [path.name for path in home.rglob("*.tmp-*")],
                    "later": things.put(Thing(id=f"later-{number}")).version,
                }
            )
        )
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
