"""Run as a process of its own: `python -m tests.store.kill_steps <home> <operation>`.

Does one operation in a forked child that is killed before its n-th call to the system, for n = 1, 2, … until the child
lives to the end. After each kill the store is opened and looked at; one JSON line says what was found.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moorage.store.tinydb import TinyDBStore
from tests.store.things import Thing


def change(store: TinyDBStore) -> None:
    things = store.collection("things", Thing)
    stored = things.get("a")
    assert stored is not None
    things.put(stored.model_copy(update={"name": "changed"}))


def delete(store: TinyDBStore) -> None:
    store.collection("things", Thing).delete("a")


def first(store: TinyDBStore) -> None:
    store.collection("transcripts/new", Thing).put(Thing(id="first"))


def drop(store: TinyDBStore) -> None:
    store.drop("things")


OPERATIONS: dict[str, Callable[[TinyDBStore], None]] = {
    operation.__name__: operation for operation in (change, delete, first, drop)
}


class Countdown:
    """Kills this process at the n-th call."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def arm(self) -> None:
        for name in ("open", "fsync", "link", "replace", "unlink", "mkdir", "close"):
            setattr(os, name, self._wrapped(getattr(os, name)))
        fdopen = os.fdopen
        setattr(os, "fdopen", lambda *args: HalfWay(fdopen(*args), self))  # noqa: B010

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.step()
            return function(*args, **options)

        return call


class HalfWay:
    """A file whose writes can be killed in the middle."""

    def __init__(self, file: Any, countdown: Countdown) -> None:
        self._file, self._countdown = file, countdown

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        self._countdown.step()
        self._file.write(data[len(data) // 2 :])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> HalfWay:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def look(home: Path) -> dict[str, Any]:
    store = TinyDBStore(home, url=None)
    try:
        return {
            "things": [(item.id, item.name) for item in store.collection("things", Thing).list()],
            "first": [item.id for item in store.collection("transcripts/new", Thing).list()],
            "notices": list(store.notices),
            "temporary": [str(path) for path in home.rglob("*.tmp-*")],
        }
    finally:
        store.close()


def main(home: Path, operation: str) -> None:
    store = TinyDBStore(home / "origin", url=None)
    for id in ("a", "b"):
        store.collection("things", Thing).put(Thing(id=id))
    store.close()
    killed, calls = True, 0
    while killed:
        calls += 1
        work = home / f"{calls}"
        shutil.copytree(home / "origin", work)
        pid = os.fork()
        if pid == 0:
            store = TinyDBStore(work, url=None)
            store.collection("things", Thing)
            Countdown(calls).arm()
            OPERATIONS[operation](store)
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        print(json.dumps({"calls": calls, "killed": killed, **look(work)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
