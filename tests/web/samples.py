"""Made-up objects for the gallery: one of everything a page can show. The model names are invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr

from moorage.errors import RateLimited
from moorage.models import (
    Agent,
    AgentLLM,
    Allowance,
    Capabilities,
    ChatProof,
    Conversation,
    Disk,
    FilePart,
    Fit,
    Gate,
    Install,
    InstallFailure,
    InstallPlan,
    Message,
    ModelDetail,
    ModelFile,
    ModelHit,
    NewerRevision,
    PluginFailure,
    PluginView,
    Problem,
    Proof,
    Provider,
    ProviderDraft,
    ProviderModel,
    ProviderType,
    ProviderView,
    QuietHours,
    SearchOutcome,
    SearchQuery,
    ServedBy,
    SourceStatus,
    Storage,
    StoredFile,
    StoredModel,
    Target,
    TargetChoice,
    TestError,
    TestResult,
    TimelineEntry,
    Tool,
    ToolsProof,
    ToolUse,
    WhenUpdated,
    WhenWindow,
    Window,
)
from moorage.models.base import Model
from moorage.quantizations import guidance
from moorage_web.search_view import Finding, Look, Pick

NOW = datetime(2026, 11, 24, 21, 30, tzinfo=UTC)
GB = 10**9


class SampleConfig(Model):
    """A provider config with one field of every kind."""

    model: str = Field(description="The model to use, as its page names it.")
    api_key: SecretStr | None = Field(default=None, description="Made on the account page of the service.")
    routing: Literal["fastest", "cheapest"] | None = None
    endpoint: str | None = Field(
        default=None, description="An own endpoint that speaks the same protocol.", json_schema_extra={"advanced": True}
    )
    temperature: float = Field(default=0.7, ge=0, le=2)
    stream: bool = Field(default=True, description="Show the answer while it is written.")
    stop: list[str] = Field(default_factory=list, json_schema_extra={"advanced": True})
    days: list[Literal["mon", "tue", "wed"]] = Field(default_factory=list)


def hit(name: str, **changes: Any) -> ModelHit:
    values: dict[str, Any] = {
        "source": "huggingface",
        "id": name,
        "author": name.split("/")[0],
        "downloads": 1_204_512,
        "likes": 2107,
        "has_gguf": True,
        "license": "apache-2.0",
        "parameters": 4_022_000_000,
        "context_length": 40_960,
        "updated_at": NOW - timedelta(days=3),
        "url": f"https://hub.example/{name}",
        "revision": "9f3c1ab2d4e5f60718293a4b5c6d7e8f90a1b2c3",
        "served_by": (),
    }
    return ModelHit(**{**values, **changes})


def fit(gigabytes: float, verdict: str, **changes: Any) -> Fit:
    values = {"verdict": verdict, "target": "builtin", "needs": int(gigabytes * 1.2 * GB), "has": 8 * GB}
    return Fit.model_validate({**values, "context_length": 4096, "basis": "header", **changes})


def file(quantization: str, gigabytes: float, verdict: str, **changes: Any) -> ModelFile:
    return ModelFile(
        name=f"harbour-4b-{quantization}.gguf",
        size=int(gigabytes * GB),
        quantization=quantization,
        fit=fit(gigabytes, verdict),
        guidance=guidance(quantization),
        road="import",
        **changes,
    )


HITS = (
    hit("lighthouse/Harbour-4B-GGUF"),
    hit(
        "lighthouse/Harbour-70B-Instruct-long-name-that-wraps-somewhere-on-a-phone-GGUF",
        gated="manual",
        parameters=70_600_000_000,
        downloads=950,
        likes=None,
        license="other",
    ),
    hit(
        "quay/tiny-135m",
        parameters=135_000_000,
        has_gguf=False,
        context_length=None,
        updated_at=NOW,
        served_by=tuple(ServedBy(provider=name, status="live") for name in ("northwind", "seagrass", "tern")),
    ),
    hit("folder-of-mine", source="folder", revision=None, served_by=None, downloads=None, likes=None, license=None),
)
QUERY = SearchQuery(text="harbour", format="gguf", max_parameters=8_000_000_000)
ARGS = {"q": "harbour", "format": "gguf", "maxParameters": "8B", "author": "lighthouse"}
OUTCOME = SearchOutcome(
    results=HITS,
    next="abc",
    sources=(
        SourceStatus(
            source="huggingface",
            ok=True,
            seconds=0.21,
            allowance=Allowance(remaining=40, limit=500, resets_in=150.0),
        ),
        SourceStatus(source="mirror", ok=False, seconds=3.0, error="It does not answer.", hint="Check its address."),
    ),
)
NOTHING = SearchOutcome(
    results=(),
    next=None,
    sources=(SourceStatus(source="huggingface", ok=True, seconds=0.2),),
    looser=("harbour master", "master"),
)
DETAIL = ModelDetail(
    **HITS[0].model_dump(exclude={"revision", "served_by"}),
    revision="9f3c1ab2d4e5f60718293a4b5c6d7e8f90a1b2c3",
    gate=Gate(state="accept-licence", url="https://hub.example/lighthouse/Harbour-4B-GGUF"),
    files=(
        file("Q2_K", 1.6, "fits"),
        file("Q4_K_M", 2.5, "fits", recommended=True),
        file("Q8_0", 6.2, "tight"),
        file("F16", 15.1, "too-big", shards=("a.gguf", "b.gguf"), road_reason="It comes in 2 parts."),
        ModelFile(name="mmproj-harbour-4b-F16.gguf", size=GB, quantization="F16", role="projector"),
    ),
    targets=(
        TargetChoice(
            target="builtin",
            name="Built-in engine",
            file="harbour-4b-Q4_K_M.gguf",
            quantization="Q4_K_M",
            size=int(2.5 * GB),
            fit=fit(2.5, "fits"),
            reason=Gate(state="accept-licence").message,
        ),
        TargetChoice(target="p3", name="Ollama here", reason="Even the file that takes least is too big for it."),
    ),
    served_by=(
        ServedBy(
            provider="northwind", status="live", context_length=131_072, input_price=0.1, output_price=0.4, tools=True
        ),
        ServedBy(provider="seagrass", status="staging", tools=False),
    ),
    architecture="harbour",
)
MODELS = (
    ProviderModel(name="harbour:4b", size=2_500_000_000, quantization="Q4_K_M", context_length=40_960, loaded=True),
    ProviderModel(name="hub.example/quay/tiny-135m:Q8_0", size=140_000_000, quantization="Q8_0"),
)
TARGETS = (
    Target(
        target="builtin", name="Built-in engine", type="llamacpp", ok=True, free=120 * GB, memory=16 * GB, models=MODELS
    ),
    Target(
        target="p2",
        name="Workshop",
        type="ollama",
        ok=False,
        error="It does not answer at http://10.0.0.5:11434.",
        hint="Start Ollama there, or correct the address.",
    ),
    Target(target="p3", name="Ollama here", type="ollama", ok=True, free=2 * GB),
)
PROOF = Proof(
    chat=ChatProof(ok=True, seconds=1.4, tokens_per_second=31.25), tools=ToolsProof(ok=False, message="None came.")
)


def install(id: str, **changes: Any) -> Install:
    values: dict[str, Any] = {
        "id": id,
        "source": "huggingface",
        "model": "lighthouse/Harbour-4B-GGUF",
        "file": "harbour-4b-Q4_K_M.gguf",
        "quantization": "Q4_K_M",
        "target": "builtin",
        "total": 2_500_000_000,
        "created_at": NOW,
    }
    return Install(**{**values, **changes})


WINDOW = WhenWindow(window=Window(from_="23:00", to="06:00", time_zone="Europe/Berlin"))
WEEKEND = WhenWindow(window=Window(from_="20:00", to="01:30", days=("sat", "sun"), time_zone="America/New_York"))
INSTALLS = (
    install(
        "i1",
        state="running",
        phase="downloading",
        completed=1_050_000_000,
        bytes_per_second=24_500_000.0,
        seconds_left=59.0,
        attempt=2,
    ),
    install("i2", state="running", phase="proving", completed=2_500_000_000),
    install("i3", state="waiting", reason="network", completed=800_000_000, starts_at=NOW + timedelta(minutes=2)),
    install("i4", state="queued"),
    install("i9", state="waiting", reason="quiet hours", generation=7),
    install("i10", state="queued", reason="Moorage was restarted; it goes on from what is kept.", completed=90_000_000),
    install("i5", state="scheduled", when=WINDOW, starts_at=NOW + timedelta(minutes=30), completed=400_000_000),
    install("i11", state="scheduled", when=NOW + timedelta(days=2), starts_at=NOW + timedelta(days=2)),
    install(
        "i6",
        state="failed",
        finished_at=NOW - timedelta(hours=5),
        error=InstallFailure(
            code="gated",
            message="The licence of this model is not accepted yet.",
            hint="Accept it on its page, then retry.",
        ),
    ),
    install("i7", state="installed", model_name="harbour:4b", finished_at=NOW - timedelta(days=2), proof=PROOF),
    install(
        "i12",
        state="installed",
        model_name="hub.example/quay/tiny-135m:Q8_0",
        finished_at=NOW - timedelta(days=40),
        when=WhenUpdated(on_update="tell"),
        update=NewerRevision(revision="0f3c1ab2d4e5f60718293a4b5c6d7e8f90a1b2c3", found_at=NOW - timedelta(hours=3)),
        proof=Proof(chat=ChatProof(ok=False, seconds=9.0)),
        warning=InstallFailure(
            code="engine", message="The engine cannot load it.", hint="Try another file of this model."
        ),
    ),
    install("i8", state="paused", completed=10_000_000),
    install("i13", state="cancelled", finished_at=NOW - timedelta(days=3)),
    install(
        "i14",
        state="scheduled",
        reason="Its window has ended; it goes on in the next one",
        when=WEEKEND,
        starts_at=NOW + timedelta(days=3),
    ),
)
WAITING = tuple(
    install(
        f"w{index}",
        state="waiting",
        reason=reason,
        completed=800_000_000,
        error=InstallFailure(code=reason, message="The service said no.", hint=None),
    )
    for index, reason in enumerate(("disk", "sign-in", "network", "target", "the tide"))
)
QUIET = QuietHours(from_="22:00", to="07:30")
TIMELINE = (
    TimelineEntry(at=NOW - timedelta(hours=2), state="queued", text="Asked for in the browser."),
    TimelineEntry(at=NOW - timedelta(hours=2), state="running", phase="downloading", text="The first run began."),
    TimelineEntry(at=NOW - timedelta(hours=1), state="waiting", text="The connection broke after 800 MB."),
    TimelineEntry(at=NOW, state="installed", text="It is installed as harbour:4b."),
)
STORAGE = Storage(
    directory="/var/lib/moorage",
    free=120 * GB,
    disk=500 * GB,
    models=(StoredModel(target="builtin", name="harbour-4b-Q4_K_M", size=2_500_000_000),),
    files=(
        StoredFile(
            key="a1",
            kind="partial",
            size=1_050_000_000,
            total=2_500_000_000,
            name="harbour-4b-Q4_K_M.gguf",
            installs=("i1", "gone"),
        ),
        StoredFile(key="b2" * 32, kind="damaged", size=200_000_000),
        StoredFile(key="c3", kind="finished", size=1_000_000_000, name="tiny-135m-Q8_0.gguf"),
    ),
    other=4_000_000,
    reclaimable=1_200_000_000,
)
PLAN = InstallPlan(
    target=Provider(id="p3", name="Ollama here", type="ollama", config={}),
    source="huggingface",
    model="lighthouse/Harbour-4B-GGUF",
    revision="9f3c1ab2d4e5f60718293a4b5c6d7e8f90a1b2c3",
    file=file("Q4_K_M", 2.5, "fits"),
    name="harbour:4b",
    road="import",
    road_reason="The server cannot pull a file in shards.",
    files=(FilePart(name="harbour-4b-Q4_K_M.gguf", url="https://hub.example/a", size=2_500_000_000),),
    bytes=2_500_000_000,
    already_here=800_000_000,
    disk=Disk(free=120 * GB, needed=1_700_000_000, promised=4 * GB, ok=True),
    gate=Gate(state="open"),
    license="apache-2.0",
    fit=Fit(verdict="fits", needs=3 * GB, has=8 * GB, context_length=4096),
    tools="yes",
    problems=(Problem(code="gated", message="The licence is not accepted yet.", hint="Accept it on its page."),),
)
SPEEDS = tuple(mb * 1e6 for mb in (10.0, 22.0, 24.0, 21.0, 8.0, 23.0, 24.5, 24.0))
PROVIDER = ProviderView(
    id="p1",
    name="Northwind",
    slug="northwind",
    type="huggingface",
    model="lighthouse/Harbour-4B",
    preset=False,
    config={"model": "lighthouse/Harbour-4B", "apiKey": {"set": True, "hint": "…abcd"}, "temperature": 0.2},
    capabilities=Capabilities(chat=True),
    available=True,
    created_at=NOW,
    updated_at=NOW,
    version=3,
    last_used_at=NOW - timedelta(minutes=12),
)
BUILTIN = PROVIDER.model_copy(
    update={"id": "builtin", "name": "Built-in engine", "preset": True, "model": None, "last_used_at": None}
)
TYPE = ProviderType(
    type="huggingface",
    label="Hugging Face",
    description="Models served through inference providers, paid by use.",
    plugin="huggingface",
    capabilities=Capabilities(chat=True, tools=True),
    search_source="huggingface",
    schema_=SampleConfig.model_json_schema(by_alias=True),
    options_schema={},
)
OPEN = "huggingface:lighthouse/Harbour-4B-GGUF"


def look(key: str, revision: str | None = None) -> Look:
    """Of one model all is known; another asks us to wait."""
    if key != OPEN:
        return Look(error=RateLimited("The source asks us to slow down.", retry_after=42), target="builtin")
    return Look(detail=DETAIL, target="builtin", length=4096)


def finding(outcome: SearchOutcome | None = OUTCOME, **changes: Any) -> Finding:
    """A search as a page shows it."""
    given = changes.pop("given", ARGS)
    made = Finding(
        path="/models",
        query=QUERY,
        args=tuple(given.items()),
        given=given,
        sources=("huggingface", "mirror"),
        asked=("huggingface",),
        targets=(("builtin", "Built-in engine"), ("p3", "Ollama here")),
        types={"huggingface": TYPE},
        outcome=lambda: outcome,
        look=look,
    )
    return replace(made, **changes)


def picking(outcome: SearchOutcome | None = OUTCOME, **changes: Any) -> Finding:
    """The same in the form of a provider."""
    return finding(outcome, path="/settings/llm/new", fixed={"source": "huggingface"}, pick=Pick(TYPE), **changes)


DRAFT = ProviderDraft(type="ollama", name="Ollama", config={"endpoint": "http://127.0.0.1:11434"})
WORKS = TestResult(ok=True, seconds=1.24, model="lighthouse/Harbour-4B", reply="Hello.", tokens=2, error=None)
FAILS = TestResult(
    ok=False,
    seconds=0.4,
    model="lighthouse/Harbour-4B",
    reply=None,
    error=TestError(
        part="key", message="The key was not accepted.", hint="Make a new one on the account page and paste it above."
    ),
)
AGENT = Agent(
    id="a1",
    name="Harbour master",
    instructions="You answer questions about ships.\nBriefly.",
    llm=AgentLLM(provider="p1"),
    tools=("current_time",),
    created_at=NOW,
    updated_at=NOW,
)
TOOLS = (
    Tool(name="current_time", description="Says what time it is.", run=lambda _: ""),
    Tool(name="write_note", description="Writes a note to the disk.", needs_approval=True, run=lambda _: ""),
)
ANSWER = """The tide turns at **14:20**. Two things follow:

1. Cast off before 13:45.
2. Keep clear of the `north` channel.

```python
def depth(hours: float) -> float:
    return 2.4 + 1.8 * math.sin(hours / 6.2 * math.pi)  # metres, a long line that has to scroll inside of its own box
```

| Quay | Depth |
| --- | --- |
| North | 2.1 m |
| South | 4.0 m |

> Ask the harbour master. See [the chart](https://charts.example/north).
"""
MESSAGES = (
    Message(id="m1", role="user", content="When can I sail from the north quay?", created_at=NOW),
    Message(
        id="m2",
        role="assistant",
        content=ANSWER,
        reasoning="The boat draws 1.9 m.",
        state="complete",
        input_tokens=412,
        output_tokens=128,
        seconds=4.1,
        model="lighthouse/Harbour-4B",
        created_at=NOW,
        tool_calls=(ToolUse(id="c1", name="current_time", arguments='{"zone": "UTC"}', ok=True, content="12:00"),),
    ),
    Message(id="m3", role="user", content="Write that down.", created_at=NOW),
    Message(
        id="m4",
        role="assistant",
        state="incomplete",
        created_at=NOW,
        error="The connection ended early.",
        hint="Retry, or ask again.",
        tool_calls=(ToolUse(id="c2", name="write_note", arguments='{"text": "Cast off 13:45"}', needs_approval=True),),
    ),
)
CONVERSATION = Conversation(
    id="k1", agent="a1", title="When can I sail from the north quay", created_at=NOW, updated_at=NOW, messages=MESSAGES
)
CONVERSATIONS = (
    CONVERSATION,
    CONVERSATION.model_copy(
        update={
            "id": "k2",
            "title": "A much longer title that does not fit into the column at all",
            "updated_at": NOW - timedelta(days=1),
            "active": True,
        }
    ),
)
PLUGINS = (
    PluginView(
        name="huggingface",
        title="Hugging Face",
        version="0.1.0",
        distribution="moorage",
        first_party=True,
        state="ready",
        hooks=("complete", "search_models"),
        provider_types=("huggingface",),
        error=None,
        has_config=True,
        last_failures=(),
    ),
    PluginView(
        name="tides",
        title="Tides",
        version="2.0",
        distribution="moorage-tides",
        first_party=False,
        state="failed",
        hooks=(),
        error="It could not be imported: no module named 'moon'.",
        hint="Install what it needs, then restart.",
        last_failures=(
            PluginFailure(
                at=NOW,
                hook="import",
                message="ModuleNotFoundError",
                trace='Traceback (most recent call last):\n  File "tides.py", line 1\n    import moon\n',
            ),
        ),
    ),
)
