"""The settings of the plugin and of a provider, as forms show them."""

from __future__ import annotations

import re
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from moorage import Config

HUB = "https://huggingface.co"
ROUTER = "https://router.huggingface.co"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_ROUTING = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PORTS = {"http": 80, "https": 443}


def _strip(value: Any) -> Any:
    return value.strip().rstrip("/") if isinstance(value, str) else value


def _strip_or_none(value: Any) -> Any:
    value = _strip(value)
    return None if value == "" else value


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
        json_schema_extra={"advanced": True},
    )
    endpoint: str | None = Field(
        default=None,
        title="Endpoint",
        description="An OpenAI-compatible address, such as an Inference Endpoint; then with its own token.",
        json_schema_extra={"advanced": True},
    )

    _stripped = field_validator("model", mode="before")(_strip)
    _emptied = field_validator("endpoint", "routing", mode="before")(_strip_or_none)

    @field_validator("routing")
    @classmethod
    def _policy_or_name(cls, value: str | None) -> str | None:
        if value is not None and not _ROUTING.fullmatch(value):
            raise ValueError("must be fastest, cheapest, or the name of an inference provider such as it is on the Hub")
        return value

    @model_validator(mode="after")
    def _model_of_the_hub(self) -> Self:
        """The router takes ids of the Hub; an endpoint of one's own may call its model anything."""
        if self.endpoint is None and not _HUB_ID.fullmatch(self.model):
            reason = "must be a model of the Hub, written org/name"
            if ":" in self.model:
                reason += "; what follows the colon belongs into routing"
            error = PydanticCustomError("hub_id", "{reason}", {"reason": reason})
            details = InitErrorDetails(type=error, loc=("model",), input=self.model)
            raise ValidationError.from_exception_data("HuggingFaceProvider", [details])
        return self


class Options(Config):
    """What can be set for each answer."""

    temperature: float | None = Field(default=None, ge=0, le=2, title="Temperature", description="0 is the most exact.")
    top_p: float | None = Field(default=None, gt=0, le=1, title="Top p", json_schema_extra={"advanced": True})
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000, title="Longest answer", description="In tokens.")
    reasoning_effort: Literal["low", "medium", "high"] | None = Field(
        default=None,
        title="Reasoning effort",
        description="For models that think before they answer; others may refuse it.",
        json_schema_extra={"advanced": True},
    )
    seed: int | None = Field(default=None, title="Seed", json_schema_extra={"advanced": True})
    stop: list[str] | None = Field(default=None, title="Stop words", max_length=4, json_schema_extra={"advanced": True})


def base_url(endpoint: str) -> str:
    """An OpenAI-compatible base address with exactly one `/v1` at its end."""
    return endpoint.rstrip("/").removesuffix("/v1").rstrip("/") + "/v1"


def origin(url: str) -> tuple[str, str, int | None]:
    """What decides whether a key may be sent there: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme.lower())
