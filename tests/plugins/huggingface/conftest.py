"""A Hub and a router on loopback, and contexts with the real door to the network."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from moorage import FilePart, PluginContext, Provider
from moorage.http import CallScope, HttpDoor
from moorage_huggingface.config import HuggingFaceProvider, Settings
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo, SparseFile, Token
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import RouterModel

MakeContext = Callable[..., PluginContext]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


WEIGHTS = SparseFile(2_000_000, seed=1, head=b"GGUF")
PROJECTOR = SparseFile(100_000, seed=2, head=b"GGUF")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plugin(clock: Clock) -> HuggingFacePlugin:
    return HuggingFacePlugin(clock)


@pytest.fixture
def hub(clock: Clock) -> Iterator[FakeHub]:
    hub = FakeHub(clock=clock)
    hub.tokens = {
        "hf_good": Token("ada", granted={"acme/gated-granted"}),
        "hf_revoked": Token("ada", revoked=True),
        "hf_member": Token("eve", orgs=("acme",)),
    }
    hub.add(
        Repo(
            "acme/tiny-GGUF",
            {
                "README.md": b"# Tiny\n",
                "tiny-Q4_K_M.gguf": WEIGHTS,
                "Q8_0/tiny-Q8_0-00001-of-00002.gguf": WEIGHTS,
                "Q8_0/tiny-Q8_0-00002-of-00002.gguf": PROJECTOR,
                "mmproj-F16.gguf": PROJECTOR,
                "tiny.imatrix.gguf": PROJECTOR,
                "a b/ü#1-Q2_K.gguf": PROJECTOR,
            },
            downloads=500,
            likes=7,
            tags=("conversational",),
            pipeline_tag="text-generation",
            license="apache-2.0",
            languages=("en",),
            gguf={"total": 3_000_000_000, "architecture": "llama", "context_length": 8192, "chat_template": "{{ x }}"},
            apps=("ollama", "llama.cpp"),
            aliases=("acme/tiny-old", "tiny"),
        ),
        Repo(
            "acme/served",
            {"model.safetensors": b"weights"},
            downloads=90_000,
            pipeline_tag="text-generation",
            license="mit",
            safetensors={"BF16": 70_000_000_000},
            providers={"novita": {"providerId": "acme/served"}, "groq": {"status": "staging"}},
        ),
        Repo("acme/gated", {"g-Q8_0.gguf": WEIGHTS}, gated="manual", downloads=4),
        Repo("acme/gated-granted", {"g-Q8_0.gguf": WEIGHTS, "config.json": b"{}"}, gated="auto", downloads=5),
        Repo("acme/gated-empty", {}, gated="auto"),
        Repo("acme/secret", {"s-Q4_0.gguf": b"GGUF-secret"}, private=True, downloads=3),
        Repo("acme/withdrawn", {"a.txt": b"a"}, disabled=True),
    )
    with hub as started:
        yield started


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with FakeRouter() as router:
        router.add(RouterModel("acme/served"))
        router.tokens = {
            "hf_good": Token("ada"),
            "hf_own": Token("ada"),
            "hf_poor": Token("ada", credits=False),
            "hf_may_not": Token("ada", may_infer=False),
        }
        yield router


@pytest.fixture
def endpoint() -> Iterator[FakeRouter]:
    """An Inference Endpoint of one's own: another origin than the router."""
    with FakeRouter(endpoint=True) as started:
        started.add(RouterModel("acme/mine"))
        yield started


@pytest.fixture
def nowhere() -> str:
    """An address where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def scope() -> CallScope:
    """Ends the calls of `context` from outside."""
    return CallScope(None)


@pytest.fixture
def context(tmp_path: Path, hub: FakeHub, router: FakeRouter, scope: CallScope) -> Iterator[MakeContext]:
    """Makes contexts; settings of the plugin by keyword."""

    def no_fetch(parts: Sequence[FilePart]) -> Any:
        raise AssertionError("this plugin fetches nothing")

    door = HttpDoor(user_agent="moorage/test")

    def make(**settings: Any) -> PluginContext:
        values = {"hub_endpoint": hub.url, "router_endpoint": router.url, **settings}
        return PluginContext(
            plugin="huggingface",
            config=Settings.model_validate(values),
            http=door.client("provider", scope=scope),
            fetch=no_fetch,
            data_dir=tmp_path,
            log=logging.getLogger("moorage.plugin.huggingface"),
        )

    yield make
    door.close()


def provider(model: str = "acme/served", **config: Any) -> Provider:
    made = HuggingFaceProvider.model_validate({"model": model, **config})
    return Provider(id="p1", name="Mine", type="huggingface", config=made, model=model)
