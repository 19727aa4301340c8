"""The settings of the engine and of a provider, as forms show them."""

from __future__ import annotations

from pydantic import Field

from moorage import Config

DEFAULT_CONTEXT = 4096


class Settings(Config):
    idle_minutes: float = Field(
        default=10, ge=0.01, le=1440, title="Unload after", description="Minutes without use until memory is freed."
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, title="Threads", description="Empty: as many as the engine thinks best."
    )


class EngineProvider(Config):
    model: str | None = Field(default=None, title="Model", description="One of the models installed here.")


class Options(Config):
    """What can be set for each answer."""

    context_length: int | None = Field(
        default=None,
        ge=256,
        le=1_048_576,
        title="Context length",
        description="Tokens it can hold in mind; more needs more memory.",
    )
    temperature: float | None = Field(default=None, ge=0, le=2, title="Temperature", description="0 is the most exact.")
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000, title="Longest answer", description="In tokens.")
    top_p: float | None = Field(default=None, gt=0, le=1, title="Top p", json_schema_extra={"advanced": True})
    top_k: int | None = Field(default=None, ge=0, le=1000, title="Top k", json_schema_extra={"advanced": True})
    seed: int | None = Field(default=None, title="Seed", json_schema_extra={"advanced": True})
    stop: list[str] | None = Field(default=None, title="Stop words", max_length=4, json_schema_extra={"advanced": True})
