"""The settings of the plugin, of one Ollama server and of one answer, as forms show them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from moorage import Config
from moorage_ollama.endpoint import DEFAULT_ENDPOINT

Think = Literal["off", "on", "low", "medium", "high", "max"]


class OllamaSettings(Config):
    """Where to look for a server that runs already."""

    host: str = Field(
        default="",
        max_length=300,
        title="Ollama address",
        description="Looked at, beside the usual address, when Moorage looks for Ollama servers.",
        json_schema_extra={"env": "OLLAMA_HOST", "advanced": True},
    )


class OllamaProvider(Config):
    """One Ollama server."""

    endpoint: str = Field(
        default=DEFAULT_ENDPOINT,
        max_length=300,
        title="Address",
        description="Of the Ollama server. On another machine it must be started with OLLAMA_HOST=0.0.0.0.",
    )
    model: str | None = Field(
        default=None,
        max_length=350,
        title="Model",
        description="One that is installed on this server, such as one from Local models.",
    )

    @field_validator("endpoint", mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        """People paste the address of one API or the other; both hang below the same server."""
        if not isinstance(value, str):
            return value
        bare = value.strip().rstrip("/")
        return bare.removesuffix("/v1").removesuffix("/api").rstrip("/") or DEFAULT_ENDPOINT

    @field_validator("model", mode="before")
    @classmethod
    def _blank_is_none(cls, value: Any) -> Any:
        return (value.strip() or None) if isinstance(value, str) else value


class OllamaOptions(Config):
    """What can be set for each answer. What is empty is left to the model's own settings."""

    num_ctx: int | None = Field(
        default=None,
        ge=256,
        le=1_048_576,
        title="Context length",
        description="In tokens, for the conversation and the answer together; what does not fit is dropped from the "
        "beginning. More needs more memory, and a change loads the model anew. Empty: the one of the settings.",
    )
    temperature: float | None = Field(default=None, ge=0, le=2, title="Temperature", description="0 is the most exact.")
    think: Think | None = Field(
        default=None,
        title="Thinking",
        description="Only for models that can think; some know levels, others only on and off.",
    )
    num_predict: int | None = Field(
        default=None, ge=1, le=1_000_000, title="Longest answer", description="In tokens, thinking included."
    )
    top_p: float | None = Field(default=None, gt=0, le=1, title="Top p", json_schema_extra={"advanced": True})
    top_k: int | None = Field(default=None, ge=0, le=1000, title="Top k", json_schema_extra={"advanced": True})
    seed: int | None = Field(default=None, title="Seed", json_schema_extra={"advanced": True})
    repeat_penalty: float | None = Field(
        default=None, ge=0, le=4, title="Repeat penalty", json_schema_extra={"advanced": True}
    )
    stop: list[str] | None = Field(default=None, title="Stop words", max_length=8, json_schema_extra={"advanced": True})
    keep_alive: str | None = Field(
        default=None,
        pattern=r"^(-?\d{1,9}|(\d{1,9}(\.\d+)?(ms|s|m|h))+)$",
        title="Keep loaded",
        description="How long the model stays in memory after an answer: 10m, 2h, 0 for not at all, -1 for ever.",
        json_schema_extra={"advanced": True},
    )
