"""Keys at rest: encrypted, write-only for people, and each bound to the origins it was given for.

What this protects: copies and backups of the data without the key file. It does not protect against a process that
runs as the same user. Owner, field and origins are sealed together with the value, so that an edited file cannot send a
key somewhere else.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import SecretStr, ValidationError

from moorage.errors import FieldError, InvalidInput, StoreError
from moorage.models import Model
from moorage.store.atomic import create_once, not_read, write_atomic

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_FILE = "secret.key"
DATA_FILE = "secrets.json"
FORMAT = 1
HINT_LENGTH = 12  # shorter secrets show nothing of themselves


class _Entry(Model):
    """`sealed` is the encrypted `[owner, field, origins, value]`; the rest is what may be seen without the key."""

    sealed: str
    hint: str
    origins: tuple[str, ...]


_Entries = dict[str, dict[str, _Entry]]


class _File(Model):
    format: int
    secrets: _Entries


class SecretStore:
    """Secrets by owner (such as `provider:<id>`) and field, in the data directory `home`.

    The key is in a file beside them, unless `key` brings it (32 bytes in URL-safe base64, as in the key file).
    StoreError wherever something is wrong with the files; they are never reset.
    """

    def __init__(self, home: Path, key: SecretStr | None = None) -> None:
        self._key_path = home / KEY_FILE
        self._path = home / DATA_FILE
        self._given_key = key
        self._lock = threading.RLock()
        self._fernet: Fernet | None = None
        self._known: set[str] = set()
        self._entries = self._read()

    def set(self, owner: str, field: str, value: SecretStr, origins: Sequence[str]) -> None:
        """Keep a secret for use with these origins only (such as `https://example.org:443`)."""
        text = value.get_secret_value()
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidInput("This secret holds broken characters.", errors=(FieldError(field, "cannot be stored"),))
        bound = _bound(origins)
        with self._lock:
            sealed = self._cipher().encrypt(orjson.dumps([owner, field, bound, text])).decode()
            hint = f"…{text[-4:]}" if len(text) >= HINT_LENGTH else "…"
            entry = _Entry(sealed=sealed, hint=hint, origins=bound)
            self._write({**self._entries, owner: {**self._entries.get(owner, {}), field: entry}})
            self._known.add(text)

    def get(self, owner: str, field: str, origins: Sequence[str]) -> SecretStr | None:
        """The secret; None when there is none, or when it was given for other origins than exactly these."""
        entry = self._entries.get(owner, {}).get(field)
        if entry is None or entry.origins != _bound(origins):
            return None
        text = self._open(owner, field, entry)
        self._known.add(text)
        return SecretStr(text)

    def describe(self, owner: str) -> dict[str, dict[str, Any]]:
        """What people may see, by field: `{"set": true, "hint": "…abcd"}`."""
        return {field: {"set": True, "hint": entry.hint} for field, entry in self._entries.get(owner, {}).items()}

    def origins(self, owner: str, field: str) -> tuple[str, ...]:
        """The origins a secret was given for; none where there is no secret."""
        entry = self._entries.get(owner, {}).get(field)
        return () if entry is None else entry.origins

    def delete(self, owner: str, field: str | None = None) -> None:
        """Forget one secret, or all of an owner."""
        with self._lock:
            fields = self._entries.get(owner, {})
            left = {} if field is None else {name: entry for name, entry in fields.items() if name != field}
            if len(left) == len(fields):
                return
            others = {name: entries for name, entries in self._entries.items() if name != owner}
            self._write({**others, owner: left} if left else others)

    def notice(self, value: str) -> None:
        """Remember a secret that is not kept here, such as one that is tried before it is saved."""
        self._known.add(value)

    def known_values(self) -> Iterable[str]:
        """Every secret this process has seen, for taking them out of logs."""
        return tuple(self._known)

    # -- files --------------------------------------------------------------------------------------------------

    def _read(self) -> _Entries:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise not_read(self._path, error) from error
        try:
            found = _File.model_validate_json(raw)
        except ValidationError:
            raise self._damaged() from None
        if found.format != FORMAT:
            raise StoreError(
                f"The file of secrets {self._path} has format {found.format}; this Moorage knows format {FORMAT}.",
                hint="Install the version of Moorage that wrote it.",
            )
        if found.secrets and self._given_key is None and not self._key_path.exists():
            raise StoreError(
                f"The key file {self._key_path} is gone, so the saved secrets cannot be read.",
                hint=f"Restore it from a backup, or move {self._path.name} away and enter the keys again.",
            )
        return found.secrets

    def _write(self, entries: _Entries) -> None:
        write_atomic(self._path, (_File(format=FORMAT, secrets=entries).model_dump_json().encode(),))
        self._entries = entries

    # -- encryption ---------------------------------------------------------------------------------------------

    def _open(self, owner: str, field: str, entry: _Entry) -> str:
        from cryptography.fernet import InvalidToken

        try:
            found = orjson.loads(self._cipher().decrypt(entry.sealed.encode()))
        except InvalidToken:
            raise self._not_opened() from None
        if found[:-1] != [owner, field, [*entry.origins]]:
            raise self._damaged()
        return str(found[-1])

    def _cipher(self) -> Fernet:
        from cryptography.fernet import Fernet  # costs 20 ms, which a start without secrets saves

        with self._lock:
            if self._fernet is None:
                try:
                    cipher = Fernet(self._key())
                except ValueError:
                    raise self._bad_key() from None
                # A key that opens nothing of what is there must not seal anything beside it.
                if self._entries and not any(_opens(cipher, entry) for entry in _all(self._entries)):
                    raise self._not_opened()
                self._fernet = cipher
            return self._fernet

    def _key(self) -> bytes:
        from cryptography.fernet import Fernet

        if self._given_key is not None:
            return self._given_key.get_secret_value().encode()
        if not self._key_path.exists():
            create_once(self._key_path, Fernet.generate_key())
        try:
            mode = stat.S_IMODE(self._key_path.stat().st_mode)
            if os.name != "nt" and mode & 0o077:
                raise StoreError(
                    f"The key file {self._key_path} can be read by others (mode {mode:03o}).",
                    hint=f"Run: chmod 600 {self._key_path}",
                )
            return self._key_path.read_bytes().strip()
        except OSError as error:
            raise not_read(self._key_path, error) from error

    # -- errors -------------------------------------------------------------------------------------------------

    @property
    def _key_name(self) -> str:
        return f"in {self._key_path}" if self._given_key is None else "given by MOORAGE_SECRET_KEY"

    def _bad_key(self) -> StoreError:
        return StoreError(
            f"The key {self._key_name} is not a key.",
            hint="It must be 32 bytes in URL-safe base64. Restore it from a backup.",
        )

    def _not_opened(self) -> StoreError:
        return StoreError(
            f"The secrets in {self._path} cannot be opened with the key {self._key_name}.",
            hint=f"Restore the key and {self._path.name} that belong together, or move {self._path.name} away and "
            "enter the keys again.",
        )

    def _damaged(self) -> StoreError:
        return StoreError(
            f"The file of secrets {self._path} is damaged.",
            hint="Restore it from a backup, or move it away and enter the keys again.",
        )


def _bound(origins: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(origins)))


def _all(entries: _Entries) -> Iterable[_Entry]:
    return (entry for fields in entries.values() for entry in fields.values())


def _opens(cipher: Fernet, entry: _Entry) -> bool:
    from cryptography.fernet import InvalidToken

    try:
        cipher.decrypt(entry.sealed.encode())
    except InvalidToken:
        return False
    return True
