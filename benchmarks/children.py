"""What runs beside the process that measures: `python -m benchmarks.children NAME …`.

Each says one line of JSON when it is ready and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo, Token
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import RouterModel

from benchmarks.crowd import crowd
from benchmarks.processes import KEY
from benchmarks.slow_router import serve

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}" * 120  # 8 kB, as they have today


def say(**ready: Any) -> None:
    print(json.dumps(ready), flush=True)


def hub() -> None:
    """A Hub with 300 models, whatever is searched for."""
    with FakeHub() as fake:
        fake.tokens = {KEY: Token("bench")}
        for number in range(300):
            fake.add(
                Repo(
                    id=f"harbour/Pilot-{number}B-GGUF",
                    files={f"pilot-{number}-Q4_K_M.gguf": b"GGUF" * 4, "README.md": b"# Pilot"},
                    tags=("gguf", "license:apache-2.0", "conversational"),
                    pipeline_tag="text-generation",
                    downloads=number,
                    likes=number,
                    apps=("ollama",),
                    num_parameters=8_000_000_000,
                    gguf={
                        "total": 8_000_000_000,
                        "architecture": "llama",
                        "context_length": 8192,
                        "chat_template": TEMPLATE,
                    },
                    providers={"novita": {}, "together": {}, "groq": {"status": "staging"}},
                )
            )
        say(url=fake.url)
        sys.stdin.read()


def router(*words: str) -> None:
    """A router with one model for each number of words in an answer."""
    with FakeRouter() as fake:
        fake.add(*(RouterModel(id=f"bench/words-{number}", words=int(number)) for number in words))
        say(url=fake.url)
        sys.stdin.read()


def slow_router(chunks: str, per_second: str) -> None:
    asyncio.run(serve(int(chunks), float(per_second), lambda url: say(url=url)))


def site(home: str, hub_url: str) -> None:
    with crowd(Path(home), hub_url) as (url, paths):
        say(url=url, paths=paths)
        sys.stdin.read()


if __name__ == "__main__":
    {"hub": hub, "router": router, "slow_router": slow_router, "site": site}[sys.argv[1]](*sys.argv[2:])
