"""Getting a model onto a target: request, plan, progress, and the durable record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, computed_field

from moorage.models.base import Document, Model, Time
from moorage.models.providers import Provider
from moorage.models.search import FilePart, Fit, Gate, ModelDetail, ModelFile

Road = Literal["pull", "import"]
"""How a model gets onto a target: the target pulls it by itself, or the host downloads and imports it."""

State = Literal["scheduled", "queued", "running", "paused", "waiting", "installed", "failed", "cancelled"]
Phase = Literal["planning", "downloading", "verifying", "importing", "proving"]
ENDED: frozenset[str] = frozenset({"installed", "failed", "cancelled"})


class InstallRequest(Model):
    """What `plan_install` is asked: may this file of this model go onto this target?

    `road` is the person's wish, None for the plugin's choice. `already_here` is how many bytes of the file the data
    directory holds.
    """

    target: Provider
    model: ModelDetail
    file: ModelFile
    road: Road | None = None
    already_here: int = 0


class Problem(Model):
    """What stands in the way of an install, and what to do about it."""

    code: str
    message: str
    hint: str | None = None


class Disk(Model):
    """Bytes; None when the disk is on another machine and not known."""

    free: int | None
    needed: int | None
    ok: bool


class InstallPlan(Model):
    """What an install would do. `name` is what the model will be called on the target; sizes in bytes."""

    target: Provider = Field(exclude=True, repr=False)
    source: str
    model: str
    revision: str
    file: ModelFile = Field(exclude=True)
    name: str
    road: Road
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
    """One step of an install; `completed` and `total` in bytes over all files, None when not known."""

    phase: Phase
    completed: int | None = None
    total: int | None = None
    message: str | None = None


class Window(Model):
    """A nightly window, `from` and `to` as HH:MM in `time_zone` (IANA name)."""

    from_: str = Field(alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    to: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    time_zone: str | None = None


class WhenWindow(Model):
    window: Window


When = Literal["now"] | Time | WhenWindow


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


class Install(Document):
    """One durable record of getting one model (one file or set of shards) onto one target. Sizes in bytes."""

    source: str
    model: str
    file: str
    quantization: str | None = None
    revision: str | None = None
    target: str
    road: Road | None = None
    state: State = "queued"
    phase: Phase | None = None
    reason: str | None = None
    completed: int = 0
    total: int | None = None
    bytes_per_second: float | None = None
    seconds_left: float | None = None
    attempt: int = 0
    failures: int = 0
    error: InstallFailure | None = None
    warning: InstallFailure | None = None
    when: Annotated[When, Field(union_mode="left_to_right")] = "now"
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    model_name: str | None = None
    proof: Proof | None = None
    asked_by: str = "api"
    order: float = 0.0
    note: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def shown(self) -> dict[str, Any]:
        """The record as API.md has it."""
        return self.model_dump(mode="json", by_alias=True)
