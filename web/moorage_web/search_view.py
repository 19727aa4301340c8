"""One search as a page shows it: what is asked for, its address, and what is known of each result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moorage.errors import FieldError, MoorageError, RateLimited
from moorage.models import (
    ModelDetail,
    ModelFile,
    ModelHit,
    ProviderType,
    SearchOutcome,
    SearchQuery,
    SourceStatus,
    TargetChoice,
)
from moorage_web.formats import query_url

LENGTHS = tuple(2**power for power in range(11, 18))  # 2K to 128K tokens
ROWS = 12  # files that a panel shows at first
MOST_LINES = 3  # targets that a result has a line for
PREFIX = "search."  # of the filters inside of another form
WAIT_SECONDS = 30.0  # where a service asks us to wait and does not say how long


def key_of(hit: ModelHit) -> str:
    """What names one result in an address."""
    return f"{hit.source}:{hit.id}"


def keys_of(hits: Sequence[ModelHit]) -> list[str]:
    return [key_of(hit) for hit in hits]


@dataclass(frozen=True, slots=True)
class Pick:
    """A search in the form of a provider type. `own`: it has an endpoint of its own, so nobody else has to serve it."""

    type: ProviderType
    own: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of one model, judged for `target` with `length` tokens of context; or the `error` instead.

    `chosen` is the file that a person has picked in the panel, `every` whether all files are asked for.
    """

    detail: ModelDetail | None = None
    error: MoorageError | None = None
    target: str | None = None
    length: int = 0
    chosen: str | None = None
    every: bool = False

    @property
    def wait(self) -> float | None:
        """Seconds until it may be asked for again, where the source wants us to wait."""
        if not isinstance(self.error, RateLimited):
            return None
        return self.error.retry_after or WAIT_SECONDS

    @property
    def choice(self) -> TargetChoice | None:
        """What the target would take."""
        choices = self.detail.targets if self.detail else ()
        return next((item for item in choices if item.target == self.target), None)

    @property
    def files(self) -> list[ModelFile]:
        """Those that can be installed, in the order of their size."""
        files = self.detail.files if self.detail else ()
        return sorted((file for file in files if file.role == "model"), key=lambda file: file.size)

    @property
    def shown(self) -> list[ModelFile]:
        """All of a few files; of many those around the one that is marked."""
        files, marked = self.files, self.marked
        if self.every or len(files) <= ROWS:
            return files
        at = next((place for place, file in enumerate(files) if file.name == marked), 0)
        start = max(0, min(at - ROWS // 2, len(files) - ROWS))
        return files[start : start + ROWS]

    @property
    def marked(self) -> str | None:
        """The name of the file that is chosen: the person's choice, else the recommended one."""
        names = [file.name for file in self.files]
        if self.chosen in names:
            return self.chosen
        return next((file.name for file in self.files if file.recommended), None)

    @property
    def beside(self) -> list[ModelFile]:
        """What else the repository has, and nobody installs by itself."""
        return [file for file in (self.detail.files if self.detail else ()) if file.role != "model"]

    @property
    def shared_reasons(self) -> list[str]:
        """Why files are imported, where it is the same for several: said once, not on each row."""
        counts = Counter(file.road_reason for file in self.files if file.road_reason)
        return [reason for reason, count in counts.items() if count > 1]

    @property
    def lengths(self) -> list[int]:
        """The context lengths to choose from, no longer than the model takes; the chosen one is always among them."""
        own = self.detail.context_length if self.detail else None
        found = {length for length in LENGTHS if own is None or length <= own}
        found |= {self.length, *([own] if own and own < LENGTHS[-1] else [])}
        return sorted(found)


@dataclass(frozen=True)
class Finding:
    """What the templates of a search need.

    `args` is the query string of the page without what belongs to fragments, `given` what is looked for in the words
    of the API, without order and place. `types` are the provider types by the source whose models they use, `targets`
    the ids and names of the targets, the likely one first. `wanted` is whether there is anything to search for.
    """

    path: str
    query: SearchQuery
    args: Sequence[tuple[str, str]] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[str] = ()
    asked: Sequence[str] = ()
    targets: Sequence[tuple[str, str]] = ()
    types: Mapping[str, ProviderType] = field(default_factory=dict)
    troubles: Sequence[SourceStatus] = ()
    errors: Sequence[FieldError] = ()
    open: str | None = None
    pick: Pick | None = None
    wanted: bool = False
    outcome: Callable[[], SearchOutcome | None] = lambda: None
    look: Callable[..., Look] = lambda key, revision=None: Look()

    @property
    def text(self) -> str:
        return self.query.text

    @property
    def prefix(self) -> str:
        return PREFIX if self.pick else ""

    @property
    def filters(self) -> dict[str, str]:
        """The filters that are on and can be taken away."""
        return {name: value for name, value in self.given.items() if name != "q" and name not in self.fixed}

    @property
    def lines(self) -> Sequence[tuple[str, str]]:
        """The targets that a result has a line for."""
        return self.targets[:MOST_LINES]

    def beside(self, quick: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
        """The filters that are on and that none of the quick ones stands for."""
        known = {(name, value) for name, value, _ in quick}
        return [item for item in self.filters.items() if item not in known]

    def on(self, name: str, value: str) -> bool:
        return self.given.get(name) == value

    def link(self, **changes: Any) -> str:
        """The address of this page with some of its query changed, or left out where the change is None."""
        return query_url(self.path, self.args, **changes)
