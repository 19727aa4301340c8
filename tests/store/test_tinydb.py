"""The embedded store keeps the contract, and its files are TinyDB's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tinydb import TinyDB, where

from moorage.store.files import CollectionDatabase
from moorage.store.tinydb import TinyDBStore
from tests.store.contract import StoreContract
from tests.store.things import OpenStore, Thing


class TestTinyDBStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda: TinyDBStore(tmp_path / "home", url=None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    store = TinyDBStore(home, url=None)
    things = store.collection("things", Thing)
    for number in range(3):
        things.put(Thing(id=f"t{number}", rank=number))
    store.collection("transcripts/c-1", Thing).put(Thing(id="a"))
    store.close()
    return home


def test_tinydb_reads_the_file(home: Path) -> None:
    with TinyDB(home / "store" / "things.json") as database:
        assert database.tables() == {"documents", "_meta"}
        meta = database.table("_meta").get(doc_id=1)
        assert isinstance(meta, dict)
        assert (meta["format"], meta["count"]) == (1, 3)


def test_tinydb_methods_work_on_the_file_and_the_store_believes_them(home: Path) -> None:
    with CollectionDatabase(home / "store" / "things.json") as database:
        assert [item.doc_id for item in database.search(where("rank") > 0)] == ["t1", "t2"]
        database.update({"name": "by TinyDB"}, where("id") == "t1")
        database.remove(doc_ids=["t2"])
    store = TinyDBStore(home, url=None)
    things = store.collection("things", Thing)
    assert [(item.id, item.name) for item in things.list()] == [("t0", "thing"), ("t1", "by TinyDB")]
    assert list(store.notices) == []
    store.close()


def test_files_are_for_the_owner_only(home: Path) -> None:
    for path in (home, *home.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_looser_directory_is_closed(home: Path) -> None:
    (home / "store").chmod(0o755)
    TinyDBStore(home, url=None).close()
    assert stat.S_IMODE((home / "store").stat().st_mode) == 0o700


def test_one_name_has_one_model(home: Path) -> None:
    class Another(Thing):
        pass

    store = TinyDBStore(home, url=None)
    store.collection("things", Thing)
    with pytest.raises(ValueError, match="Thing"):
        store.collection("things", Another)
    store.close()


def test_transcripts_do_not_stay_in_memory(home: Path) -> None:
    store = TinyDBStore(home, url=None)
    first = store.collection("transcripts/c-1", Thing)
    assert store.collection("transcripts/c-1", Thing) is first
    del first
    assert len(store._transient) == 0
    store.close()
