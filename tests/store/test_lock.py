"""One process per data directory, and the second one is told who holds it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moorage.errors import DataDirLocked
from moorage.store.tinydb import TinyDBStore, read_holder

URL = "http://127.0.0.1:8642"
HOLD = (
    "import sys; from pathlib import Path; from moorage.store.tinydb import TinyDBStore\n"
    "store = TinyDBStore(Path(sys.argv[1]), url=sys.argv[2] or None)\n"
    "print('ready', flush=True); sys.stdin.read(); store.close()"
)


@contextmanager
def another_process(home: Path, url: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(home), url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_told_pid_and_url_at_once(tmp_path: Path) -> None:
    with another_process(tmp_path, URL) as process:
        began = time.monotonic()
        with pytest.raises(DataDirLocked) as caught:
            TinyDBStore(tmp_path, url=None)
        assert time.monotonic() - began < 1.0
        assert f"process {process.pid} " in str(caught.value)
        assert URL in str(caught.value)
        assert caught.value.hint is not None
        assert URL in caught.value.hint
        holder = read_holder(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.url) == (process.pid, URL)


def test_a_holder_that_serves_nothing(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        with pytest.raises(DataDirLocked, match=f"process {process.pid} "):
            TinyDBStore(tmp_path, url=None)
        holder = read_holder(tmp_path)
        assert holder is not None
        assert holder.url is None


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with another_process(tmp_path, URL) as process:
        process.kill()
        process.wait()
    assert read_holder(tmp_path) is None
    store = TinyDBStore(tmp_path, url=None)
    holder = read_holder(tmp_path)
    assert holder is not None
    assert holder.pid == os.getpid()
    store.close()


def test_close_lets_go(tmp_path: Path) -> None:
    TinyDBStore(tmp_path, url=URL).close()
    assert read_holder(tmp_path) is None
    TinyDBStore(tmp_path, url=URL).close()


def test_the_same_process_cannot_open_it_twice(tmp_path: Path) -> None:
    store = TinyDBStore(tmp_path, url=None)
    with pytest.raises(DataDirLocked, match=f"process {os.getpid()} "):
        TinyDBStore(tmp_path, url=None)
    store.close()


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert read_holder(tmp_path / "nothing") is None
    assert not (tmp_path / "nothing").exists()
    assert read_holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_open_lets_go(tmp_path: Path) -> None:
    TinyDBStore(tmp_path, url=None).close()
    (tmp_path / "format.json").write_text("{}")
    with pytest.raises(Exception, match="is damaged"):
        TinyDBStore(tmp_path, url=None)
    assert read_holder(tmp_path) is None


def test_of_processes_that_start_together_one_wins(tmp_path: Path) -> None:
    tries = (
        "import sys; from pathlib import Path; from moorage.errors import DataDirLocked\n"
        "from moorage.store.tinydb import TinyDBStore\n"
        "try: store = TinyDBStore(Path(sys.argv[1]), url=None)\n"
        "except DataDirLocked: print('refused', flush=True); sys.exit()\n"
        "print('won', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", tries, str(tmp_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.stdout.readline() for process in processes if process.stdout]
    for process in processes:
        process.communicate()
    assert sorted(said) == ["refused\n", "refused\n", "won\n"]
