"""`install_model` by the road of importing, against the test server: what reaches it, and what can go wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    BadAnswer,
    Cancelled,
    DiskFull,
    FilePart,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    MoorageError,
    PluginContext,
    Provider,
    RemoteError,
    Unreachable,
    Unsupported,
)
from moorage.http import CallScope
from moorage_ollama.config import OllamaProvider
from moorage_ollama.importing import import_model
from moorage_ollama.plugin import OllamaPlugin
from tests.fakes.faults import Fault
from tests.fakes.ollama import FakeOllama
from tests.fakes.ollama_create import CreateFault, UploadFault, no_room
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.ollama_models import StoredBlob
from tests.plugins.ollama.conftest import QUICK, model_detail, model_file

ONE = {"m-Q8_0.gguf": make_gguf(padding=b"w" * 700_000)}
THREE = {
    f"Q8_0/big-Q8_0-0000{number}-of-00003.gguf": make_gguf(padding=f"{number}".encode() * 400_000)
    for number in (1, 2, 3)
}
NAME = "hf.co/org/m:Q8_0"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama() as fake:
        yield fake


class Driver:
    """The hooks for one server, with files that are downloaded already."""

    def __init__(self, url: str, plugin: OllamaPlugin, context: PluginContext, files: dict[str, bytes]) -> None:
        self.plugin = plugin
        self.paths = [context.data_dir / f"file{number}" for number in range(len(files))]
        for path, content in zip(self.paths, files.values(), strict=True):
            path.write_bytes(content)
        self.parts = tuple(
            FilePart(name=name, size=len(content), sha256=sha256(content), url=f"https://hub.example/{name}")
            for name, content in files.items()
        )
        self.fetched: list[Sequence[FilePart]] = []
        self.context = dataclasses.replace(context, fetch=self._fetch)
        self.provider = Provider(id="p", name="Ollama", type="ollama", config=OllamaProvider(endpoint=url))

    def plan(self, **fields: Any) -> InstallPlan:
        names = tuple(part.name for part in self.parts)
        size = sum(part.size for part in self.parts)
        shards = names if len(names) > 1 else ()
        file = model_file(names[0], "Q8_0", size=size, shards=shards, parts=self.parts)
        model = model_detail("org/m", file)
        request = InstallRequest(target=self.provider, model=model, file=file, **{"road": "import", **fields})
        return self.plugin.plan_install(request, self.context)

    def steps(self) -> Generator[InstallProgress, None, None]:
        return self.plugin.install_model(self.plan(), self.context)  # type: ignore[return-value]  # it is a generator

    def install(self) -> list[InstallProgress]:
        return list(self.steps())

    def _fetch(self, parts: Sequence[FilePart]) -> Generator[InstallProgress, None, tuple[Path, ...]]:
        self.fetched.append(parts)
        size = sum(part.size for part in parts)
        yield InstallProgress(phase="downloading", completed=size, total=size)
        return tuple(self.paths)


@pytest.fixture
def make(server: FakeOllama, plugin: OllamaPlugin, context: PluginContext) -> Callable[[dict[str, bytes]], Driver]:
    return lambda files: Driver(server.url, plugin, context, files)


@pytest.fixture
def one(make: Callable[[dict[str, bytes]], Driver]) -> Driver:
    return make(ONE)


@pytest.fixture
def three(make: Callable[[dict[str, bytes]], Driver]) -> Driver:
    return make(THREE)


def uploads(server: FakeOllama) -> list[str]:
    return [seen.path.removeprefix("/api/blobs/sha256:") for seen in server.seen("POST", "/api/blobs/.*")]


def creations(server: FakeOllama) -> list[Any]:
    return [seen.json for seen in server.seen("POST", "/api/create")]


def messages(shown: list[InstallProgress]) -> list[str]:
    return [item.message for item in shown if item.message]


# What reaches the server


def test_one_file(server: FakeOllama, one: Driver) -> None:
    shown = one.install()
    (content,) = ONE.values()
    assert [part.name for parts in one.fetched for part in parts] == ["m-Q8_0.gguf"]
    (upload,) = server.seen("POST", "/api/blobs/.*")
    assert upload.headers["content-length"] == str(len(content))
    assert "transfer-encoding" not in upload.headers
    assert creations(server) == [{"model": NAME, "files": {"m-Q8_0.gguf": f"sha256:{sha256(content)}"}, "stream": True}]
    found = server.store.find(NAME)
    assert found is not None
    assert found.size >= len(content)
    importing = [item for item in shown if item.phase == "importing"]
    assert {(item.completed, item.total) for item in importing} == {(len(content), len(content))}
    assert messages(importing)[0] == "0.0 of 0.7 MB handed over to the server (0 %)."
    assert "The server reads the file." in messages(importing)
    assert messages(importing)[-1] == "The server has the model."


def test_three_shards_are_named_one_by_one_without_their_folder(server: FakeOllama, three: Driver) -> None:
    three.install()
    expected = {name.removeprefix("Q8_0/"): f"sha256:{sha256(content)}" for name, content in THREE.items()}
    assert [body["files"] for body in creations(server)] == [expected]
    assert sorted(uploads(server)) == sorted(digest.removeprefix("sha256:") for digest in expected.values())
    found = server.store.find(NAME)
    assert found is not None
    assert found.load_error is None


def test_what_is_there_is_not_sent_again(server: FakeOllama, three: Driver) -> None:
    there = sha256(THREE["Q8_0/big-Q8_0-00002-of-00003.gguf"])
    server.store.blobs[f"sha256:{there}"] = StoredBlob(1, make_gguf())
    shown = three.install()
    assert len(uploads(server)) == 2
    assert there not in uploads(server)
    assert any("handed over" in message for message in messages(shown))


def test_a_source_without_hashes(server: FakeOllama, one: Driver) -> None:
    one.parts = tuple(part.model_copy(update={"sha256": None}) for part in one.parts)
    one.install()
    assert uploads(server) == [sha256(*ONE.values())]
    assert server.store.find(NAME) is not None


def test_a_file_name_that_ollama_would_not_take(server: FakeOllama, make: Callable[[dict[str, bytes]], Driver]) -> None:
    make({"folder/a:b\\c.gguf": make_gguf()}).install()
    assert [list(body["files"]) for body in creations(server)] == [["a-b-c.gguf"]]


def test_progress_is_told_at_most_four_times_a_second(server: FakeOllama, one: Driver) -> None:
    server.blobs.upload_speed = 600_000  # so that it takes more than a second
    began = time.monotonic()
    shown = one.install()
    took = time.monotonic() - began
    handed = [message for message in messages(shown) if "handed over" in message]
    assert 3 <= len(handed) <= took * 4 + 1
    assert len({*handed}) > 1, "it moves"


def test_a_server_that_is_off_is_noticed_before_the_download(server: FakeOllama, one: Driver) -> None:
    server.faults = [Fault("/api/version", times=None, status=502)]
    with pytest.raises(Unreachable):
        one.install()
    assert one.fetched == []


def test_an_old_server_gets_no_parts(plugin: OllamaPlugin, context: PluginContext) -> None:
    with FakeOllama("0.24.0") as server:
        driver = Driver(server.url, plugin, context, THREE)
        plan = driver.plan()
        assert [problem.code for problem in plan.problems] == ["ollama-too-old"]
        assert "0.24.0" in plan.problems[0].message
        asked = len(server.requests)
        assert driver.plan(ask_target=False).ok, "a first look asks nobody"
        assert len(server.requests) == asked
        with pytest.raises(Unsupported, match=r"0\.24\.0"):  # it may be older than when the plan was made
            list(plugin.install_model(plan, driver.context))
        assert driver.fetched == []
        single = Driver(server.url, plugin, context, ONE)
        assert single.plan().ok
        single.install()
        assert server.store.find(NAME) is not None


def test_a_build_without_a_version_is_tried(plugin: OllamaPlugin, context: PluginContext) -> None:
    with FakeOllama("0.0.0") as server:
        driver = Driver(server.url, plugin, context, THREE)
        assert "0.0.0" in (driver.plan().note or "")
        driver.install()
        assert server.store.find(NAME) is not None


# Uploads that go wrong


@pytest.mark.parametrize(
    "fault",
    [
        UploadFault(after=200_000, cut=True),
        UploadFault(cut=True),
        UploadFault(after=200_000, error="unexpected EOF"),
        UploadFault(error="context canceled"),
        UploadFault(corrupts=True),
    ],
)
def test_an_upload_that_breaks_is_begun_again(server: FakeOllama, one: Driver, fault: UploadFault) -> None:
    server.blobs.faults = [fault]
    shown = one.install()
    assert len(uploads(server)) == 2
    assert any(word in message for message in messages(shown) for word in ("tried again", "sent once more"))
    assert server.store.find(NAME) is not None


def test_only_the_part_that_broke_is_sent_again(server: FakeOllama, three: Driver) -> None:
    server.blobs.faults = [UploadFault(after=100_000, cut=True, skip=1)]
    three.install()
    assert len(uploads(server)) == 4
    assert len(set(uploads(server))) == 3


def test_restarts_are_counted_anew_with_each_part(server: FakeOllama, three: Driver) -> None:
    server.blobs.faults = [
        UploadFault(cut=True, times=4, digest=f"sha256:{sha256(content)}") for content in THREE.values()
    ]
    three.install()
    assert len(uploads(server)) == 15


def test_it_does_not_try_for_ever(server: FakeOllama, one: Driver) -> None:
    server.blobs.faults = [UploadFault(cut=True, times=None)]
    with pytest.raises(Unreachable):
        one.install()
    assert len(uploads(server)) == 6


def test_damage_is_sent_once_more_and_then_named(server: FakeOllama, one: Driver) -> None:
    server.blobs.faults = [UploadFault(corrupts=True, times=None)]
    with pytest.raises(BadAnswer, match="not the file that was sent") as raised:
        one.install()
    assert len(uploads(server)) == 2
    assert "proxy" in (raised.value.hint or "")


def test_a_file_that_changed_here_is_not_taken_for_what_it_was(server: FakeOllama, one: Driver) -> None:
    one.paths[0].write_bytes(make_gguf(padding=b"x" * 700_000))
    with pytest.raises(BadAnswer):
        one.install()
    assert creations(server) == []


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (no_room(after=200_000), DiskFull, "disk of the Ollama server"),
        (no_room(), DiskFull, "disk of the Ollama server"),
        (UploadFault(error="open /models/blobs/x: permission denied", times=None), RemoteError, "cannot write"),
        (UploadFault(error="something new", times=None), RemoteError, "something new"),
    ],
)
def test_what_another_upload_would_not_cure_is_told_at_once(
    server: FakeOllama, one: Driver, fault: UploadFault, kind: type[MoorageError], words: str
) -> None:
    server.blobs.faults = [fault]
    with pytest.raises(kind, match=words):
        one.install()
    assert len(uploads(server)) == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "hint"),
    [
        (413, "<html>413 Request Entity Too Large</html>", Unsupported, "client_max_body_size"),
        (507, "Insufficient Storage", DiskFull, "Make room"),
    ],
)
def test_what_stands_in_front_of_the_server(
    server: FakeOllama, one: Driver, status: int, body: str, kind: type[MoorageError], hint: str
) -> None:
    server.faults = [Fault("/api/blobs/.*", method="POST", times=None, status=status, body=body)]
    with pytest.raises(kind) as raised:
        one.install()
    assert hint in (raised.value.hint or "")


def test_a_file_that_cannot_be_read(server: FakeOllama, one: Driver) -> None:
    one.paths[0].unlink()
    with pytest.raises(RemoteError, match=r"m-Q8_0\.gguf cannot be read"):
        one.install()


def test_a_server_that_takes_nothing_for_too_long(server: FakeOllama, context: PluginContext) -> None:
    plugin = OllamaPlugin(dataclasses.replace(QUICK, silence=0.3))
    driver = Driver(server.url, plugin, context, {"m-Q8_0.gguf": make_gguf(padding=b"w" * 20_000_000)})
    server.blobs.faults = [UploadFault(silence=1.0)]
    shown = driver.install()
    assert any("tried again" in message for message in messages(shown))
    assert server.store.find(NAME) is not None


def test_a_server_that_restarts_in_between(server: FakeOllama, context: PluginContext) -> None:
    """It is gone for a moment, and what it had of the import with it."""
    plugin = OllamaPlugin(dataclasses.replace(QUICK, waits=(0.25, 0.5, 1.0, 2.0, 4.0)))
    steps = Driver(server.url, plugin, context, THREE).steps()
    server.blobs.upload_speed = 2_000_000
    while len(server.store.blobs) < 2:
        next(steps)
    server.blobs.upload_speed = None
    again = threading.Thread(target=lambda: server.restart(prune=True))
    again.start()
    rest = list(steps)
    again.join()
    assert any("tried again" in message for message in messages(rest))
    assert server.store.find(NAME) is not None


# Creations that go wrong


@pytest.mark.parametrize(
    "fault",
    [
        CreateFault(ends=True),
        CreateFault("write", ends=True),
        CreateFault("end", ends=True),
        CreateFault("write", cut=True),
        CreateFault(error="context canceled"),
        CreateFault(error="unexpected EOF"),
    ],
)
def test_a_creation_that_breaks_off_is_asked_for_again(server: FakeOllama, one: Driver, fault: CreateFault) -> None:
    server.creations.faults = [fault]
    one.install()
    assert len(creations(server)) == 2
    assert len(uploads(server)) == 1
    assert server.store.find(NAME) is not None


def test_files_that_the_server_threw_away_are_sent_again(server: FakeOllama, three: Driver) -> None:
    digest = "sha256-" + "a" * 64
    text = f"open /root/.ollama/models/blobs/{digest}: no such file or directory"
    server.creations.faults = [CreateFault(error=text, loses_blobs=True)]
    three.install()
    assert len(uploads(server)) == 6
    assert len(creations(server)) == 2


def test_it_never_claims_success_that_was_not_said(server: FakeOllama, one: Driver) -> None:
    server.creations.faults = [CreateFault("write", ends=True, times=None)]
    with pytest.raises(Unreachable, match="without saying"):
        one.install()
    assert len(creations(server)) == 6  # the first time something was new: the file


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("write /models/blobs/x: no space left on device", DiskFull, "disk"),
        ("invalid split GGUF: missing big-00002-of-00003.gguf", Unsupported, "join the parts"),
        ('exec: "llama-quantize": executable file not found in $PATH', Unsupported, "lacks the program"),
        ('unsupported architecture "Brand-New"', Unsupported, "needs a newer Ollama"),
        ("supplied file was not in GGUF format", Unsupported, "cannot take"),
        ("something nobody has seen", RemoteError, "something nobody has seen"),
    ],
)
def test_an_error_line_after_the_start(
    server: FakeOllama, one: Driver, text: str, kind: type[MoorageError], words: str
) -> None:
    server.creations.faults = [CreateFault("write", error=text, times=None)]
    with pytest.raises(kind, match=words):
        one.install()
    assert len(creations(server)) == 1
    assert server.store.find(NAME) is None


def test_a_refusal_before_the_first_line(server: FakeOllama, make: Callable[[dict[str, bytes]], Driver]) -> None:
    with pytest.raises(Unsupported, match="cannot take"):
        make({"m-Q8_0.gguf": b"no model at all"}).install()


def test_a_server_that_knows_no_files_yet(server: FakeOllama, one: Driver) -> None:
    server.faults = [Fault("/api/create", status=400, body={"error": "path or Modelfile are required"})]
    with pytest.raises(Unsupported, match="too old"):
        one.install()


def test_success_counts_only_when_the_model_is_listed(server: FakeOllama, one: Driver) -> None:
    server.creations.faults = [CreateFault("end", unlisted=True)]
    with pytest.raises(BadAnswer, match="does not list it"):
        one.install()


# Stopping


def wait_until_left(server: FakeOllama) -> float:
    until = time.monotonic() + 5
    while not (seen := server.seen("POST", "/api/blobs/.*")) or seen[-1].closed_at is None:
        assert time.monotonic() < until, "the server still believes that somebody sends"
        time.sleep(0.01)
    return seen[-1].closed_at


def test_closing_it_ends_the_upload_within_a_second(
    server: FakeOllama, make: Callable[[dict[str, bytes]], Driver]
) -> None:
    server.blobs.upload_speed = 4_000_000
    driver = make({"m-Q8_0.gguf": make_gguf(padding=b"w" * 30_000_000)})
    steps = driver.steps()
    while server.blobs.taken < 500_000:
        next(steps)
    began = time.monotonic()
    steps.close()
    assert time.monotonic() - began < 1.1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("upload:")]
    server.blobs.upload_speed = None
    wait_until_left(server)
    assert creations(server) == []
    assert not server.store.blobs


def test_a_stop_from_elsewhere_ends_an_upload_that_nobody_takes(
    server: FakeOllama, make: Callable[[dict[str, bytes]], Driver], scope: CallScope
) -> None:
    server.blobs.faults = [UploadFault(after=100_000, silence=2.0)]
    driver = make({"m-Q8_0.gguf": make_gguf(padding=b"w" * 30_000_000)})
    steps = driver.steps()
    while "handed over" not in (next(steps).message or ""):
        pass
    next(steps)
    scope.cancel()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        list(steps)
    assert time.monotonic() - began < 1.0
    assert len(server.seen("POST", "/api/create")) == 0


def test_a_file_of_any_size_is_read_in_pieces(server: FakeOllama, one: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads a file of many gigabytes at once."""
    monkeypatch.setattr(Path, "read_bytes", lambda *_: pytest.fail("read at once"))
    one.install()
    assert server.blobs.taken == len(*ONE.values())


def test_the_paths_belong_to_the_files(one: Driver, server: FakeOllama) -> None:
    with pytest.raises(ValueError, match="zip"):
        list(import_model(None, one.plan(), (), QUICK))  # type: ignore[arg-type]  # it gets no further
