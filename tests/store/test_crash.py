"""kill -9 of a real process that writes: nothing acknowledged is lost, every file is readable, nothing is left over."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.models import Agent, SavedProvider
from moorage.store.files import CollectionDatabase
from moorage.store.tinydb import TinyDBStore
from tests.store.crash_writer import KEPT

ROOT = Path(__file__).parents[2]
Versions = dict[tuple[str, str], int]
"""The version of each document by collection and id; 0 is one that is not there."""


class Writers:
    """Writers of one data directory, one after the other."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.crash_writer", str(home)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def live_and_die(self, writes: int, later: float) -> Versions:
        """Start a writer, and kill it `later` seconds after so many writes (-1: while it opens).

        Returns what it acknowledged.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("next\n")
        pid = int(self._said("pid"))
        if writes >= 0:
            assert self._said("open") == "", "nothing is wrong after a kill"
        acknowledged: Versions = {}
        for _ in range(writes):
            self._note(acknowledged, self._line())
        time.sleep(later)
        os.kill(pid, signal.SIGKILL)
        while not (line := self._line()).startswith("dead"):
            if not line.startswith("open"):
                self._note(acknowledged, line)
        assert line == f"dead {-signal.SIGKILL}"
        return acknowledged

    def close(self) -> None:
        self._process.communicate()

    def _said(self, what: str) -> str:
        word, _, rest = self._line().partition(" ")
        assert word == what
        return rest

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.endswith("\n"), "the writers' process has ended"
        return line[:-1]

    @staticmethod
    def _note(acknowledged: Versions, line: str) -> None:
        collection, id, version = line.split(" ")
        acknowledged[collection, id] = int(version)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def writers(home: Path) -> Iterator[Writers]:
    writers = Writers(home)
    yield writers
    writers.close()


def stored(home: Path) -> Versions:
    """What is there after the next start, and that this start found nothing to complain about and left nothing."""
    store = TinyDBStore(home, url=None)
    try:
        found = {("providers", item.id): item.version for item in store.collection("providers", SavedProvider).list()}
        found |= {("agents", item.id): item.version for item in store.collection("agents", Agent).list()}
        assert list(store.notices) == []
    finally:
        store.close()
    assert [path.name for path in home.rglob("*") if ".tmp-" in path.name] == []
    for path in (home / "store").iterdir():
        with CollectionDatabase(path) as database:
            database.all()
    return found


def may_be_removed(wanted: Versions, key: tuple[str, str]) -> bool:
    """Whether the writer's next step may have been to remove this document."""
    providers = [id for (collection, id), version in wanted.items() if collection == "providers" and version]
    return len(providers) > KEPT and key[0] == "providers" and wanted.get(key, 0) > 0


@pytest.mark.crash
@pytest.mark.timeout(300)
def test_kills_lose_nothing_that_was_acknowledged(home: Path, writers: Writers, soak: bool) -> None:
    chance = random.Random(2026)
    wanted: Versions = {}
    writes = unacknowledged = 0
    for _ in range(2000 if soak else 200):
        acknowledged = writers.live_and_die(chance.choice([-1, 0, 1, 2, 3, 5, 8, 13]), chance.random() * 0.002)
        writes += len(acknowledged)
        wanted |= acknowledged
        found = stored(home)
        differences = [key for key in wanted | found if wanted.get(key, 0) != found.get(key, 0)]
        assert len(differences) <= 1, "one write at most was under way"
        for key in differences:
            unacknowledged += 1
            version = found.get(key, 0)
            assert version == wanted.get(key, 0) + 1 or (version == 0 and may_be_removed(wanted, key)), "not yet said"
        wanted = found
    assert writes > 500
    assert unacknowledged > 0, "some kills came between the write and its acknowledgement"
