"""The settings of the plugin and of a provider, as forms show them."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr, field_validator

from moorage import Config

HUB = "https://huggingface.co"
ROUTER = "https://router.huggingface.co"


def _strip(value: Any) -> Any:
    return value.strip().rstrip("/") if isinstance(value, str) else value


class Settings(Config):
    """Used for searching and downloading, and by providers without a key of their own."""

    token: SecretStr | None = Field(
        default=None,
        title="Access token",
        description="From huggingface.co/settings/tokens; raises the search limits and opens gated models.",
        json_schema_extra={"env": "HF_TOKEN"},
    )
    hub_endpoint: str = Field(
        default=HUB,
        title="Hub address",
        description="A mirror of the Hub, where one is used.",
        json_schema_extra={"env": "HF_ENDPOINT", "advanced": True},
    )
    router_endpoint: str = Field(
        default=ROUTER,
        title="Router address",
        description="Where models are used through inference providers.",
        json_schema_extra={"env": "MOORAGE_ROUTER_ENDPOINT", "advanced": True},
    )

    _stripped = field_validator("hub_endpoint", "router_endpoint", mode="before")(_strip)


class HuggingFaceProvider(Config):
    """A model used through the router, or through an endpoint of your own."""

    model: str = Field(
        title="Model",
        description="Search for it, or type org/name.",
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][\w.\-/:]*$",
        json_schema_extra={"search": "huggingface"},
    )
    api_key: SecretStr | None = Field(
        default=None,
        title="Access token",
        description="Only where it differs from the one of the Hugging Face plugin.",
    )
    routing: str | None = Field(
        default=None,
        title="Inference provider",
        description="fastest, cheapest, or the name of one. Empty: the router's own choice.",
        pattern=r"^[a-z0-9-]{1,40}$",
        json_schema_extra={"advanced": True},
    )
    endpoint: str | None = Field(
        default=None,
        title="Endpoint",
        description="An OpenAI-compatible address, such as an Inference Endpoint; then with its own token.",
        json_schema_extra={"advanced": True},
    )

    _stripped = field_validator("endpoint", mode="before")(_strip)


class Options(Config):
    """What can be set for each answer."""

    temperature: float | None = Field(default=None, ge=0, le=2, title="Temperature", description="0 is the most exact.")
    top_p: float | None = Field(default=None, gt=0, le=1, title="Top p", json_schema_extra={"advanced": True})
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000, title="Longest answer", description="In tokens.")
    seed: int | None = Field(default=None, title="Seed", json_schema_extra={"advanced": True})
    stop: list[str] | None = Field(default=None, title="Stop words", max_length=4, json_schema_extra={"advanced": True})


def base_url(endpoint: str) -> str:
    """An OpenAI-compatible base address with exactly one `/v1` at its end."""
    return endpoint.rstrip("/").removesuffix("/v1").rstrip("/") + "/v1"
