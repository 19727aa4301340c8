"""A file that is not what was written is put aside and said so; nothing is silently empty."""

from __future__ import annotations

import os
import random
import zlib
from pathlib import Path

import orjson
import pytest

from moorage.errors import StoreError
from moorage.store.tinydb import TinyDBStore
from tests.store.things import Other, Thing

WHOLE = {f"t{number}" for number in range(5)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store whose last write added `t4`; the copy before it has the others."""
    home = tmp_path / "home"
    store = TinyDBStore(home, url=None)
    things = store.collection("things", Thing)
    for id in sorted(WHOLE):
        things.put(Thing(id=id, name="a name", extra={"x": 1.5}))
    store.close()
    return home


@pytest.fixture
def file(home: Path) -> Path:
    return home / "store" / "things.json"


def found(home: Path) -> tuple[set[str], list[str]]:
    """The ids in the collection after a start, and what the person is told."""
    store = TinyDBStore(home, url=None)
    try:
        return {item.id for item in store.collection("things", Thing).list()}, list(store.notices)
    finally:
        store.close()


def is_said_and_restored(home: Path, damaged: bytes | None) -> None:
    ids, notices = found(home)
    assert ids == WHOLE - {"t4"}
    assert len(notices) == 1
    assert "The file of things is damaged" in notices[0]
    assert "the copy before its last change" in notices[0]
    aside = list((home / "store").glob("things.json.damaged-*Z"))
    assert [path.read_bytes() for path in aside] == ([] if damaged is None else [damaged])
    ids, notices = found(home)
    assert ids == WHOLE - {"t4"}
    assert len(notices) == len(aside), "what was put aside is said at each start"


@pytest.mark.parametrize("seed", range(50))
def test_a_flipped_bit(home: Path, file: Path, seed: int) -> None:
    raw = bytearray(file.read_bytes())
    place = random.Random(seed).randrange(len(raw) * 8)
    raw[place // 8] ^= 1 << place % 8
    file.write_bytes(raw)
    is_said_and_restored(home, bytes(raw))


def test_a_flipped_bit_anywhere_in_the_last_part(home: Path, file: Path) -> None:
    """The checksum itself and what is around it: all of its bits, by reading only."""
    from moorage.store.files import CheckedStorage, Damaged

    good = file.read_bytes()
    start = good.rindex(b'},"_meta"')
    for place in range(start * 8, len(good) * 8):
        raw = bytearray(good)
        raw[place // 8] ^= 1 << place % 8
        file.write_bytes(raw)
        with pytest.raises(Damaged):
            CheckedStorage(file).read()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.5, 0.9, 0.99])
def test_a_truncated_or_empty_file(home: Path, file: Path, part: float) -> None:
    raw = file.read_bytes()[: int(file.stat().st_size * part)]
    file.write_bytes(raw)
    is_said_and_restored(home, raw)


@pytest.mark.parametrize(
    "raw", [b"{}", b"[]", b"null", b'{"documents":{},"_meta":{}}', b'{"documents":{},"_meta":{"1":{}}}', b"\x00" * 900]
)
def test_other_content(home: Path, file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    is_said_and_restored(home, raw)


def test_old_content_in_front_of_new(home: Path, file: Path) -> None:
    raw = file.read_bytes() + b'"rest of an older, longer file"}}'
    file.write_bytes(raw)
    is_said_and_restored(home, raw)


def test_a_missing_file(home: Path, file: Path) -> None:
    file.unlink()
    is_said_and_restored(home, None)


def test_a_file_missing_after_its_very_first_write(tmp_path: Path) -> None:
    store = TinyDBStore(tmp_path, url=None)
    store.collection("things", Thing).put(Thing(id="t0"))
    store.close()
    (tmp_path / "store" / "things.json").unlink()
    ids, notices = found(tmp_path)
    assert ids == {"t0"}
    assert "it is gone" in notices[0]


def test_damage_in_place_does_not_reach_the_copy(tmp_path: Path) -> None:
    """The copy is a file of its own and not a second name of the damaged one."""
    store = TinyDBStore(tmp_path, url=None)
    stored = store.collection("things", Thing).put(Thing(id="t0"))
    for number in range(2):
        path = tmp_path / "store" / "things.json"
        assert path.stat().st_ino != path.with_name("things.json.bak").stat().st_ino, number
        stored = store.collection("things", Thing).put(stored)
    store.close()


def test_both_copies_damaged_is_empty_but_never_silently(home: Path, file: Path) -> None:
    for path in (file, file.with_name("things.json.bak")):
        path.write_bytes(path.read_bytes()[:-20])
    ids, notices = found(home)
    assert ids == set()
    assert len(notices) == 1
    assert "There is no good copy" in notices[0]
    assert len(list((home / "store").glob("things.json*.damaged-*"))) == 2


def test_other_collections_are_not_touched(home: Path, file: Path) -> None:
    store = TinyDBStore(home, url=None)
    store.collection("others", Other).put(Other(id="o", name="other"))
    store.close()
    file.write_bytes(b"")
    store = TinyDBStore(home, url=None)
    assert store.collection("others", Other).get("o") is not None
    assert list(store.notices) == []
    store.close()


def test_writing_goes_on_after_a_restore(home: Path, file: Path) -> None:
    file.write_bytes(b"")
    store = TinyDBStore(home, url=None)
    store.collection("things", Thing).put(Thing(id="new"))
    store.close()
    assert found(home)[0] == (WHOLE - {"t4"}) | {"new"}


def test_drop_leaves_no_damaged_file_behind(home: Path, file: Path) -> None:
    file.write_bytes(b"")
    store = TinyDBStore(home, url=None)
    store.collection("things", Thing)
    store.drop("things")
    store.close()
    assert list((home / "store").iterdir()) == []


def rewritten(file: Path, old: bytes, new: bytes) -> None:
    """Change a document and make the checksum fit, as a later version of Moorage would."""
    body = file.read_bytes().partition(b'{"documents":{')[2].rpartition(b'},"_meta"')[0].replace(old, new)
    count = len(orjson.loads(b"{%s}" % body))
    meta = {"1": {"format": 1, "count": count, "crc32": zlib.crc32(b"1", zlib.crc32(body))}}
    file.write_bytes(b'{"documents":{%s},"_meta":%s}' % (body, orjson.dumps(meta)))


def test_a_document_that_does_not_fit_stays_in_the_file(home: Path, file: Path) -> None:
    rewritten(file, b'"id":"t2"', b'"id":"t2","colour":"red"')
    store = TinyDBStore(home, url=None)
    things = store.collection("things", Thing)
    assert {item.id for item in things.list()} == WHOLE - {"t2"}
    assert len(store.notices) == 1
    assert "A document of things cannot be read and is left out, t2: colour" in store.notices[0]
    things.put(Thing(id="new"))
    things.delete("t0")
    with pytest.raises(StoreError, match="cannot be read"):
        things.put(Thing(id="t2"))
    store.close()
    assert b'"id":"t2","colour":"red"' in file.read_bytes()


def test_a_file_of_a_newer_format_is_refused_and_stays(home: Path, file: Path) -> None:
    body = file.read_bytes().partition(b'{"documents":{')[2].rpartition(b'},"_meta"')[0]
    meta = {"1": {"format": 2, "count": 5, "crc32": zlib.crc32(b"2", zlib.crc32(body))}}
    raw = b'{"documents":{%s},"_meta":%s}' % (body, orjson.dumps(meta))
    file.write_bytes(raw)
    with pytest.raises(StoreError, match="has format 2"):
        found(home)
    assert file.read_bytes() == raw


def test_a_file_that_cannot_be_read_is_no_damage(home: Path, file: Path) -> None:
    file.unlink()
    file.mkdir()
    with pytest.raises(StoreError, match="could not be read"):
        found(home)
    assert file.is_dir()


def test_stale_temporary_files_are_swept(home: Path, file: Path) -> None:
    transcripts = home / "store" / "transcripts"
    transcripts.mkdir(mode=0o700)
    stale = [
        folder / name
        for folder in (home, home / "store", transcripts)
        for name in ("things.json.tmp-0a1b2c3d", "secrets.json.tmp-00000000", "things.json.bak.tmp-ffffffff")
    ]
    others = [home / "notes.tmp-mine", home / "models.tmp-0a1b2c3d"]
    for path in (*stale, others[0]):
        path.write_bytes(b"half")
    others[1].mkdir()
    found(home)
    assert [path for path in stale if path.exists()] == []
    assert all(path.exists() for path in others)


@pytest.mark.skipif(os.name == "nt", reason="has no such links")
def test_a_link_out_of_the_directory_is_not_followed_by_the_sweep(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.tmp-0a1b2c3d").write_bytes(b"")
    (home / "store" / "linked").symlink_to(outside)
    found(home)
    assert (outside / "x.tmp-0a1b2c3d").exists()
