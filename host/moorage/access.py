"""Who may use the server once it has a password: sessions of browsers, and tokens of programs.

A session is a signed cookie value. The signature covers the password, so that a new password ends every session, and
sessions that were ended by hand are remembered until they would have ended by themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from moorage.clock import Clock
from moorage.errors import FieldError, InvalidInput, Missing, RateLimited
from moorage.models import AccessToken, Document, NewAccessToken, Time
from moorage.store import Store
from moorage.store.atomic import create_once

KEY_FILE = "session.key"
SESSION_LENGTH = timedelta(days=30)
TOKEN_PREFIX = "mrg"  # noqa: S105 - the public part of every token
WRONG_PASSWORDS = 5
WRONG_SECONDS = 60.0
REMEMBERED_PEERS = 10_000


class StoredToken(Document):
    """A token without its secret: that is kept as a hash. It is random and long, so a fast hash is enough."""

    name: str
    sha256: str
    created_at: Time


class EndedSession(Document):
    until: Time


class Access:
    """`host.access`. `required` is false where no password is set: then everything on this machine may come in."""

    def __init__(
        self,
        store: Store,
        home: Path,
        password: SecretStr | None,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = store.collection("tokens", StoredToken)
        self._ended = store.collection("ended_sessions", EndedSession)
        self._key_path = home / KEY_FILE
        self._password = password.get_secret_value().encode() if password is not None else None
        self._clock = clock
        self._now = monotonic
        self._lock = threading.Lock()
        self._wrong: dict[str, deque[float]] = {}
        self._key: bytes | None = None

    @property
    def required(self) -> bool:
        return self._password is not None

    def sign_in(self, password: str, peer: str) -> str | None:
        """A new session for the right password, else None. RateLimited after five wrong ones in a minute from `peer`.

        While it waits, the right password is refused too: else it could be found by trying on.
        """
        if self._password is None:
            return None
        with self._lock:
            self._check_attempts(peer)
            if hmac.compare_digest(_digest(password.encode()), _digest(self._password)):
                self._wrong.pop(peer, None)
            else:
                self._wrong.setdefault(peer, deque(maxlen=WRONG_PASSWORDS)).append(self._now())
                return None
        until = int((self._clock() + SESSION_LENGTH).timestamp())
        body = f"{secrets.token_urlsafe(18)}.{until}"
        return f"{body}.{self._signature(body)}"

    def is_session(self, value: str) -> bool:
        """Whether this cookie value is a session that has not ended."""
        body, _, signature = value.rpartition(".")
        if self._password is None or not value.isascii() or not hmac.compare_digest(signature, self._signature(body)):
            return False
        id, _, until = body.partition(".")
        return int(until) > self._clock().timestamp() and self._ended.get(id) is None

    def sign_out(self, value: str) -> None:
        """End a session for good, also for whoever copied its cookie."""
        if not self.is_session(value):
            return
        now = self._clock()
        for old in self._ended.list():
            if old.until < now:
                self._ended.delete(old.id)
        id, until, _ = value.split(".")
        self._ended.put(EndedSession(id=id, until=datetime.fromtimestamp(int(until), UTC)))

    # -- tokens of programs -------------------------------------------------------------------------------------

    def tokens(self) -> tuple[AccessToken, ...]:
        return tuple(_shown(token) for token in self._tokens.list())

    def create_token(self, name: str) -> NewAccessToken:
        """A new token; its text is returned this once and cannot be read again."""
        name = name.strip()
        if not name or len(name) > 120:
            raise InvalidInput("The name is not valid.", errors=(FieldError("name", "must have 1 to 120 characters"),))
        id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        stored = self._tokens.put(
            StoredToken(id=id, name=name, sha256=_digest(secret.encode()).hex(), created_at=self._clock())
        )
        return NewAccessToken(**dict(_shown(stored)), token=f"{TOKEN_PREFIX}_{id}_{secret}")

    def revoke_token(self, id: str) -> None:
        if not self._tokens.delete(id):
            raise Missing(f"There is no token {id}.", hint="It may have been revoked already.")

    def is_token(self, text: str) -> bool:
        prefix, _, rest = text.partition("_")
        id, _, secret = rest.partition("_")
        stored = self._tokens.get(id) if prefix == TOKEN_PREFIX else None
        return stored is not None and hmac.compare_digest(_digest(secret.encode()).hex(), stored.sha256)

    # -- inside -------------------------------------------------------------------------------------------------

    def _check_attempts(self, peer: str) -> None:
        now = self._now()
        if len(self._wrong) > REMEMBERED_PEERS:
            self._wrong = {name: times for name, times in self._wrong.items() if now - times[-1] < WRONG_SECONDS}
        times = self._wrong.get(peer)
        while times and now - times[0] >= WRONG_SECONDS:
            times.popleft()
        if times is not None and len(times) >= WRONG_PASSWORDS:
            raise RateLimited(
                "Too many wrong passwords.",
                retry_after=WRONG_SECONDS - (now - times[0]),
                hint="Wait a minute, then try again.",
            )

    def _signature(self, body: str) -> str:
        key = self._load_key() + _digest(self._password or b"")
        return hmac.new(key, body.encode(), hashlib.sha256).hexdigest()

    def _load_key(self) -> bytes:
        with self._lock:
            if self._key is None:
                create_once(self._key_path, secrets.token_bytes(32))
                self._key = self._key_path.read_bytes()
            return self._key


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _shown(token: StoredToken) -> AccessToken:
    return AccessToken(id=token.id, name=token.name, created_at=token.created_at)
