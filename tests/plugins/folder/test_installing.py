"""What is found in the folder is installed, stays what it was, and is followed when it changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from moorage.errors import MoorageError
from moorage.host import Host
from moorage.models import WhenUpdated
from tests.conftest import MakeHost
from tests.fakes.ollama_gguf import make_gguf
from tests.plugins.folder.conftest import Shore

ID = "folder/Skiff"
SECONDS = 15.0


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def host(make_host: MakeHost, plugin: Any, shore: Shore) -> Host:
    shore.put("Skiff/Skiff-Q4_K_M.gguf", make_gguf(padding=bytes(10_000)))
    environment = {"MOORAGE_FOLDER": str(shore.folder), "HF_ENDPOINT": "http://127.0.0.1:1"}
    return make_host(plugins={"folder": plugin}, environment=environment)


def ended(host: Host, id: str) -> Any:
    wait_for(lambda: host.installs.get(id).ended)
    return host.installs.get(id)


def request(host: Host) -> str:
    return host.installs.request("folder", ID, target="builtin")[0].id


def installed(host: Host) -> list[bytes]:
    """The files of the built-in engine's models."""
    return [path.read_bytes() for path in host.settings.home.glob("plugins/llamacpp/**/*.gguf")]


def test_a_copy_is_installed_and_asked_for_once(host: Host, shore: Shore) -> None:
    path = shore.folder / "Skiff" / "Skiff-Q4_K_M.gguf"
    done = ended(host, request(host))
    assert (done.state, done.road, done.total) == ("installed", "import", path.stat().st_size)
    assert request(host) == done.id
    assert installed(host) == [path.read_bytes()]
    content = path.read_bytes()
    path.unlink()
    assert installed(host) == [content]


@pytest.mark.parametrize("hashed", [True, False])
def test_a_change_of_the_file_is_a_newer_revision(
    host: Host, shore: Shore, example: Any, hashed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hashed:
        monkeypatch.setattr(example.FolderPlugin, "_sha256", lambda *_: None)
    first = ended(host, request(host))
    host.installs.on_update(first.id, WhenUpdated(on_update="install"))
    host.installs._updates.look()
    assert host.installs.get(first.id).update is None
    path = shore.put("Skiff/Skiff-Q4_K_M.gguf", make_gguf(padding=bytes(9_999) + b"2"))
    os.utime(path, ns=(1, 1))
    host.search.forget()
    host.installs._updates.look()
    assert len(host.installs.list().items) == 2
    wait_for(lambda: [install.state for install in host.installs.list().items] == ["installed", "installed"])
    assert installed(host) == [path.read_bytes()]


def test_an_install_without_a_hash_takes_the_file_of_now(
    host: Host, shore: Shore, example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example.FolderPlugin, "_sha256", lambda *_: None)
    done = ended(host, request(host))
    assert (done.state, done.hashes) == ("installed", (None,))
    host.local.remove("builtin", done.model_name or "")
    path = shore.put("Skiff/Skiff-Q4_K_M.gguf", make_gguf(padding=bytes(9_999) + b"2"))
    os.utime(path, ns=(1, 1))
    host.search.forget()
    again = ended(host, request(host))
    assert again.state == "installed"
    assert installed(host) == [path.read_bytes()], "not what was copied of the older one"


@pytest.mark.parametrize("change", ["gone", "another size", "no model"])
def test_a_file_that_is_not_the_one_that_was_found(host: Host, shore: Shore, change: str) -> None:
    host.search.describe("folder", ID)  # it is kept for a minute
    path = shore.folder / "Skiff" / "Skiff-Q4_K_M.gguf"
    size = path.stat().st_size
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(b"GGUF" if change == "another size" else bytes(size))
    done = ended(host, request(host))
    assert done.state == "failed"
    code, words = {
        "gone": ("not-found", "is not there any more"),
        "another size": ("bad-answer", "but it has 4"),
        "no model": ("not-a-gguf", "is not a GGUF file"),
    }[change]
    assert done.error is not None
    assert (done.error.code, words in done.error.message) == (code, True), done.error
    assert done.error.hint
    assert installed(host) == []
    assert not list((host.settings.home / "models").rglob("*.part"))


def test_the_folder_is_gone_when_it_is_to_be_installed(host: Host, shore: Shore) -> None:
    shore.folder.rename(shore.folder.with_name("elsewhere"))
    with pytest.raises(MoorageError, match="There is no folder"):
        host.installs.request("folder", ID, target="builtin")
