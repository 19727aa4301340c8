"""Getting a model onto a target: request, plan, progress, and the durable record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, computed_field

from moorage.models.base import Document, Model, Time
from moorage.models.gates import Gate
from moorage.models.providers import Provider
from moorage.models.search import FilePart, Fit, ModelDetail, ModelFile, Road

State = Literal["scheduled", "queued", "running", "paused", "waiting", "installed", "failed", "cancelled"]
Phase = Literal["planning", "downloading", "verifying", "importing", "proving"]
QUIET_HOURS = "quiet hours"
"""The reason of an install that waits for their end, and for nothing else."""

ENDED: frozenset[str] = frozenset({"installed", "failed", "cancelled"})
ACTIVE: tuple[State, ...] = ("scheduled", "queued", "running", "paused", "waiting")
"""The states of an install that has not ended."""


class InstallRequest(Model):
    """What `plan_install` is asked: may this file of this model go onto this target?

    `road` is the person's wish, None for the plugin's choice. `already_here` is how many bytes of the file the data
    directory holds. `limits` names the settings that only the host's own download obeys, such as "a bandwidth limit";
    they are reasons to import where there is a choice. With `ask_target` False it is a first look at one of many files:
    no server is to be asked for it.
    """

    target: Provider
    model: ModelDetail
    file: ModelFile
    road: Road | None = None
    already_here: int = 0
    limits: tuple[str, ...] = ()
    ask_target: bool = True


class Problem(Model):
    """What stands in the way of an install, and what to do about it."""

    code: str
    message: str
    hint: str | None = None


class Disk(Model):
    """Bytes on the disk that the files are written to; None when it is on another machine and not known.

    `needed` is what this install still takes, `promised` what others that have not ended will take.
    """

    free: int | None
    needed: int | None
    promised: int = 0
    ok: bool


class InstallPlan(Model):
    """What an install would do. `name` is what the model will be called on the target; sizes in bytes.

    `road_reason` says in a sentence why this road. A plugin that imports sets `disk.needed` only where the host's disk
    has to take more than the files (an import into a server on this machine takes their space twice for a while).
    """

    target: Provider = Field(exclude=True, repr=False)
    source: str
    model: str
    revision: str
    file: ModelFile = Field(exclude=True)
    name: str
    road: Road
    road_reason: str | None = None
    files: tuple[FilePart, ...]
    bytes: int
    already_here: int = 0
    disk: Disk
    gate: Gate
    license: str | None = None
    fit: Fit = Fit(verdict="unknown")
    tools: Literal["yes", "no", "unknown"] = "unknown"
    problems: tuple[Problem, ...] = ()
    note: str | None = None

    @computed_field  # type: ignore[prop-decorator]  # mypy's own limit: python/mypy#1362
    @property
    def ok(self) -> bool:
        return not self.problems


class InstallProgress(Model):
    """One step of an install; `completed` and `total` in bytes over all files, None when not known.

    `again`: bytes had to be thrown away; what follows counts as a new attempt, from `completed` on.
    """

    phase: Phase
    completed: int | None = None
    total: int | None = None
    message: str | None = None
    again: bool = False


class Window(Model):
    """A nightly window, `from` and `to` as HH:MM in `time_zone` (IANA name)."""

    from_: str = Field(alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    to: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    time_zone: str | None = None


class WhenWindow(Model):
    window: Window


class WhenUpdated(Model):
    """For an installed model, when a newer revision appears: say so, or install it (in `window`, or at once)."""

    on_update: Literal["tell", "install"]
    window: Window | None = None


When = Literal["now"] | Time | WhenWindow | WhenUpdated


class NewerRevision(Model):
    """A newer revision of an installed model's file at its source."""

    revision: str
    found_at: Time


class InstallFailure(Model):
    code: str
    message: str
    hint: str | None = None


class ChatProof(Model):
    ok: bool
    seconds: float
    tokens_per_second: float | None = None


class ToolsProof(Model):
    ok: bool
    message: str | None = None


class Proof(Model):
    """What the model showed right after its install."""

    chat: ChatProof | None = None
    tools: ToolsProof | None = None


class TimelineEntry(Model):
    """One thing that happened to an install, in a sentence; `state` as it was from then on."""

    at: Time
    state: State
    phase: Phase | None = None
    text: str


class Install(Document):
    """One durable record of getting one model (one file or set of shards) onto one target. Sizes in bytes.

    `completed` is what is here, `furthest` the most that was, `extra_space` what it takes of our disk beyond its files.
    `attempt` counts the runs: each claim raises it, and what an older run writes is refused. `generation` counts what
    people did to it (pause, resume, cancel, retry, …), so that a click on a page that is out of date hits nothing.
    `hashes` are the sha256 of its files, `update` a newer revision of them; `starts_at` is when a scheduled one begins
    (or goes on). `road_wished` is the road that a person asked for. `replaces` tells whether the target had a model of
    this name before; only one that had none can be taken back by a cancel, and `cleaning_up` says that what a cancelled
    one leaves is not gone yet.
    """

    source: str
    model: str
    file: str
    quantization: str | None = None
    revision: str | None = None
    hashes: tuple[str | None, ...] = ()
    update: NewerRevision | None = None
    target: str
    road: Road | None = None
    road_reason: str | None = None
    road_wished: Road | None = None
    state: State = "queued"
    phase: Phase | None = None
    reason: str | None = None
    completed: int = 0
    total: int | None = None
    bytes_per_second: float | None = None
    seconds_left: float | None = None
    furthest: int = 0
    extra_space: int = 0
    attempt: int = 0
    generation: int = 1
    failures: int = 0
    error: InstallFailure | None = None
    warning: InstallFailure | None = None
    when: Annotated[When, Field(union_mode="left_to_right")] = "now"
    starts_at: Time | None = None
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    model_name: str | None = None
    replaces: bool | None = None
    cleaning_up: bool = False
    proof: Proof | None = None
    asked_by: str = "api"
    order: float = 0.0
    note: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def rests(self) -> bool:
        """Whether it waits for the end of quiet hours, and goes on by itself then."""
        return self.state == "waiting" and self.reason == QUIET_HOURS

    def shown(self) -> dict[str, Any]:
        """The record as API.md has it."""
        return self.model_dump(mode="json", by_alias=True)


class StoredModel(Model):
    """One model in the data directory; `size` in bytes."""

    target: str
    name: str
    size: int | None


class StoredFile(Model):
    """A file of downloads in the data directory that no model uses (yet); sizes in bytes.

    `kind`: `partial` is on its way, `finished` is whole and waits to be imported, `damaged` was put aside because its
    hash was wrong. `total` is the size it will have. `installs` are the ids that want it; what nobody wants can go.
    """

    key: str
    kind: Literal["partial", "finished", "damaged"]
    size: int
    total: int | None = None
    name: str | None = None
    installs: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]  # mypy's own limit: python/mypy#1362
    @property
    def needed(self) -> bool:
        return bool(self.installs)


class Storage(Model):
    """What the data directory holds, in bytes. `other` is everything but models: settings, conversations, the rest."""

    directory: str
    free: int | None
    disk: int | None
    models: tuple[StoredModel, ...]
    files: tuple[StoredFile, ...]
    other: int
    reclaimable: int
