"""Kills and full disks in the middle of a write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moorage.errors import StoreError
from moorage.store.tinydb import TinyDBStore
from tests.store.things import Thing

ROOT = Path(__file__).parents[2]


def lines(module: str, *args: object) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", f"tests.store.{module}", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


BOTH = [["a", "thing"], ["b", "thing"]]


@pytest.mark.parametrize(
    ("operation", "things", "first"),
    [
        ("change", [["a", "changed"], ["b", "thing"]], []),
        ("delete", [["b", "thing"]], []),
        ("first", BOTH, ["first"]),
        ("drop", [], []),
    ],
)
def test_a_kill_at_any_step_leaves_what_was_or_what_is_wanted(
    tmp_path: Path, operation: str, things: list[Any], first: list[str]
) -> None:
    *killed, last = lines("kill_steps", tmp_path, operation)
    assert len(killed) >= 4, "every step of the write was cut"
    assert (last["killed"], last["things"], last["first"]) == (False, things, first)
    for result in (*killed, last):
        assert (result["things"], result["first"]) in ((BOTH, []), (things, first)), result
        assert (result["notices"], result["temporary"]) == ([], []), result
    # Once the wanted state was seen it is seen at every later step.
    wanted = [(result["things"], result["first"]) == (things, first) for result in (*killed, last)]
    assert wanted == sorted(wanted)


def test_a_full_disk_changes_nothing_and_is_said(tmp_path: Path) -> None:
    results = lines("disk_full", tmp_path / "home", 100)
    assert len(results) == 100
    for result in results:
        assert "things.json could not be written: File too large." in result["said"]
        assert "Check the free space" in result["said"]
        assert (result["file"], result["memory"], result["temporary"]) == (True, True, []), result
        assert result["later"] == 1, "writing works again as soon as there is room"


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_an_error_at_any_call_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store = TinyDBStore(tmp_path, url=None)
    things = store.collection("things", Thing)
    stored = things.put(Thing(id="a"))
    before = (tmp_path / "store" / "things.json").read_bytes()

    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(StoreError, match="Input/output error"):
            things.put(stored.model_copy(update={"name": "lost"}))
        with pytest.raises(StoreError, match="Input/output error"):
            things.delete("a")
    assert things.get("a") == stored
    assert (tmp_path / "store" / "things.json").read_bytes() == before
    assert things.put(stored.model_copy(update={"name": "kept"})).version == 2
    store.close()


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", unsupported)
    store = TinyDBStore(tmp_path, url=None)
    things = store.collection("things", Thing)
    things.put(things.put(Thing(id="a")))
    store.close()
    (tmp_path / "store" / "things.json").write_bytes(b"")
    store = TinyDBStore(tmp_path, url=None)
    found = store.collection("things", Thing).get("a")
    assert found is not None
    assert found.version == 1
    store.close()


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="cannot be made") as caught:
        TinyDBStore(tmp_path / "home", url=None)
    assert caught.value.hint is not None
    assert "--home" in caught.value.hint
