"""Two who want the same file, and who forgets what."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from moorage.fetch import Downloader
from moorage.fetch import downloader as downloader_module
from moorage.http import HttpDoor
from moorage.models import InstallProgress
from tests.fakes.faults import Fault
from tests.fakes.repo import Repo, SparseFile
from tests.fetch.conftest import CONTENT, SIZE, WHOLE, Desk, file_part, half, is_honest, ranges

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


def test_row_26_several_parts_and_twice_the_same_content(desk: Desk) -> None:
    """One transfer for one content, whatever it is called; and one part after the other."""
    shards = {f"s-0000{n}-of-00002.gguf": SparseFile(700_000, seed=n, head=b"GGUF") for n in (1, 2)}
    desk.hub.add(Repo("acme/shards", {**shards, "copy.gguf": shards["s-00001-of-00002.gguf"]}))
    parts = [file_part(desk.hub, name, content, repo="acme/shards") for name, content in shards.items()]
    parts.append(file_part(desk.hub, "copy.gguf", shards["s-00001-of-00002.gguf"], repo="acme/shards"))
    result = desk.run(*parts)
    assert [path.stat().st_size for path in result.paths] == [700_000] * 3
    assert len(desk.hub.cdn.requests) == 2
    names = [seen.path.rpartition("/")[2] for seen in desk.hub.requests]
    assert names == list(shards)
    assert (result.told[-1].completed, result.told[-1].total) == (2_100_000, 2_100_000)


def test_row_26_two_installs_under_two_names_have_one_transfer(desk: Desk) -> None:
    """Two targets want the same bytes at once, from two repositories."""
    desk.hub.add(Repo("other/copy", {"renamed.gguf": CONTENT}))
    parts = {"install-1": desk.part, "install-2": file_part(desk.hub, "renamed.gguf", CONTENT, repo="other/copy")}
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE * 2))
    found: dict[str, Path] = {}

    def run(owner: str) -> None:
        found[owner] = desk.run(parts[owner], owner=owner).paths[0]

    threads = [threading.Thread(target=run, args=(owner,)) for owner in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found["install-1"] == found["install-2"]
    assert len(desk.hub.cdn.requests) == 1
    assert desk.files() == [f"blobs/{WHOLE.sha256}"]


def test_row_25_a_process_that_was_stopped_keeps_its_file_to_itself(desk: Desk) -> None:
    """SIGSTOP: who waits says so and writes nothing; after SIGCONT the first one ends its work, as the only one."""
    desk.hub.cdn.faults.append(Fault(bytes_per_second=SIZE))
    first = start(desk)
    part = desk.directory / "partial" / f"{WHOLE.sha256}.part"
    until = time.monotonic() + 20
    while not part.exists() or part.stat().st_size < 600_000:
        assert time.monotonic() < until
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    size = part.stat().st_size
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential)
    waiting = [next(fetching).message for _ in range(3)]
    assert waiting[1:] == ["m.gguf is being fetched by another install."] * 2
    assert part.stat().st_size == size
    first.send_signal(signal.SIGCONT)
    for _ in fetching:
        pass
    assert first.wait(20) == 0
    assert desk.downloader.path(desk.part).read_bytes() == WHOLE.read()
    assert len(desk.hub.cdn.requests) == 1


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


def test_what_nobody_wants_any_more_is_removed(desk: Desk) -> None:
    half(desk, "install-1")
    half(desk, "install-2")
    desk.downloader.remove_partial("install-1")
    assert desk.downloader.kept(desk.part) > 0
    desk.downloader.remove_partial("install-of-another-file")
    assert desk.downloader.kept(desk.part) > 0
    desk.downloader.remove_partial("install-2")
    assert desk.files() == []


def wait_for(desk: Desk, owner: str) -> Generator[InstallProgress, None, tuple[Path, ...]]:
    """A second install of the file that has seen that another one fetches it."""
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential, owner=owner)
    next(progress for progress in fetching if "by another install" in (progress.message or ""))
    return fetching


def begin(desk: Desk, owner: str) -> Generator[InstallProgress, None, tuple[Path, ...]]:
    """An install that has some of the file and goes on with it."""
    desk.hub.cdn.faults.append(Fault(end_after=SIZE // 4))
    fetching = desk.downloader.fetch((desk.part,), credential=desk.credential, owner=owner)
    next(progress for progress in fetching if progress.message)
    return fetching


def test_row_26_one_of_two_is_cancelled_and_the_other_goes_on_with_its_bytes(desk: Desk) -> None:
    first = begin(desk, "one")
    second = wait_for(desk, "two.with/odd*name")
    [stored] = desk.downloader.files()
    assert stored.installs == ("one", "two.with/odd*name")
    first.close()
    kept = desk.downloader.kept(desk.part)
    desk.downloader.remove_partial("one")
    assert desk.downloader.kept(desk.part) == kept == SIZE // 4
    assert [file.installs for file in desk.downloader.files()] == [("two.with/odd*name",)]
    told = list(second)
    assert ranges(desk) == [None, f"bytes={kept}-"]
    assert not any(progress.again for progress in told)
    assert desk.files() == [f"blobs/{WHOLE.sha256}"]


def test_row_26_one_that_waited_is_cancelled_while_the_other_fetches(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloader_module, "REMOVE_SECONDS", 0.1)
    first = begin(desk, "one")
    wait_for(desk, "two").close()
    desk.downloader.remove_partial("two")
    assert [file.installs for file in desk.downloader.files()] == [("one",)]
    first.close()
    assert desk.downloader.kept(desk.part) == SIZE // 4
    desk.downloader.remove_partial("one")
    assert desk.files() == []


def test_row_26_two_that_are_cancelled_at_once_leave_nothing_to_each_other(desk: Desk) -> None:
    for _ in range(20):
        begin(desk, "one").close()
        desk.downloader._shelf.want((desk.part,), "two")
        threads = [threading.Thread(target=desk.downloader.remove_partial, args=(owner,)) for owner in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert desk.files() == []


def test_row_26_a_file_that_is_wanted_later_is_kept_for_it(desk: Desk) -> None:
    """The second of two shards is half here from another install, which is cancelled while the first one comes."""
    begin(desk, "one").close()
    content = SparseFile(SIZE, seed=17, head=b"GGUF")
    desk.hub.add(Repo("acme/other", {"first.gguf": content}))
    parts = (file_part(desk.hub, "first.gguf", content, repo="acme/other"), desk.part)
    fetching = desk.downloader.fetch(parts, credential=desk.credential, owner="two")
    next(fetching)
    desk.downloader.remove_partial("one")
    assert desk.downloader.kept(desk.part) == SIZE // 4
    list(fetching)
    assert ranges(desk)[-1] == f"bytes={SIZE // 4}-"
    assert desk.unfinished == []


WAITING = """
import sys
from pathlib import Path
from moorage.fetch import Downloader
from moorage.http import HttpDoor
from moorage.models import FilePart
wanted = FilePart.model_validate_json(sys.argv[2])
for progress in Downloader(HttpDoor(), Path(sys.argv[1]), reserve=0).fetch((wanted,), owner="two"):
    print(progress.message, flush=True)
"""


def test_row_26_one_that_waits_in_another_process_and_is_killed_still_wants_it(desk: Desk) -> None:
    first = begin(desk, "one")
    command = [sys.executable, "-c", WAITING, str(desk.directory), desk.part.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None
        next(line for line in second.stdout if "by another install" in line)
        second.kill()
    first.close()
    desk.downloader.remove_partial("one")
    desk.downloader.sweep()
    assert desk.downloader.kept(desk.part) == SIZE // 4
    desk.downloader.remove_partial("two")
    assert desk.files() == []


def test_a_sweep_takes_the_names_of_those_whose_file_is_gone(desk: Desk) -> None:
    shelf = desk.downloader._shelf
    shelf.prepare()
    shelf.want((desk.part,), "killed")
    desk.downloader.sweep()
    assert desk.files() == []


def test_who_waits_is_told_that_bytes_were_thrown_away(desk: Desk) -> None:
    """By the one that fetches them, while it waits; and by a person, before it goes on itself."""
    first = begin(desk, "one")
    second = desk.downloader.fetch((desk.part,), credential=desk.credential, owner="two")
    first.close()
    with desk.downloader._shelf.locked(WHOLE.sha256, 1):
        told = [next(second), next(second)]
        (desk.directory / "partial" / f"{WHOLE.sha256}.json").unlink()
        told.append(next(progress for progress in second if progress.again))
    assert [progress.completed for progress in told] == [SIZE // 4, SIZE // 4, 0]
    assert "Another install fetches it again" in (told[-1].message or "")
    list(second)
    assert desk.downloader.path(desk.part).read_bytes() == WHOLE.read()

    desk.downloader.remove(WHOLE.sha256)
    begin(desk, "one").close()
    third = desk.downloader.fetch((desk.part,), credential=desk.credential, owner="three")
    told = [next(third)]
    desk.downloader.remove(WHOLE.sha256)
    told += third
    assert [progress.completed for progress in told if progress.again] == [0]
    assert is_honest(told)
    assert told[-1].completed == SIZE


def test_a_finished_file_is_not_partial(desk: Desk) -> None:
    desk.run(owner="install-1")
    desk.downloader.remove_partial("install-1")
    assert desk.downloader.kept(desk.part) == SIZE


def test_a_downloader_asks_the_disk(tmp_path: Path) -> None:
    door = HttpDoor()
    assert list(Downloader(door, tmp_path / "new").fetch(()))[-1].total == 0
    door.close()
