"""Installing what was found, by the rule of a saved search: the file that fits best, so many a day.

A find is counted, with its file and target, before its install is asked for. Whatever ends the process in between, the
next look asks for the same again, which gives the install that is there, and counts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from moorage.clock import Clock
from moorage.errors import InvalidInput, MoorageError, NotFound
from moorage.fetch.room import human
from moorage.installs import Installs
from moorage.local import LocalModels
from moorage.models import Find, Fit, Install, InstallRule, ModelFile, When, WhenWindow
from moorage.saved_searches.memory import Memories, SearchMemory
from moorage.search import Search
from moorage.suitability import NO_FILE, Suitability, recommended

LOOKS = 30  # finds that are looked at in one go
SECONDS = 40.0  # after which no further one is begun: somebody may be waiting
TRIES = 7  # days on which what may pass is tried
A_DAY = timedelta(hours=20)  # between two daily looks, of which one may be late
MAY_PASS = frozenset({"disk-full"})  # codes of a plan's problems


@dataclass(frozen=True, slots=True)
class _No:
    """Why a find is not taken; `may_pass` where that can be different tomorrow."""

    reason: str
    may_pass: bool = False


class Taker:
    def __init__(
        self,
        memories: Memories,
        search: Search,
        suitability: Suitability,
        local: LocalModels,
        installs: Installs,
        clock: Clock,
        time_zone: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memories = memories
        self._search = search
        self._suitability = suitability
        self._local = local
        self._installs = installs
        self._clock = clock
        self._time_zone = time_zone
        self._monotonic = monotonic

    def take(self, id: str, rule_now: Callable[[], InstallRule | None]) -> SearchMemory:
        """Look at what waits, oldest first, until the limit of today is reached, by the rule as it is at each step."""
        memory = self._memories.get(id)
        until, looked = self._monotonic() + SECONDS, 0
        noted: dict[str, Find] = {}
        # What was counted and not asked for comes first, so that it is known whether it was counted today.
        counted_today = memory.day == self._today()
        for find in sorted(memory.waiting, key=lambda find: find.file is None):
            rule = rule_now()
            if rule is None:  # somebody has switched it off meanwhile
                break
            if find.file is not None and (asked := self._asked(find)) is not None:
                memory = self._write(id, asked)
            elif find.file is not None and counted_today:
                memory = self._request(id, find, rule)
            elif memory.taken_on(self._today()) >= rule.max_per_day:
                noted[find.key] = _waits(find, f"The limit of {rule.max_per_day} a day is reached.")
            elif looked == LOOKS or self._monotonic() > until:
                noted[find.key] = _waits(find, "It is looked at with the next run.")
            else:
                looked += 1
                choice = self._choice(find, rule)
                if isinstance(choice, _No):
                    noted[find.key] = self._tried(find, choice)
                else:
                    memory = self._request(id, self._counted(id, find, choice), rule)
        return self._write(id, *noted.values()) if noted else memory

    def _choice(self, find: Find, rule: InstallRule) -> tuple[ModelFile, str] | _No:
        """The file to take and the target it goes onto, or why not."""
        try:
            target = rule.target or self._local.default_target()
            chosen = self._chosen(find, rule, target)
            if isinstance(chosen, _No):
                return chosen
            plan = self._installs.plan(find.source, find.id, file=chosen.name, target=target)
        except NotFound as error:
            return _No(str(error))
        except MoorageError as error:
            return _No(str(error), may_pass=True)
        if plan.problems:
            problem = plan.problems[0]
            return _No(problem.message, may_pass=problem.code in MAY_PASS)
        return (chosen, target) if plan.fit.verdict in _verdicts(rule) else _unfit(plan.fit)

    def _chosen(self, find: Find, rule: InstallRule, target: str) -> ModelFile | _No:
        detail = self._search.describe(find.source, find.id)
        if detail.gate.state != "open":
            return _No(detail.gate.message or "", may_pass=not detail.gate.closed)
        judged = self._suitability.of(detail, target=target)
        if all(choice.target != target for choice in judged.targets):
            return _No("Its target was removed.", may_pass=True)
        models = [file for file in judged.files if file.role == "model"]
        if not models:  # a repository is often there before its files
            return _No(NO_FILE, may_pass=True)
        fitting = [file for file in models if file.fit is not None and file.fit.verdict in _verdicts(rule)]
        if not fitting:
            best = recommended(models)
            return _unfit(best.fit if best is not None else None)
        small = [file for file in fitting if rule.max_bytes is None or file.size <= rule.max_bytes]
        best = recommended(small)
        if best is None:
            least = human(min(file.size for file in fitting))
            return _No(f"Its smallest file has {least}, more than the limit of {human(rule.max_bytes or 0)}.")
        return best

    def _counted(self, id: str, find: Find, choice: tuple[ModelFile, str]) -> Find:
        file, target = choice
        taken = find.model_copy(update={"file": file.name, "target": target, "skipped": None})
        self._write(id, taken, counted=1)
        return taken

    def _request(self, id: str, find: Find, rule: InstallRule) -> SearchMemory:
        """Ask for the install of a find that is counted. One that was there before costs nothing of the limit."""
        when: When = WhenWindow(window=rule.window) if rule.window is not None else "now"
        try:
            install, new = self._installs.request(
                find.source, find.id, file=find.file, target=find.target, when=when, asked_by="schedule"
            )
        except InvalidInput as error:  # it was refused: nothing was asked for
            refused = self._tried(find, _No(str(error), may_pass=True))
            return self._write(id, refused.model_copy(update={"file": None, "target": None}), counted=-1)
        except MoorageError as error:  # whether anything was asked for is not known: the next look will see
            return self._write(id, self._tried(find, _No(str(error), may_pass=True)))
        return self._write(id, _became(find, install), counted=0 if new else -1)

    def _asked(self, find: Find) -> Find | None:
        """The find with its install, where that was asked for before the process ended. Older ones are not its own."""
        same = self._installs.same(find.source, find.id, find.file or "", find.target or "")
        ours = next((install for install in same if install.created_at >= find.found_at), None)
        return _became(find, ours) if ours is not None else None

    def _write(self, id: str, *finds: Find, counted: int = 0) -> SearchMemory:
        """The finds as they are now, and how much more or less was taken today."""
        changed, today = {find.key: find for find in finds}, self._today()

        def write(memory: SearchMemory) -> SearchMemory:
            memory = _with(memory, changed)
            return memory.counting(today, counted) if counted else memory

        return self._memories.change(id, write)

    def _tried(self, find: Find, no: _No) -> Find:
        """It was its turn, in vain. However often somebody looks in a day, that is one try."""
        now = self._clock()
        if find.tried_at is None or now - find.tried_at >= A_DAY:
            find = find.model_copy(update={"tries": find.tries + 1, "tried_at": now})
        return find.model_copy(update={"skipped": no.reason, "waits": no.may_pass and find.tries < TRIES})

    def _today(self) -> date:
        return self._clock().astimezone(ZoneInfo(self._time_zone())).date()


def _with(memory: SearchMemory, changed: dict[str, Find]) -> SearchMemory:
    """With these finds, each as read as it has become meanwhile."""
    for find in memory.news:
        if find.key in changed:
            memory = memory.with_find(changed[find.key].model_copy(update={"read": find.read}))
    return memory


def _became(find: Find, install: Install) -> Find:
    return find.model_copy(update={"install": install.id, "skipped": None, "waits": False})


def _waits(find: Find, reason: str) -> Find:
    """It was not its turn."""
    return find.model_copy(update={"skipped": reason})


def _verdicts(rule: InstallRule) -> tuple[str, ...]:
    return ("fits", "tight") if rule.tight_too else ("fits",)


def _unfit(fit: Fit | None) -> _No:
    if fit is None or fit.verdict == "unknown":  # the target may not have said yet what it has
        return _No("Whether it fits is not known.", may_pass=True)
    if fit.verdict == "tight":
        return _No("It would fit tightly, and the rule takes only what fits well.")
    needs = f": it needs {_gib(fit.needs)} of {_gib(fit.has)} GiB" if fit.needs and fit.has else ""
    return _No(f"It is too big for the memory{needs}.")


def _gib(amount: int) -> str:
    """Memory is counted in powers of two, unlike disks."""
    return f"{amount / 1024**3:.1f}"
