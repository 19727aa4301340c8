"""What is installed: whole or not at all, under safe names, and gone from the disk when removed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moorage import BadAnswer, DiskFull, FilePart, InstallPlan, NotFound, ProviderModel, RemoteError, Unsupported
from moorage_llamacpp import library as library_module
from moorage_llamacpp.library import Library
from moorage_llamacpp.plugin import LlamaCppPlugin
from tests.gguf_files import MODEL, gguf
from tests.plugins.llamacpp.conftest import Bench, MakeBench, install_request, provider


def models(bench: Bench) -> list[ProviderModel]:
    return bench.plugin.list_models(provider(), bench.context())


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_an_installed_model_is_described_by_its_header(bench: Bench) -> None:
    content = gguf()
    name = bench.install(content, model="org/Small-GGUF", names=["sub/Small.Q4_K_M.gguf"])

    [model] = models(bench)

    assert name == model.name == "org/Small-GGUF:Q4_1", "the quantisation of the plan is in the name"
    assert (model.size, model.parameters, model.context_length) == (len(content), 40, 8192)
    assert model.capabilities == ("completion", "tools")
    assert model.loaded is False
    assert model.modified_at is not None
    assert model.modified_at.tzinfo is not None


def test_the_quantisation_is_read_where_the_source_names_none(bench: Bench) -> None:
    path = bench.blob(gguf())
    part = FilePart(name="model.gguf", size=path.stat().st_size, url="http://127.0.0.1/file")
    plan = bench.plugin.plan_install(install_request(part, quantization=None), bench.context())
    list(bench.plugin.install_model(plan, bench.context(paths=[path])))

    [model] = models(bench)
    assert (model.name, model.quantization) == ("org/small-GGUF:model", "Q4_K_M")


def test_a_model_for_embeddings_does_not_claim_to_chat(bench: Bench) -> None:
    bench.install(gguf({"general.architecture": "nomic-bert"}))
    assert models(bench)[0].capabilities == ("embedding",)


def test_the_bytes_are_on_the_disk_once_and_gone_after_removal(bench: Bench) -> None:
    name = bench.install(gguf())
    [file] = bench.data_dir.rglob("*.gguf")
    assert file.stat().st_nlink == 2, "a second name, no second copy"

    bench.plugin.remove_model(provider(), name, bench.context())

    assert files(bench.home) == []
    assert models(bench) == []


def test_a_file_of_two_models_stays_until_both_are_gone(bench: Bench) -> None:
    first, second = (bench.install(gguf(), model=model) for model in ("org/first", "org/second"))
    bench.plugin.remove_model(provider(), first, bench.context())
    assert [model.name for model in models(bench)] == [second]
    assert Library(bench.data_dir).path(Library(bench.data_dir).get(second)).is_file()
    bench.plugin.remove_model(provider(), second, bench.context())
    assert files(bench.home) == []


def test_removing_what_is_not_there_names_what_is(bench: Bench) -> None:
    name = bench.install(gguf())
    with pytest.raises(NotFound) as caught:
        bench.plugin.remove_model(provider(), "org/other:Q8_0", bench.context())
    assert caught.value.hint is not None
    assert name in caught.value.hint


def test_a_file_system_without_hard_links(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.blob(gguf())

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    part = FilePart(name="model.gguf", size=path.stat().st_size, url="http://127.0.0.1/file")
    plan = bench.plugin.plan_install(install_request(part), bench.context())
    list(bench.plugin.install_model(plan, bench.context(paths=[path])))

    assert [Path(name).name for name in files(bench.home) if not name.endswith(".json")] == ["model.gguf"]
    bench.plugin.remove_model(provider(), plan.name, bench.context())
    assert files(bench.home) == []


def test_shards_keep_their_names_in_one_folder(bench: Bench) -> None:
    shards = [gguf({**MODEL, "split.count": 2}), gguf({"split.count": 2, "general.architecture": "llama", "part": 2})]
    names = ["q4/big-00001-of-00002.gguf", "q4/big-00002-of-00002.gguf"]
    name = bench.install(*shards, names=names)

    library = Library(bench.data_dir)
    first = library.path(library.get(name))
    assert first.name == "big-00001-of-00002.gguf"
    assert (first.parent / "big-00002-of-00002.gguf").read_bytes() == shards[1]
    assert models(bench)[0].size == sum(len(shard) for shard in shards)
    assert models(bench)[0].parameters == 80
    bench.plugin.remove_model(provider(), name, bench.context())
    assert files(bench.home) == []


def test_one_shard_of_two_is_refused(bench: Bench) -> None:
    with pytest.raises(Unsupported, match="one of 2 parts, but 1 were given"):
        bench.install(gguf({**MODEL, "split.count": 2}))
    assert models(bench) == []


@pytest.mark.parametrize(
    "content",
    [b"<html>this is a page that asks to sign in</html>", gguf()[:200], gguf(data=b""), gguf(count=2**60)],
    ids=["page", "cut header", "no tensors", "absurd"],
)
def test_what_is_no_gguf_is_refused_and_leaves_nothing(bench: Bench, content: bytes) -> None:
    with pytest.raises(BadAnswer, match=r"small\.Q4_1\.gguf is not a readable GGUF file: ") as caught:
        bench.install(content)
    assert caught.value.code == "not-a-gguf"
    assert caught.value.hint is not None
    assert files(bench.data_dir) == []
    assert models(bench) == []


@pytest.mark.parametrize(
    "values",
    [{"general.architecture": "clip"}, {**MODEL, "general.type": "adapter"}, {}],
    ids=["projector", "adapter", "nothing"],
)
def test_a_gguf_that_is_no_language_model_is_refused(bench: Bench, values: dict[str, object]) -> None:
    with pytest.raises(Unsupported, match="no language model"):
        bench.install(gguf(values))
    assert models(bench) == []


def test_installing_again_replaces(bench: Bench) -> None:
    name = bench.install(gguf())
    again = bench.install(gguf({**MODEL, "llama.context_length": 4096}))
    assert name == again
    assert [model.context_length for model in models(bench)] == [4096]


def test_hostile_names_stay_inside(bench: Bench) -> None:
    for model in ("../../../etc", "/etc/passwd", "..", ".hidden", "a" * 400, "ä/ö", "a:b*c?"):
        bench.install(gguf(), model=model, names=["../../../../outside/.ssh.gguf"])
    outside = [path for path in bench.home.rglob("*") if path.is_file() and not path.is_relative_to(bench.data_dir)]
    assert [path.parent for path in outside] == [bench.blobs]
    assert len(models(bench)) == 7
    assert not (bench.home.parent / "outside").exists()


def test_parts_of_the_same_name_are_refused(bench: Bench) -> None:
    shard = gguf({**MODEL, "split.count": 2})
    with pytest.raises(Unsupported, match="parts"):
        bench.install(shard, shard, names=["a/model.gguf", "b/model.gguf"])
    assert models(bench) == []


def test_what_a_kill_leaves_is_no_model_and_in_nobodys_way(bench: Bench) -> None:
    name = bench.install(gguf())
    [folder] = (bench.data_dir / "models").iterdir()
    shutil.copytree(folder, folder.with_name(f".new-{folder.name}"))  # killed before the rename
    (folder / "model.json").unlink()  # killed in the middle of a removal
    assert models(bench) == []
    assert bench.install(gguf()) == name
    assert [model.name for model in models(bench)] == [name]
    assert [path.name for path in (bench.data_dir / "models").iterdir()] == [folder.name]


@pytest.mark.parametrize("record", ["", "{", "[]", '{"name": 1}', "\0" * 100])
def test_a_damaged_record_is_no_model(bench: Bench, record: str) -> None:
    bench.install(gguf(), model="org/first")
    kept = bench.install(gguf(), model="org/second")
    library = Library(bench.data_dir)
    (library.path(library.get("org/first:Q4_1")).parent / "model.json").write_text(record)
    assert [model.name for model in models(bench)] == [kept]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EFBIG, DiskFull),
        (errno.EACCES, RemoteError),
        (errno.EROFS, RemoteError),
        (errno.EIO, RemoteError),
    ],
)
def test_a_folder_that_cannot_be_written_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[RemoteError]
) -> None:
    """Only a full disk is called one: an install that waits for room would wait for ever with any other."""

    def fail(path: Path, content: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("moorage_llamacpp.library._write", fail)
    with pytest.raises(RemoteError, match=os.strerror(number)) as caught:
        bench.install(gguf())
    assert type(caught.value) is kind
    assert caught.value.hint is not None
    assert not caught.value.retryable
    assert files(bench.data_dir) == []


def test_a_model_that_cannot_be_removed_is_told_and_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    name = bench.install(gguf())

    def refuse(path: object, *args: object, **more: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(RemoteError, match="could not be removed: Permission denied"):
            bench.plugin.remove_model(provider(), name, bench.context())
    assert [model.name for model in models(bench)] == [name]


STORE = """
import os, signal, sys
from pathlib import Path
from moorage import InstallPlan
from moorage_llamacpp import library
from moorage_llamacpp.plugin import LlamaCppPlugin
from tests.plugins.llamacpp.conftest import Bench, FilePart, HttpDoor, install_request
bench = Bench(Path(sys.argv[1]), HttpDoor())
path = Path(sys.argv[2])
part = FilePart(name="model.gguf", size=path.stat().st_size, url="http://127.0.0.1/file")
plan = bench.plugin.plan_install(install_request(part), bench.context())
library._write = lambda path, content: os.kill(os.getpid(), signal.SIGKILL)
list(bench.plugin.install_model(plan, bench.context(paths=[path])))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("then", ["list", "remove", "add"])
def test_a_kill_while_it_is_stored_and_a_cancel_leave_no_second_name(bench: Bench, then: str) -> None:
    """Without a sweep the gigabytes would stay, as a file that some model seems to use."""
    path = bench.blob(gguf())
    killed = subprocess.run([sys.executable, "-c", STORE, str(bench.home), str(path)], cwd=Path(__file__).parents[3])
    assert killed.returncode == -signal.SIGKILL
    assert path.stat().st_nlink == 2
    if then == "list":
        assert models(bench) == []
    elif then == "remove":
        with pytest.raises(NotFound):
            bench.plugin.remove_model(provider(), "org/small-GGUF:Q4_1", bench.context())
    else:
        bench.install(gguf({**MODEL, "llama.context_length": 4096}), model="org/other")
    assert path.stat().st_nlink == 1
    assert not list(bench.data_dir.rglob(".new-*"))


def test_a_model_that_is_being_stored_is_not_swept_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = library_module._write
    seen: list[list[str]] = []

    def look_meanwhile(path: Path, content: bytes) -> None:
        thread = threading.Thread(target=lambda: seen.append([model.name for model in models(bench)]))
        thread.start()
        thread.join(10)
        real(path, content)

    monkeypatch.setattr(library_module, "_write", look_meanwhile)
    name = bench.install(gguf())
    assert seen == [[]]
    assert [model.name for model in models(bench)] == [name]
    assert Library(bench.data_dir).path(Library(bench.data_dir).get(name)).is_file()


def test_without_the_engine_everything_says_how_to_get_it(make_bench: MakeBench) -> None:
    bench = make_bench(plugin=LlamaCppPlugin("no_such_engine"))
    part = FilePart(name="model.gguf", size=10, url="http://127.0.0.1/file")
    plan: InstallPlan = bench.plugin.plan_install(install_request(part), bench.context())

    [problem] = plan.problems
    assert problem.code == "engine-missing"
    assert not plan.ok
    calls = (
        lambda: bench.plugin.list_models(provider(), bench.context()),
        lambda: list(bench.plugin.install_model(plan, bench.context())),
        lambda: bench.answer("org/small:Q4_1"),
    )
    for call in calls:
        with pytest.raises(Unsupported, match="not installed") as caught:
            call()
        assert caught.value.hint is not None
        assert "moorage[llamacpp]" in caught.value.hint == problem.hint
