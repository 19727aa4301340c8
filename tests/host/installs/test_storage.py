"""What the data directory holds, and a clean-up that removes only what nothing needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.host import Host
from moorage.models import StoredFile
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.host.installs.story import Story, add, ask, until, weights

MODELS = ("partial", "blobs", "quarantine")


def files(host: Host) -> dict[str, StoredFile]:
    return {file.kind: file for file in host.storage.view().files}


def left(host: Host) -> list[Path]:
    return [path for name in MODELS for path in (host.settings.home / "models" / name).glob("*")]


def halfway(host: Host, hub: FakeHub, name: str = "a") -> str:
    """An install that was paused with a megabyte of three."""
    add(hub, f"{name}/m-GGUF", {"m-Q4_K_M.gguf": weights(3_000_000, seed=ord(name))})
    hub.cdn.faults.append(Fault(times=None, stall_after=1_000_000))
    install = ask(host, f"{name}/m-GGUF")
    until(lambda: host.installs.get(install.id).completed >= 1_000_000)
    host.installs.pause(install.id)
    hub.cdn.faults.clear()
    return install.id


def test_a_model_and_its_download_are_counted_once(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF")
    Story(host).ended(install.id)
    held = host.storage.view()
    assert [(model.target, model.name, model.size) for model in held.models] == [
        ("builtin", "a/m-GGUF:Q4_K_M", install.total)
    ]
    assert held.files == ()
    assert held.reclaimable == 0
    assert 0 < held.other < 1_000_000
    assert held.free
    assert held.directory == str(host.settings.home)
    assert host.storage.clean() == 0
    assert host.local.target("builtin").models, "the model is there still"


def test_what_an_install_wants_stays(host: Host, hub: FakeHub) -> None:
    id = halfway(host, hub)
    part = files(host)["partial"]
    assert part.installs == (id,)
    assert part.needed
    assert part.size >= 1_000_000
    assert part.name == "m-Q4_K_M.gguf"
    assert part.total == host.installs.get(id).total
    assert host.storage.clean() == 0
    host.installs.resume(id)
    assert Story(host).ended(id).state == "installed"
    assert int(hub.cdn.requests[-1].headers["range"].removeprefix("bytes=").rstrip("-")) >= 1_000_000


def test_a_failed_one_can_be_tried_again_until_it_leaves_the_history(host: Host, hub: FakeHub) -> None:
    id = halfway(host, hub)
    host.installs._queue.change(id, state="failed")
    assert files(host)["partial"].installs == (id,)
    assert host.storage.clean() == 0
    host.installs.remove(id)
    assert left(host) == []


def test_what_nobody_wants_is_removed_and_counted(host: Host, hub: FakeHub) -> None:
    """A partial file whose install is gone from the records, a damaged one, and a finished one without a model."""
    kept = halfway(host, hub, "a")
    lost = halfway(host, hub, "b")
    host.installs._queue.change(lost, state="failed")
    host.installs._queue.remove(lost)
    models = host.settings.home / "models"
    for name, key in (("quarantine", "1" * 64), ("blobs", "2" * 64)):
        (models / name).mkdir(exist_ok=True)
        (models / name / key).write_bytes(bytes(5000))
    held = host.storage.view()
    assert {(file.kind, file.needed) for file in held.files} == {
        ("partial", True),
        ("partial", False),
        ("damaged", False),
        ("finished", False),
    }
    freed = host.storage.clean()
    assert freed == held.reclaimable >= 1_010_000
    after = host.storage.view()
    assert [file.installs for file in after.files] == [(kept,)]
    assert after.reclaimable == 0


@pytest.mark.parametrize("state", ["queued", "scheduled", "running", "paused", "waiting"])
def test_a_finished_file_that_waits_for_its_import_stays(host: Host, hub: FakeHub, state: str) -> None:
    id = halfway(host, hub)
    (key,) = host.installs.get(id).hashes
    (host.settings.home / "models" / "blobs" / str(key)).write_bytes(bytes(10))
    host.installs._queue.change(id, state=state)
    assert files(host)["finished"].installs == (id,)
    assert host.storage.clean() == 0
