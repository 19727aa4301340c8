"""A fake Hub with one repository of each kind that the tests of the Hub ask about."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo, SparseFile, Token

WEIGHTS = SparseFile(3_000_000, seed=1, head=b"GGUF")


def small_hub() -> FakeHub:
    hub = FakeHub()
    hub.tokens = {
        "hf_good": Token("ada", granted={"acme/gated-granted"}),
        "hf_old": Token("ada", revoked=True),
        "hf_fine": Token("eve", role="fineGrained", orgs=("acme",)),
    }
    hub.add(
        Repo(
            "acme/tiny-chat-GGUF",
            {"README.md": b"# Tiny\n", "tiny-Q4_K_M.gguf": WEIGHTS, "config/params.json": b"{}"},
            downloads=500,
            likes=7,
            trending=3,
            tags=("conversational",),
            pipeline_tag="text-generation",
            library_name="llama.cpp",
            license="apache-2.0",
            languages=("en", "id"),
            gguf={"total": 3_000_000_000, "architecture": "llama", "context_length": 8192},
            apps=("ollama", "llama.cpp"),
            aliases=("tiny-chat", "acme/tinychat-old"),
            created=datetime(2025, 5, 5, tzinfo=UTC),
        ),
        Repo(
            "meta/big-instruct",
            {"model.safetensors": b"weights", "config.json": b"{}"},
            downloads=90_000,
            likes=900,
            trending=50,
            pipeline_tag="text-generation",
            library_name="transformers",
            license="llama3.1",
            gated="manual",
            safetensors={"BF16": 70_000_000_000},
            providers={"novita": {"providerId": "meta/big"}, "groq": {"status": "staging"}},
            modified=datetime(2026, 2, 2, 3, 4, 5, 678000, tzinfo=UTC),
        ),
        Repo("acme/gated-granted", {"m-Q8_0.gguf": b"GGUF-granted"}, gated="auto", downloads=5),
        Repo("acme/bare", {"notes.txt": b"hello"}),
        Repo("acme/secret", {"s-Q4_0.gguf": b"GGUF-secret"}, private=True),
        Repo("acme/withdrawn", {"a.txt": b"a"}, disabled=True),
    )
    return hub
