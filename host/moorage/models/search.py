"""Finding a model: the question, the hits, and everything about one of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from moorage.models.base import Model, Time
from moorage.models.gates import Gate

Sort = Literal["downloads", "likes", "trending", "created", "updated"]
Road = Literal["pull", "import"]
"""How a model gets onto a target: the target pulls it by itself, or the host downloads and imports it."""


class SearchQuery(Model):
    """What `search_models` is asked. Parameter counts are whole numbers of weights; None means no such filter."""

    text: str = ""
    limit: int = Field(default=20, ge=1, le=200)
    cursor: str | None = None
    format: Literal["gguf"] | None = None
    app: Literal["ollama", "llama.cpp"] | None = None
    task: str | None = None
    author: str | None = None
    license: str | None = None
    language: str | None = None
    gated: bool | None = None
    min_parameters: int | None = Field(default=None, ge=0)
    max_parameters: int | None = Field(default=None, ge=0)
    served_by: str | None = None
    sort: Sort = "downloads"


class ServedBy(Model):
    """An inference provider that serves the model; prices in USD per million tokens, None where nobody says them."""

    provider: str
    status: str | None = None
    context_length: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    tools: bool | None = None


class ModelHit(Model):
    """One search result. What the source does not say is None, never a guess.

    `revision` is the newest commit; a source that names it in its list lets details be kept by it. `served_by` is what
    the list says of inference providers, None where it says nothing of them: `describe_model` knows more.
    """

    source: str
    id: str
    author: str | None = None
    downloads: int | None = None
    likes: int | None = None
    tags: tuple[str, ...] = ()
    has_gguf: bool = False
    gated: Literal[False, "auto", "manual"] = False
    license: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    task: str | None = None
    updated_at: Time | None = None
    created_at: Time | None = None
    revision: str | None = None
    served_by: tuple[ServedBy, ...] | None = None
    url: str | None = None


class Allowance(Model):
    """How many requests a service still takes from us: `remaining` of `limit`, anew in `resets_in` seconds."""

    remaining: int
    limit: int | None = None
    resets_in: float | None = None


class SearchPage(Model):
    """One source's page. `cursor` is the source's own; `notice` is a sentence for the person, such as a bad token."""

    results: tuple[ModelHit, ...]
    cursor: str | None = None
    notice: str | None = None
    allowance: Allowance | None = None


class SourceStatus(Model):
    """How one source answered a search; `seconds` is wall time."""

    source: str
    ok: bool
    seconds: float
    cached: bool = False
    error: str | None = None
    hint: str | None = None
    notice: str | None = None
    allowance: Allowance | None = None


class SearchOutcome(Model):
    """All sources' results in turn. Where nothing was found `looser` has shorter texts that may find something."""

    results: tuple[ModelHit, ...]
    next: str | None
    sources: tuple[SourceStatus, ...]
    looser: tuple[str, ...] = ()


class ModelRef(Model):
    """One model at a source; `revision` is a commit or branch, None for the newest."""

    source: str
    id: str
    revision: str | None = None


class FilePart(Model):
    """One file to fetch. `size` in bytes; `sha256` in lower-case hex, None where the source has none.

    `url` to GET, or `file:///…` (as `Path.as_uri` makes it) to copy a file of this machine. Where there is no hash,
    `version` tells this content from an earlier one of the same size at the same place, such as a time of change.
    """

    name: str
    size: int = Field(ge=0)
    sha256: str | None = None
    url: str
    version: str | None = None


class Fit(Model):
    """Whether a file fits a target's memory with `context_length` tokens in mind.

    `needs` and `has` in bytes, None when not known; `gpu` is how much of a target's memory is its GPU's own, None where
    it has none or does not say. `basis` is `header` where the file's own header gave the figures, else `estimate`.
    """

    verdict: Literal["fits", "tight", "too-big", "unknown"]
    target: str | None = None
    needs: int | None = None
    has: int | None = None
    gpu: int | None = None
    context_length: int | None = None
    basis: Literal["header", "estimate"] = "estimate"


class ModelFile(Model):
    """One choice of download: a single file or a set of shards, whose `size` is the sum of all `parts` in bytes.

    The host adds what it makes of it for one target: `guidance` on the quantisation in a sentence, `fit`, whether it is
    the `recommended` one, and the `road` by which it would get there, with the reason where that is not the usual one.
    """

    name: str
    size: int = Field(ge=0)
    sha256: str | None = None
    quantization: str | None = None
    shards: tuple[str, ...] = ()
    role: Literal["model", "projector", "other"] = "model"
    parts: tuple[FilePart, ...] = Field(default=(), exclude=True)
    guidance: str | None = None
    fit: Fit | None = None
    recommended: bool = False
    road: Road | None = None
    road_reason: str | None = None


class TargetChoice(Model):
    """What one target would take of a model: its best `file`, or the `reason` why there is none. Sizes in bytes."""

    target: str
    name: str
    file: str | None = None
    quantization: str | None = None
    size: int | None = None
    fit: Fit | None = None
    reason: str | None = None


class Credential(Model):
    """A key for fetching a source's files; the host sends it to `origins` only, and shows it to no other plugin."""

    value: SecretStr
    origins: tuple[str, ...]


class ModelDetail(ModelHit):
    """Everything about one model. `revision` is the commit that `files` belong to; `private` is for its owner only.

    `calls_tools` is whether its chat template has a place for tools; None where the source does not show one. `partial`
    says that something could not be read just now, which `notice` names: such a detail is not kept. The host adds
    `targets`, what each of them would take.
    """

    revision: str
    private: bool = False
    gate: Gate = Gate()
    files: tuple[ModelFile, ...] = ()
    served_by: tuple[ServedBy, ...] = ()
    partial: bool = False
    targets: tuple[TargetChoice, ...] = ()
    ollama_name: str | None = None
    architecture: str | None = None
    calls_tools: bool | None = None
    notice: str | None = None
    credential: Credential | None = Field(default=None, exclude=True, repr=False)


class KeyAbility(Model):
    """One thing that a key may do or not; None where the service does not say."""

    name: str
    allowed: bool | None


class KeyCheck(Model):
    """What a service says of the saved key: whose it is, what kind, and what it may do. The host says when it asked."""

    account: str
    kind: str
    abilities: tuple[KeyAbility, ...] = ()
    notice: str | None = None
    checked_at: Time | None = None
