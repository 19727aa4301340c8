"""Keys at rest: encrypted, write-only for people, and each bound to the origins it was given for.

What this protects: copies and backups of the data without the key file. It does not protect against a process that
runs as the same user.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import SecretStr

from moorage.errors import StoreError
from moorage.store.atomic import write_atomic

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_FILE = "secret.key"
DATA_FILE = "secrets.json"
HINT_LENGTH = 12  # shorter secrets show nothing of themselves


class SecretStore:
    """Secrets by owner (such as `provider:<id>`) and field."""

    def __init__(self, home: Path, key: SecretStr | None = None) -> None:
        self._key_path = home / KEY_FILE
        self._path = home / DATA_FILE
        self._given_key = key
        self._lock = threading.RLock()
        self._fernet: Fernet | None = None
        self._known: set[str] = set()
        self._entries: dict[str, dict[str, dict[str, Any]]] = self._read()

    def set(self, owner: str, field: str, value: SecretStr, origins: Sequence[str]) -> None:
        """Keep a secret for use with these origins only (such as `https://example.org:443`)."""
        text = value.get_secret_value()
        with self._lock:
            entry = {
                "value": self._cipher().encrypt(text.encode()).decode(),
                "hint": f"…{text[-4:]}" if len(text) >= HINT_LENGTH else "…",
                "origins": sorted(origins),
            }
            self._write({**self._entries, owner: {**self._entries.get(owner, {}), field: entry}})
            self._known.add(text)

    def get(self, owner: str, field: str, origins: Sequence[str]) -> SecretStr | None:
        """The secret; None when there is none, or when it was given for other origins than these."""
        entry = self._entries.get(owner, {}).get(field)
        if entry is None or entry["origins"] != sorted(origins):
            return None
        text = self._decrypt(entry["value"])
        self._known.add(text)
        return SecretStr(text)

    def describe(self, owner: str) -> dict[str, dict[str, Any]]:
        """What people may see, by field: `{"set": true, "hint": "…abcd"}`."""
        return {field: {"set": True, "hint": entry["hint"]} for field, entry in self._entries.get(owner, {}).items()}

    def delete(self, owner: str, field: str | None = None) -> None:
        """Forget one secret, or all of an owner."""
        with self._lock:
            fields = dict(self._entries.get(owner, {}))
            if field is None:
                fields.clear()
            elif fields.pop(field, None) is None:
                return
            left = {name: entries for name, entries in self._entries.items() if name != owner}
            if fields:
                left[owner] = fields
            if left != self._entries:
                self._write(left)

    def known_values(self) -> Iterable[str]:
        """Every secret this process has seen, for taking them out of logs."""
        return tuple(self._known)

    # -- inside -------------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, dict[str, dict[str, Any]]]:
        if not self._path.exists():
            return {}
        try:
            value = orjson.loads(self._path.read_bytes())
            entries: dict[str, dict[str, dict[str, Any]]] = value["secrets"]
            for fields in entries.values():
                for entry in fields.values():
                    if not {"value", "hint", "origins"} <= entry.keys():
                        raise KeyError("value")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise StoreError(
                f"The file of secrets {self._path} is damaged.",
                hint="Restore it from a backup, or move it away and enter the keys again.",
            ) from None
        if entries and not self._key_path.exists() and self._given_key is None:
            raise StoreError(
                f"The key file {self._key_path} is gone, so the saved secrets cannot be read.",
                hint=f"Restore it from a backup, or move {self._path.name} away and enter the keys again.",
            )
        return entries

    def _write(self, entries: dict[str, dict[str, dict[str, Any]]]) -> None:
        write_atomic(self._path, (orjson.dumps({"format": 1, "secrets": entries}),))
        self._entries = entries

    def _decrypt(self, value: str) -> str:
        from cryptography.fernet import InvalidToken

        try:
            return self._cipher().decrypt(value.encode()).decode()
        except InvalidToken:
            raise StoreError(
                f"The key in {self._key_path} does not fit the saved secrets.",
                hint=f"Restore the right key file, or move {self._path.name} away and enter the keys again.",
            ) from None

    def _cipher(self) -> Fernet:
        from cryptography.fernet import Fernet  # costs 20 ms, which a start without secrets saves

        with self._lock:
            if self._fernet is None:
                key = self._given_key.get_secret_value().encode() if self._given_key else self._key()
                try:
                    self._fernet = Fernet(key)
                except ValueError:
                    raise StoreError(
                        f"The key file {self._key_path} is damaged.", hint="Restore it from a backup."
                    ) from None
            return self._fernet

    def _key(self) -> bytes:
        from cryptography.fernet import Fernet

        if not self._key_path.exists():
            write_atomic(self._key_path, (Fernet.generate_key(),), mode=0o600)
        mode = stat.S_IMODE(os.stat(self._key_path).st_mode)
        if os.name != "nt" and mode & 0o077:
            raise StoreError(
                f"The key file {self._key_path} can be read by others (mode {mode:03o}).",
                hint=f"Run: chmod 600 {self._key_path}",
            )
        return self._key_path.read_bytes().strip()
