"""Rate limits obeyed: what is left for whom, and no request while there is nothing left.

Kept apart by the service's origin, by the token (nobody's requests count by address) and by the service's bucket.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import SecretStr

from moorage import Allowance
from moorage_huggingface.config import origin
from moorage_huggingface.problems import limited
from moorage_huggingface.rates import Rate, rates, retry_after

FIRST_PAUSE = 5.0  # seconds, after a 429 that names no time; then twice as long each time
LONGEST_PAUSE = 300.0
KNOWN = 64  # places; a person has a token or two and a mirror or two


def holder(key: SecretStr | None) -> str:
    """Who asks, without the token itself; empty for nobody."""
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:16] if key is not None else ""


class Place(NamedTuple):
    """What a limit is for. `bucket` is the Hub's `api` or `resolvers`, or `router`."""

    origin: tuple[str, str, int | None]
    holder: str
    bucket: str

    @classmethod
    def of(cls, url: str, key: SecretStr | None, bucket: str) -> Place:
        return cls(origin(url), holder(key), bucket)


@dataclass(slots=True)
class _State:
    rate: Rate | None = None
    resets_at: float = 0.0
    closed_until: float = 0.0
    spent: bool = False  # closed since the window's requests are used up, else for another reason
    refusals: int = 0  # in a row


class Limits:
    """Thread-safe; `monotonic` in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._lock = threading.Lock()
        self._states: OrderedDict[Place, _State] = OrderedDict()

    def check(self, place: Place, who: str = "Hugging Face") -> None:
        """RateLimited, with the time that is left, while a request would be refused."""
        with self._lock:
            state = self._states.get(place)
            seconds = state.closed_until - self._now() if state is not None else 0.0
            if state is None or seconds <= 0:
                return
            spent = state.rate if state.spent else None
        raise limited(seconds, signed_in=bool(place.holder), who=who, spent=spent)

    def note(self, place: Place, status: int, headers: Mapping[str, str]) -> None:
        """Remember what an answer said; after it, `check` knows whether another request may be made."""
        found = rates(headers)
        with self._lock:
            for rate in found:
                self._keep(place._replace(bucket=rate.bucket), rate)
            state = self._state(place)
            if status != 429:
                state.refusals = 0
                return
            state.refusals += 1
            empty = next((rate for rate in found if rate.remaining == 0), None)
            if empty is not None:
                self._close(state, empty.resets_in, empty)
                return
            pause = min(FIRST_PAUSE * 2 ** min(state.refusals - 1, 10), LONGEST_PAUSE)
            after = retry_after(headers)
            self._close(state, pause if after is None else after, None)

    def allowance(self, place: Place) -> Allowance | None:
        """What was left when it was last said; None once its window is over."""
        with self._lock:
            state = self._states.get(place)
            if state is None or state.rate is None or state.resets_at <= self._now():
                return None
            return Allowance(
                remaining=state.rate.remaining, limit=state.rate.limit, resets_in=state.resets_at - self._now()
            )

    def _keep(self, place: Place, rate: Rate) -> None:
        state = self._state(place)
        state.rate, state.resets_at = rate, self._now() + rate.resets_in
        if rate.remaining == 0:
            self._close(state, rate.resets_in, rate)

    def _close(self, state: _State, seconds: float, spent: Rate | None) -> None:
        until = self._now() + seconds
        if until >= state.closed_until:
            state.closed_until, state.spent = until, spent is not None
            state.rate = spent or state.rate

    def _state(self, place: Place) -> _State:
        state = self._states.setdefault(place, _State())
        self._states.move_to_end(place)
        while len(self._states) > KNOWN:
            self._states.popitem(last=False)
        return state
