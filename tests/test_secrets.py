"""Keys at rest: nothing readable in files, bound to their origin, never reset."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
import traceback
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from moorage.errors import InvalidInput, StoreError
from moorage.secrets import SecretStore

CANARY = "hf_canary0123456789abcd"
HUB = ("https://hub.example:443",)
OTHER = ("https://evil.example:443",)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture
def secrets(home: Path) -> SecretStore:
    store = SecretStore(home)
    store.set("provider:a", "token", SecretStr(CANARY), HUB)
    return store


def value(found: SecretStr | None) -> str | None:
    return None if found is None else found.get_secret_value()


def test_a_secret_comes_back_also_after_a_restart(secrets: SecretStore, home: Path) -> None:
    assert value(secrets.get("provider:a", "token", HUB)) == CANARY
    assert value(SecretStore(home).get("provider:a", "token", HUB)) == CANARY


def test_a_secret_is_for_exactly_the_origins_it_was_given_for(secrets: SecretStore) -> None:
    both = ("https://a.example:443", "https://b.example:443")
    secrets.set("provider:a", "second", SecretStr("two origins"), both)
    assert value(secrets.get("provider:a", "second", both[::-1])) == "two origins"
    for wrong in (OTHER, (), both[:1], (*both, *OTHER)):
        assert secrets.get("provider:a", "second", wrong) is None
    assert secrets.get("provider:a", "token", OTHER) is None
    assert secrets.origins("provider:a", "token") == HUB
    assert secrets.origins("provider:b", "token") == ()


def test_an_owner_sees_only_its_own(secrets: SecretStore) -> None:
    assert secrets.get("provider:b", "token", HUB) is None
    assert secrets.get("provider:a", "other", HUB) is None
    assert secrets.describe("provider:b") == {}


@pytest.mark.parametrize(
    ("text", "hint"), [(CANARY, "…abcd"), ("123456789012", "…9012"), ("12345678901", "…"), ("x", "…")]
)
def test_people_see_the_end_of_long_secrets_only(secrets: SecretStore, text: str, hint: str) -> None:
    secrets.set("provider:a", "token", SecretStr(text), HUB)
    assert secrets.describe("provider:a") == {"token": {"set": True, "hint": hint}}


def test_deleting_one_field_or_all(secrets: SecretStore, home: Path) -> None:
    secrets.set("provider:a", "second", SecretStr("2"), HUB)
    secrets.set("provider:b", "token", SecretStr("b"), HUB)
    secrets.delete("provider:a", "nothing")
    secrets.delete("provider:a", "token")
    assert set(SecretStore(home).describe("provider:a")) == {"second"}
    secrets.delete("provider:a")
    again = SecretStore(home)
    assert again.describe("provider:a") == {}
    assert value(again.get("provider:b", "token", HUB)) == "b"


def test_files_are_for_the_owner_only_and_hold_nothing_readable(secrets: SecretStore, home: Path) -> None:
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"secret.key", "secrets.json"}
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for form in (CANARY.encode(), base64.b64encode(CANARY.encode()).rstrip(b"="), CANARY.encode().hex().encode()):
            assert form not in path.read_bytes()


def test_modes_hold_under_an_open_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        SecretStore(home).set("provider:a", "token", SecretStr(CANARY), HUB)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}


def test_a_key_of_ones_own_needs_no_key_file(home: Path) -> None:
    key = SecretStr(Fernet.generate_key().decode())
    SecretStore(home, key).set("provider:a", "token", SecretStr(CANARY), HUB)
    assert not (home / "secret.key").exists()
    assert value(SecretStore(home, key).get("provider:a", "token", HUB)) == CANARY
    with pytest.raises(StoreError, match=r"secret\.key"):
        SecretStore(home)


def test_a_key_that_is_none(home: Path) -> None:
    with pytest.raises(StoreError, match="MOORAGE_SECRET_KEY") as caught:
        SecretStore(home, SecretStr("hunter2-hunter2")).set("provider:a", "token", SecretStr(CANARY), HUB)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_wrong_key_is_said_and_never_used_beside_the_right_one(secrets: SecretStore, home: Path) -> None:
    wrong = SecretStore(home, SecretStr(Fernet.generate_key().decode()))
    before = (home / "secrets.json").read_bytes()
    with pytest.raises(StoreError, match=r"secrets\.json cannot be opened"):
        wrong.get("provider:a", "token", HUB)
    with pytest.raises(StoreError, match=r"secrets\.json cannot be opened"):
        wrong.set("provider:b", "token", SecretStr("new"), HUB)
    assert (home / "secrets.json").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_can_read_is_refused(secrets: SecretStore, home: Path, mode: int) -> None:
    (home / "secret.key").chmod(mode)
    with pytest.raises(StoreError, match="can be read by others") as caught:
        SecretStore(home).get("provider:a", "token", HUB)
    assert caught.value.hint == f"Run: chmod 600 {home / 'secret.key'}"


def test_an_empty_key_file_is_said(secrets: SecretStore, home: Path) -> None:
    (home / "secret.key").write_bytes(b"")
    with pytest.raises(StoreError, match=r"secret\.key is not a key"):
        SecretStore(home).get("provider:a", "token", HUB)


def test_a_missing_key_file_is_said(secrets: SecretStore, home: Path) -> None:
    (home / "secret.key").unlink()
    with pytest.raises(StoreError, match=r"secret\.key is gone"):
        SecretStore(home)
    assert not (home / "secret.key").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format": 1, "secrets": {"a": {"b": {}}}}',
        b'{"format": 1, "secrets": {"a": {"b": {"sealed": 1, "hint": "", "origins": []}}}}',
        b"\xff\x00",
    ],
)
def test_a_damaged_file_is_said_and_not_reset(secrets: SecretStore, home: Path, content: bytes) -> None:
    (home / "secrets.json").write_bytes(content)
    with pytest.raises(StoreError, match="is damaged") as caught:
        SecretStore(home)
    assert caught.value.hint
    assert (home / "secrets.json").read_bytes() == content


def test_a_file_of_a_newer_version_is_said(secrets: SecretStore, home: Path) -> None:
    (home / "secrets.json").write_bytes(b'{"format": 2, "secrets": {}}')
    with pytest.raises(StoreError, match="has format 2"):
        SecretStore(home)


def test_an_edited_origin_opens_nothing(secrets: SecretStore, home: Path) -> None:
    path = home / "secrets.json"
    path.write_text(path.read_text().replace("hub.example", "bad.example"))
    with pytest.raises(StoreError, match="is damaged"):
        SecretStore(home).get("provider:a", "token", ("https://bad.example:443",))


def test_a_secret_moved_to_another_owner_opens_nothing(secrets: SecretStore, home: Path) -> None:
    path = home / "secrets.json"
    path.write_text(path.read_text().replace("provider:a", "provider:b"))
    with pytest.raises(StoreError, match="is damaged"):
        SecretStore(home).get("provider:b", "token", HUB)


def test_one_broken_secret_leaves_the_others(secrets: SecretStore, home: Path) -> None:
    secrets.set("provider:b", "token", SecretStr("good one"), HUB)
    path = home / "secrets.json"
    file = json.loads(path.read_text())
    file["secrets"]["provider:a"]["token"]["sealed"] = "gAAAAA"
    path.write_text(json.dumps(file))
    again = SecretStore(home)
    assert value(again.get("provider:b", "token", HUB)) == "good one"
    with pytest.raises(StoreError, match="cannot be opened"):
        again.get("provider:a", "token", HUB)


def test_nothing_of_a_secret_in_errors_and_representations(secrets: SecretStore, home: Path) -> None:
    shown = [repr(secrets), str(vars(secrets).keys()), repr(secrets.get("provider:a", "token", HUB))]
    (home / "secrets.json").unlink()
    (home / "secrets.json").mkdir()
    with pytest.raises(StoreError) as caught:
        secrets.set("provider:a", "token", SecretStr(f"new-{CANARY}"), HUB)
    shown += traceback.format_exception(caught.value)
    assert CANARY not in "".join(shown)


def test_a_write_that_fails_changes_nothing(secrets: SecretStore, home: Path) -> None:
    (home / "secrets.json").unlink()
    (home / "secrets.json").mkdir()
    with pytest.raises(StoreError):
        secrets.set("provider:a", "token", SecretStr("another one"), HUB)
    assert value(secrets.get("provider:a", "token", HUB)) == CANARY


def test_broken_characters_are_refused(secrets: SecretStore) -> None:
    with pytest.raises(InvalidInput, match="broken characters"):
        secrets.set("provider:a", "token", SecretStr("\ud800"), HUB)


def test_the_log_filter_learns_what_this_process_has_seen(secrets: SecretStore, home: Path) -> None:
    assert CANARY in secrets.known_values()
    again = SecretStore(home)
    again.get("provider:a", "token", HUB)
    again.delete("provider:a")
    assert CANARY in again.known_values()


def test_threads_lose_nothing(home: Path) -> None:
    store = SecretStore(home)
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for index in range(10):
            store.set(f"provider:{number}", f"field-{index}", SecretStr(f"{number}-{index}"), HUB)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = SecretStore(home)
    for number in range(8):
        for index in range(10):
            assert value(again.get(f"provider:{number}", f"field-{index}", HUB)) == f"{number}-{index}"


def test_cryptography_is_loaded_with_the_first_secret_only(home: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from moorage.secrets import SecretStore; "
        f"SecretStore(Path({str(home)!r})).describe('a'); print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
