"""Two who want the same file, and who forgets what."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from moorage.fetch import Downloader
from moorage.http import HttpDoor
from tests.fakes.faults import Fault
from tests.fakes.repo import Blob
from tests.fetch.conftest import CONTENT, SIZE, Desk

WHOLE = Blob(CONTENT)

SCRIPT = """
import sys
from pathlib import Path
from moorage.fetch import Downloader, part
from moorage.http import HttpDoor
from moorage.models import FilePart
part.SYNC_BYTES = 200_000
wanted = FilePart.model_validate_json(sys.argv[2])
for _ in Downloader(HttpDoor(), Path(sys.argv[1]), reserve=0).fetch((wanted,)):
    pass
"""


def start(desk: Desk) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(desk.directory), desk.part.model_dump_json()])


def test_row_25_two_threads_share_one_transfer(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE * 2))
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(desk.run().messages)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(desk.hub.cdn.requests) == 1
    assert any("being fetched by another install" in messages for messages in results)
    assert desk.files() == [f"blobs/{WHOLE.sha256}"]


def test_rows_1_and_25_two_processes_share_one_transfer_and_survive_a_kill(desk: Desk) -> None:
    """The first is killed on the way; the one that waited goes on from what was synced."""
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    first = start(desk)
    part = desk.directory / "partial" / f"{WHOLE.sha256}.part"
    until = time.monotonic() + 20
    while not part.exists() or part.stat().st_size < 600_000:
        assert time.monotonic() < until
        time.sleep(0.01)
    second = start(desk)
    time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    synced = desk.downloader.kept(desk.part)
    assert synced > 0
    assert second.wait(20) == 0
    assert desk.downloader.path(desk.part).read_bytes() == WHOLE.read()
    assert [seen.headers.get("range") for seen in desk.hub.cdn.requests] == [None, f"bytes={synced}-"]


@pytest.mark.crash
def test_row_1_killed_again_and_again(desk: Desk, soak: bool) -> None:
    """Wherever the kill comes, the next process goes on from what was synced, and the file is right in the end."""
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE / 2, times=None))
    chance = random.Random(7)
    kept = 0
    for _ in range(100 if soak else 5):
        asked = len(desk.hub.cdn.requests)
        process = start(desk)
        until = time.monotonic() + 20
        while len(desk.hub.cdn.requests) == asked and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.wait()
        assert desk.downloader.kept(desk.part) >= kept
        kept = desk.downloader.kept(desk.part)
        if desk.downloader.path(desk.part).exists():
            desk.downloader.path(desk.part).unlink()
            kept = 0
    desk.hub.cdn.faults.clear()
    desk.run()
    assert desk.downloader.path(desk.part).read_bytes() == WHOLE.read()
    assert desk.unfinished == []


def test_a_closed_generator_lets_go_from_another_thread(desk: Desk) -> None:
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    next(fetching)
    next(fetching)
    thread = threading.Thread(target=fetching.close)
    thread.start()
    thread.join(5)
    desk.run()
    assert desk.downloader.path(desk.part).read_bytes() == WHOLE.read()


def half(desk: Desk, owner: str) -> None:
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 4))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential, owner=owner)
    next(progress for progress in fetching if progress.message)
    fetching.close()


def test_what_nobody_wants_any_more_is_removed(desk: Desk) -> None:
    half(desk, "install-1")
    half(desk, "install-2")
    desk.downloader.remove_partial("install-1")
    assert desk.downloader.kept(desk.part) > 0
    desk.downloader.remove_partial("install-of-another-file")
    assert desk.downloader.kept(desk.part) > 0
    desk.downloader.remove_partial("install-2")
    assert desk.files() == []


def test_a_finished_file_is_not_partial(desk: Desk) -> None:
    desk.run(owner="install-1")
    desk.downloader.remove_partial("install-1")
    assert desk.downloader.kept(desk.part) == SIZE


def test_a_downloader_asks_the_disk(tmp_path: Path) -> None:
    door = HttpDoor()
    assert list(Downloader(door, tmp_path / "new").fetch(()))[-1].total == 0
    door.close()
