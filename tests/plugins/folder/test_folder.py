"""The example that finds models in a folder: what is a model, what is found, and what never leaves the folder."""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from moorage import InvalidConfig, ModelFile, MoorageError, NotFound, Unsupported
from moorage.errors import InvalidInput
from moorage.fetch.local import local_path
from moorage_huggingface import quantization as hub
from tests.conftest import MakeHost
from tests.plugins.folder.conftest import EXAMPLE, MakeShore, Shore

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes are elsewhere there")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def age(path: Path, day: int) -> None:
    moment = int(datetime(2026, 1, day, tzinfo=UTC).timestamp() * 10**9)
    os.utime(path, ns=(moment, moment))


# -- what is a model --------------------------------------------------------------------------------------------------


def test_folders_and_files_at_the_top_are_models(shore: Shore) -> None:
    shore.put("Skiff-360M/Skiff-Q4_K_M.gguf")
    shore.put("Skiff-360M/deep/down/Skiff-Q8_0.gguf")
    shore.put("Skiff-360M/README.md")
    shore.put("Breeze Q4_0.GGUF")
    shore.put("notes.txt")
    shore.put("empty/README.md")
    (shore.folder / "nothing").mkdir()
    assert shore.ids() == ["folder/Breeze Q4_0.GGUF", "folder/Skiff-360M"]
    files = shore.describe("folder/Skiff-360M").files
    assert [file.name for file in files] == ["Skiff-Q4_K_M.gguf", "deep/down/Skiff-Q8_0.gguf"]


def test_an_empty_folder_has_no_models(shore: Shore) -> None:
    page = shore.search("x")
    assert (page.results, page.cursor, page.notice) == ((), None, None)


def test_what_a_result_says_and_what_it_does_not(shore: Shore) -> None:
    age(shore.put("Skiff/Skiff-Q4_K_M.gguf"), 2)
    age(shore.put("Skiff/Skiff-Q8_0.gguf"), 3)
    (hit,) = shore.search().results
    told = hit.model_dump(exclude_defaults=True)
    assert told.pop("revision")
    assert told == {
        "source": "folder",
        "id": "folder/Skiff",
        "has_gguf": True,
        "updated_at": datetime(2026, 1, 3, tzinfo=UTC),
    }


def test_shards_are_one_file_if_all_are_there(shore: Shore) -> None:
    for number in (3, 1, 2):
        shore.put(f"Breeze/Q4_K_M/Breeze-0000{number}-of-00003.gguf", b"GGUF" + bytes(number))
    shore.put("Breeze/Broken-00002-of-00002.gguf")
    shore.put("Breeze/One-00001-of-00001.gguf")
    shore.put("Breeze/Odd-00000-of-00001.gguf")
    shore.put("Only-Broken/x-00001-of-00002.gguf")
    for number in (1, 2):
        shore.put(f"Top-0000{number}-of-00002.gguf")
    assert shore.ids() == ["folder/Breeze", "folder/Top.gguf"]
    one, sharded = shore.describe("folder/Breeze").files
    assert (one.name, one.shards, len(one.parts)) == ("One-00001-of-00001.gguf", (), 1)
    names = tuple(f"Q4_K_M/Breeze-0000{number}-of-00003.gguf" for number in (1, 2, 3))
    assert (sharded.name, sharded.shards, sharded.size, sharded.sha256) == (names[0], names, 18, None)
    assert (sharded.quantization, sharded.role) == ("Q4_K_M", "model")
    assert [part.name for part in sharded.parts] == list(names)
    assert [part.sha256 for part in sharded.parts] == [sha256(b"GGUF" + bytes(n)) for n in (1, 2, 3)]
    assert len(shore.file("folder/Top.gguf").shards) == 2


def test_what_belongs_to_a_model_is_no_model_itself(shore: Shore) -> None:
    for name in ("Skiff-Q4_K_M.gguf", "mmproj-Skiff-F16.gguf", "imatrix.dat", "Skiff.imatrix.gguf"):
        shore.put(f"Skiff/{name}")
    shore.put("Parts/mmproj-F16.gguf")
    shore.put("mmproj-top.gguf")
    shore.put("imatrix-only/Real-Q8_0.gguf")
    assert shore.ids() == ["folder/Skiff", "folder/imatrix-only"]
    assert {file.name: file.role for file in shore.describe("folder/Skiff").files} == {
        "Skiff-Q4_K_M.gguf": "model",
        "mmproj-Skiff-F16.gguf": "projector",
        "imatrix.dat": "other",
        "Skiff.imatrix.gguf": "other",
    }


@pytest.mark.parametrize(
    "name",
    [
        "m-Q4_K_M.gguf",
        "m.Q8_0.gguf",
        "m-q5_k_s.gguf",
        "m_IQ2_XXS.gguf",
        "m-UD-Q4_K_XL.gguf",
        "m-BF16.gguf",
        "f16/m.gguf",
        "Q6_K/m-00001-of-00001.gguf",
        "m-TQ1_0.gguf",
        "m-IQ4_NL.gguf",
        "m-MXFP4.gguf",
        "m-Q4_1.gguf",
        "m-Q8_0_new.gguf",
        "Qwen3-4B.gguf",
        "m.gguf",
        "SeQ2Seq_0.gguf",
    ],
)
def test_the_quantisation_is_read_as_from_the_hub(shore: Shore, name: str) -> None:
    shore.put(f"m/{name}")
    assert shore.file("folder/m").quantization == hub.quantization(name)


# -- searching --------------------------------------------------------------------------------------------------------


@pytest.fixture
def harbour(shore: Shore) -> Shore:
    for day, name in ((3, "Skiff-360M"), (1, "Skiff-8B"), (2, "Breeze-1B")):
        age(shore.put(f"{name}/{name}-Q4_K_M.gguf"), day)
    age(shore.put("Breeze-1B/old.gguf"), 1)
    age(shore.put("Skiff-8B/newest.gguf"), 9)
    return shore


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["Breeze-1B", "Skiff-360M", "Skiff-8B"]),
        ("skiff", ["Skiff-360M", "Skiff-8B"]),
        ("8b SKIFF", ["Skiff-8B"]),
        ("  folder/sk  ", ["Skiff-360M", "Skiff-8B"]),
        ("skiff breeze", []),
        ("Q4_K_M", []),
        ("*", []),
    ],
)
def test_every_word_must_be_in_the_id(harbour: Shore, text: str, found: list[str]) -> None:
    assert harbour.ids(text) == [f"folder/{name}" for name in found]


@pytest.mark.parametrize(
    "fields",
    [
        {"author": "folder"},
        {"task": "text-generation"},
        {"license": "apache-2.0"},
        {"language": "en"},
        {"served_by": "all"},
        {"gated": True},
        {"min_parameters": 0},
        {"max_parameters": 10**12},
    ],
)
def test_of_what_a_folder_cannot_say_it_finds_nothing(harbour: Shore, fields: dict[str, Any]) -> None:
    page = harbour.search(**fields)
    assert (page.results, page.cursor) == ((), None)


@pytest.mark.parametrize("fields", [{"format": "gguf"}, {"app": "ollama"}, {"app": "llama.cpp"}, {"gated": False}])
def test_what_holds_for_all_of_them_leaves_none_out(harbour: Shore, fields: dict[str, Any]) -> None:
    assert len(harbour.ids(**fields)) == 3


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("updated", ["Skiff-8B", "Skiff-360M", "Breeze-1B"]),
        ("created", ["Skiff-360M", "Breeze-1B", "Skiff-8B"]),
        ("downloads", ["Breeze-1B", "Skiff-360M", "Skiff-8B"]),
        ("likes", ["Breeze-1B", "Skiff-360M", "Skiff-8B"]),
        ("trending", ["Breeze-1B", "Skiff-360M", "Skiff-8B"]),
    ],
)
def test_the_order(harbour: Shore, sort: str, found: list[str]) -> None:
    assert harbour.ids(sort=sort) == [f"folder/{name}" for name in found]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 200])
@pytest.mark.parametrize("sort", ["downloads", "updated"])
def test_pages_lose_and_double_nothing(harbour: Shore, limit: int, sort: str) -> None:
    whole, seen, cursor = harbour.ids(sort=sort), [], None
    for _ in range(5):
        page = harbour.search(sort=sort, limit=limit, cursor=cursor)
        assert len(page.results) <= limit
        seen += [hit.id for hit in page.results]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == whole


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "٣", "9" * 5000, "../..", "1\n"])
def test_a_cursor_that_it_did_not_make_is_refused(harbour: Shore, cursor: str) -> None:
    with pytest.raises(Unsupported, match="does not know this page"):
        harbour.search(cursor=cursor)
    assert harbour.ids(cursor="999999999") == []


# -- one model --------------------------------------------------------------------------------------------------------


def test_all_about_a_model(shore: Shore) -> None:
    path = shore.put("Skiff/ä 50 % #1?.gguf", b"GGUF and more")
    detail = shore.describe("folder/Skiff")
    (hit,) = shore.search().results
    assert {**hit.model_dump(exclude={"served_by"})}.items() <= detail.model_dump().items()
    assert (detail.gate.state, detail.license, detail.partial, detail.notice) == ("open", None, False, None)
    assert (detail.gated, detail.private, detail.credential, detail.served_by) == (False, False, None, ())
    (file,) = detail.files
    assert (file.size, file.sha256) == (13, sha256(b"GGUF and more"))
    (part,) = file.parts
    assert (part.size, part.sha256, part.version) == (13, file.sha256, str(path.stat().st_mtime_ns))
    assert local_path(part) == path.resolve()


def test_any_change_is_a_newer_revision(shore: Shore) -> None:
    path = shore.put("Skiff/a.gguf", b"GGUF1")
    seen = [shore.describe("folder/Skiff").revision]
    assert shore.describe("folder/Skiff", seen[0]).revision == seen[0]
    path.write_bytes(b"GGUF2")
    age(path, 2)
    seen.append(shore.describe("folder/Skiff").revision)
    path.write_bytes(b"GGUF longer")
    age(path, 2)
    seen.append(shore.describe("folder/Skiff").revision)
    path.rename(path.with_name("b.gguf"))
    seen.append(shore.describe("folder/Skiff").revision)
    shore.put("Skiff/c.gguf")
    seen.append(shore.describe("folder/Skiff").revision)
    assert len(set(seen)) == len(seen)
    with pytest.raises(NotFound, match="has changed since it was found"):
        shore.describe("folder/Skiff", seen[0])
    shore.put("Skiff/README.md")
    assert shore.describe("folder/Skiff").revision == seen[-1]


def test_models_differ_in_their_revisions_and_a_move_of_the_folder_does_not(
    shore: Shore, make_shore: MakeShore
) -> None:
    age(shore.put("Skiff/a.gguf"), 1)
    before = shore.describe("folder/Skiff").revision
    moved = shore.folder.rename(shore.folder.with_name("moved"))
    assert make_shore(moved).describe("folder/Skiff").revision == before


# -- hashes -----------------------------------------------------------------------------------------------------------


def test_a_hash_is_computed_once_for_each_state(shore: Shore, make_shore: MakeShore) -> None:
    path = shore.put("a.gguf", b"GGUF1")
    assert shore.file("folder/a.gguf").sha256 == sha256(b"GGUF1")
    (kept,) = shore.context.data_dir.iterdir()
    kept.write_text("f" * 64)
    assert make_shore(shore.folder).file("folder/a.gguf").sha256 == "f" * 64, "also after a restart"
    kept.write_text("half of a wri")
    assert shore.file("folder/a.gguf").sha256 == sha256(b"GGUF1")
    path.write_bytes(b"GGUF2")
    age(path, 2)
    assert shore.file("folder/a.gguf").sha256 == sha256(b"GGUF2")


def test_what_there_is_no_time_for_has_no_hash_and_the_next_look_goes_on(
    shore: Shore, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"GGUF" + bytes(range(256)) * 40
    shore.put("m/large.gguf", content)
    shore.put("m/small.gguf")
    monkeypatch.setattr(example, "BLOCK", 1024)
    monkeypatch.setattr(example, "HASH_SECONDS", 1000.0)
    clock = [0.0]

    def now() -> float:
        clock[0] += 300.0
        return clock[0]

    seen: list[str | None] = []
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", now)
        for _ in range(20):
            detail = shore.describe("folder/m")
            hashes = {file.name: file.sha256 for file in detail.files}
            assert hashes["small.gguf"] == sha256(b"GGUF"), "the small ones first"
            seen.append(hashes["large.gguf"])
            if seen[-1] is not None:
                break
            assert detail.partial, "it is not kept, so that the next look is one"
            assert detail.notice == "No hash yet of large.gguf. Look again to go on with it."
    assert seen[-1] == sha256(content)
    assert len(seen) > 2
    assert (detail.partial, detail.notice) == (False, None)


def test_a_stopped_call_does_not_go_on_hashing(shore: Shore, example: ModuleType) -> None:
    shore.put("a.gguf", b"GGUF" + bytes(example.BLOCK * 3))
    shore.scope.cancel()
    assert shore.file("folder/a.gguf").sha256 is None


def test_a_file_that_changes_meanwhile_has_no_hash(
    shore: Shore, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shore.put("a.gguf")
    real = os.fstat

    def meddling(number: int) -> os.stat_result:
        age(path, 5)
        return real(number)

    monkeypatch.setattr(os, "fstat", meddling)
    assert shore.describe("folder/a.gguf").partial
    assert list(shore.context.data_dir.iterdir()) == []


# -- what never leaves the folder -------------------------------------------------------------------------------------

OUTSIDE = [
    "",
    "folder",
    "folder/",
    "folder/.",
    "folder/..",
    "folder/../secret",
    "folder/../secret/key.gguf",
    "../secret",
    "secret",
    "/etc/passwd",
    "folder//etc/passwd",
    "folder/Skiff/../../secret",
    "folder/Skiff/",
    "folder/skiff",
    "folder/Skiff\0",
    "folder/%2e%2e/secret",
    "folder/Skiff/Skiff-Q4_K_M.gguf",
    "folder/" + "x" * 10_000,
    "folder/\ud800",
]


@pytest.mark.parametrize("id", OUTSIDE)
def test_no_id_leads_out_of_the_folder(shore: Shore, id: str) -> None:
    shore.put("Skiff/Skiff-Q4_K_M.gguf")
    secret = shore.folder.parent / "secret"
    secret.mkdir()
    (secret / "key.gguf").write_bytes(b"GGUF")
    with pytest.raises(NotFound):
        shore.describe(id)


@posix
def test_links_are_followed_within_the_folder_only(shore: Shore) -> None:
    secret = shore.folder.parent / "secret"
    secret.mkdir()
    (secret / "key.gguf").write_bytes(b"GGUF")
    inside = shore.put("blobs/abc", b"GGUF inside")
    (shore.folder / "m").mkdir()
    for name, target in {
        "m/good.gguf": inside,
        "m/out.gguf": secret / "key.gguf",
        "m/relative.gguf": Path("../../secret/key.gguf"),
        "m/nowhere.gguf": Path("nowhere"),
        "m/itself.gguf": Path("itself.gguf"),
        "m/folder.gguf": secret,
        "linked": secret,
        "m/loop": shore.folder,
        "top.gguf": secret / "key.gguf",
    }.items():
        (shore.folder / name).symlink_to(target)
    assert shore.ids() == ["folder/m"]
    (part,) = shore.file("folder/m").parts
    assert local_path(part) == inside.resolve()


@posix
def test_the_folder_may_be_a_link_itself(shore: Shore, make_shore: MakeShore, tmp_path: Path) -> None:
    shore.put("a.gguf")
    link = tmp_path / "link"
    link.symlink_to(shore.folder)
    assert make_shore(link).ids() == ["folder/a.gguf"]


@posix
def test_what_is_no_ordinary_file_or_cannot_be_shown_is_left_out(shore: Shore) -> None:
    os.mkfifo(shore.folder / "pipe.gguf")
    (shore.folder / "folder.gguf").mkdir()
    names = ["two\nlines.gguf", "bell\a/a.gguf"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"\xff.gguf"))
    for name in names:
        shore.put(name)
    assert shore.ids() == []


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "a file", "under a file"])
def test_a_folder_that_is_not_there(make_shore: MakeShore, tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("x")
    path = {"missing": tmp_path / "gone", "a file": tmp_path / "file", "under a file": tmp_path / "file" / "x"}[kind]
    shore = make_shore(path)
    for ask in (shore.search, lambda: shore.describe("folder/x")):
        with pytest.raises(InvalidConfig, match="There is no folder") as raised:
            ask()
        assert str(path) in str(raised.value)
        assert "MOORAGE_FOLDER" in (raised.value.hint or "")


@posix
def test_folders_that_may_not_be_read_are_counted(shore: Shore, monkeypatch: pytest.MonkeyPatch) -> None:
    shore.put("open/a.gguf")
    shore.put("closed/a.gguf")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    page = shore.search()
    assert [hit.id for hit in page.results] == ["folder/open"]
    assert page.notice == "Moorage may not read 1 of its folders."


def test_a_file_that_goes_while_it_is_looked_at(shore: Shore, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = shore.put("gone.gguf")
    shore.put("stays.gguf")
    real = Path.resolve

    def resolve(path: Path, strict: bool = False) -> Path:
        if path == gone:
            gone.unlink()
        return real(path, strict=strict)

    monkeypatch.setattr(Path, "resolve", resolve)
    assert shore.ids() == ["folder/stays.gguf"]


def test_many_models_are_found_in_time(shore: Shore) -> None:
    for number in range(2000):
        shore.put(f"model-{number}/m-Q4_K_M.gguf")
    began = time.monotonic()
    assert len(shore.ids("99")) > 10
    assert time.monotonic() - began < 5


# -- in the host ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["models", "./models", "", "  ", "/srv/\0"])
def test_only_whole_paths_are_taken(make_host: MakeHost, plugin: Any, value: str) -> None:
    host = make_host(plugins={"folder": plugin}, only=True)
    assert host.plugins.get("folder").state == "needs-config"
    assert host.search.sources() == ()
    with pytest.raises(InvalidInput):
        host.plugins.save_config("folder", {"folder": value})


def test_the_home_folder_may_be_written_short(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/ada")
    assert example.FolderConfig(folder=" ~/models ").folder == "/srv/ada/models"
    with pytest.raises(ValueError, match="whole path"):
        example.FolderConfig(folder="~nobody-of-this-name/models")


def test_the_environment_names_the_folder_and_a_form_does_too(
    make_host: MakeHost, plugin: Any, shore: Shore, tmp_path: Path
) -> None:
    shore.put("Skiff/a.gguf")
    host = make_host(plugins={"folder": plugin}, only=True, environment={"MOORAGE_FOLDER": str(shore.folder)})
    assert host.plugins.get("folder").state == "ready"
    assert host.search.describe("folder", "folder/Skiff").files[0].name == "a.gguf"
    other = make_host(plugins={"folder": plugin}, only=True, home=tmp_path / "other")
    other.plugins.save_config("folder", {"folder": str(shore.folder)})
    assert other.search.sources() == ("folder",)


def test_errors_of_the_folder_pass_as_they_are(make_host: MakeHost, plugin: Any, tmp_path: Path) -> None:
    host = make_host(plugins={"folder": plugin}, only=True, environment={"MOORAGE_FOLDER": str(tmp_path / "gone")})
    (status,) = host.search.check()
    assert not status.ok
    assert "There is no folder" in (status.error or "")
    assert "MOORAGE_FOLDER" in (status.hint or "")
    with pytest.raises(MoorageError):
        host.search.describe("folder", "folder/x")
    assert host.plugins.get("folder").last_failures == (), "it is no fault of the plugin"


def test_its_author_imported_moorage_only() -> None:
    imported = set()
    for node in ast.walk(ast.parse((EXAMPLE / "moorage_folder.py").read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} == {
        "moorage",
        "pydantic",
    }


def test_a_detail_can_be_told_in_json(shore: Shore) -> None:
    shore.put("Skiff/a.gguf")
    file = ModelFile.model_validate(shore.file("folder/Skiff").model_dump())
    assert "file://" not in file.model_dump_json(), "where it lies is nobody's business"
