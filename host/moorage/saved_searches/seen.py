"""What a saved search has seen already, in bounded space. Pure.

Each model is kept in the round in which it was last among the results; beyond the limit the oldest rounds go. What they
held must not come back as news, so of what is forgotten its time is kept: who was created before that time was there to
be seen, and counts as seen. A source that does not say when its models were created has only the limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from moorage.models import Model, ModelHit, Time

LIMIT = 2000


class Round(Model):
    at: Time
    keys: tuple[str, ...]


class Seen(Model):
    """`rounds` are oldest first."""

    rounds: tuple[Round, ...] = ()
    forgotten_at: Time | None = None

    def unknown(self, hits: Iterable[ModelHit]) -> list[ModelHit]:
        """Those that were never seen, each once, in their order."""
        known = {key for past in self.rounds for key in past.keys}
        found: dict[str, ModelHit] = {}
        for hit in hits:
            if key_of(hit) not in known and not self._is_forgotten(hit):
                found.setdefault(key_of(hit), hit)
        return list(found.values())

    def after(self, at: Time, hits: Iterable[ModelHit]) -> Seen:
        """With one round more, which is kept whole however large it is."""
        newest = Round(at=at, keys=tuple(dict.fromkeys(map(key_of, hits))))
        again = frozenset(newest.keys)
        older = [Round(at=past.at, keys=tuple(key for key in past.keys if key not in again)) for past in self.rounds]
        surplus = sum(len(past.keys) for past in older) + len(newest.keys) - LIMIT
        forgotten_at = self.forgotten_at
        for index, past in enumerate(older):
            if surplus <= 0:
                break
            older[index] = Round(at=past.at, keys=past.keys[surplus:])
            surplus -= len(past.keys)
            forgotten_at = max(filter(None, (forgotten_at, past.at))) if past.keys else forgotten_at
        return Seen(rounds=(*(past for past in older if past.keys), newest), forgotten_at=forgotten_at)

    def _is_forgotten(self, hit: ModelHit) -> bool:
        return self.forgotten_at is not None and hit.created_at is not None and hit.created_at <= self.forgotten_at


def key_of(hit: ModelHit) -> str:
    return f"{hit.source}:{hit.id}"
