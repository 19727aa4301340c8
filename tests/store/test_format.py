"""Older data is migrated once, with a backup; newer data is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorage.errors import StoreError
from moorage.store.files import CollectionDatabase
from moorage.store.tinydb import TinyDBStore, read_holder
from tests.store.things import Thing


def rename(data: Path) -> None:
    """A test's own migration: every thing is renamed."""
    with CollectionDatabase(data / "things.json") as database:
        database.update(lambda value: value.update(name=f"{value['name']}+"))


def stop_half_way(data: Path) -> None:
    rename(data)
    (data / "half.json").write_text("half")
    raise RuntimeError("the migration has a bug")


def die_half_way(data: Path) -> None:
    rename(data)
    raise KeyboardInterrupt


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    store = TinyDBStore(home, url=None)
    store.collection("things", Thing).put(Thing(id="a", name="old"))
    store.collection("transcripts/c-1", Thing).put(Thing(id="m", name="old"))
    store.close()
    return home


def name(home: Path, *migrations: object) -> str:
    store = TinyDBStore(home, url=None, migrations=migrations)  # type: ignore[arg-type]  # told by each test
    try:
        found = store.collection("things", Thing).get("a")
        assert found is not None
        return found.name
    finally:
        store.close()


def marker(home: Path) -> object:
    return json.loads((home / "format.json").read_text())


def backups(home: Path) -> list[Path]:
    return sorted((home / "backups").iterdir()) if (home / "backups").exists() else []


def test_a_new_directory_has_todays_format(tmp_path: Path) -> None:
    TinyDBStore(tmp_path, url=None, migrations=[rename]).close()
    assert marker(tmp_path) == {"format": 2}
    assert backups(tmp_path) == []


def test_each_migration_runs_once_in_order(home: Path) -> None:
    def second(data: Path) -> None:
        rename(data)
        rename(data)

    assert name(home, rename) == "old+"
    assert name(home, rename) == "old+"
    assert marker(home) == {"format": 2}
    assert name(home, rename, second) == "old+++"
    assert name(home, rename, second) == "old+++"
    assert marker(home) == {"format": 3}


def test_several_steps_at_once_need_one_backup(home: Path) -> None:
    assert name(home, rename, rename, rename) == "old+++"
    assert len(backups(home)) == 1


def test_the_backup_is_the_data_of_before(home: Path) -> None:
    before = {path.name: path.read_bytes() for path in (home / "store").rglob("*") if path.is_file()}
    name(home, rename)
    (backup,) = backups(home)
    assert backup.name.startswith("format-1-")
    assert {path.name: path.read_bytes() for path in backup.rglob("*") if path.is_file()} == before
    assert backup.stat().st_mode & 0o077 == 0


def test_a_migration_that_fails_leaves_the_data_of_before(home: Path) -> None:
    with pytest.raises(StoreError, match=r"from format 1 to 2: the migration has a bug") as caught:
        name(home, stop_half_way)
    assert caught.value.hint is not None
    assert str(backups(home)[0]) in caught.value.hint
    assert read_holder(home) is None
    assert name(home) == "old", "the version of before goes on"
    assert not (home / "store" / "half.json").exists()
    assert marker(home) == {"format": 1}


def test_an_interrupted_migration_begins_again_from_the_backup(home: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            name(home, rename, die_half_way)
    assert name(home, rename, rename) == "old++"
    assert marker(home) == {"format": 3}


def test_a_backup_that_is_gone_is_said(home: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        name(home, die_half_way)
    (backup,) = backups(home)
    backup.rename(home / "elsewhere")
    with pytest.raises(StoreError, match=r"its backup .* is gone"):
        name(home, rename)


def test_newer_data_is_refused_and_stays(home: Path) -> None:
    name(home, rename)
    before = (home / "store" / "things.json").read_bytes()
    with pytest.raises(StoreError, match="has format 2; this Moorage knows formats up to 1") as caught:
        name(home)
    assert caught.value.hint is not None
    assert "newer" in caught.value.hint
    assert (home / "store" / "things.json").read_bytes() == before
    assert read_holder(home) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": "1"}', '{"format": 0}', '{"format": 1, "backup": 3}']
)
def test_a_damaged_marker_is_said(home: Path, content: str) -> None:
    (home / "format.json").write_text(content)
    with pytest.raises(StoreError, match=r"format\.json is damaged") as caught:
        name(home, rename)
    assert caught.value.hint is not None
    assert '{"format": 1}' in caught.value.hint


def test_data_without_a_marker_is_said(home: Path) -> None:
    (home / "format.json").unlink()
    with pytest.raises(StoreError, match=r"format\.json is missing"):
        name(home, rename)
    (home / "format.json").write_text('{"format": 1}')
    assert name(home, rename) == "old+"
