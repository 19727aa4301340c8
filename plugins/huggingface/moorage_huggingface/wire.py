"""The JSON of the Hub and of the router. Absent is not null there: everything may be missing.

Source: https://huggingface.co/docs/hub/api and https://huggingface.co/docs/inference-providers
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

MOST = 2**53  # above what any model counts; what is beyond, or below nothing, is as good as not said
MOST_TAGS, LONGEST_TAG = 200, 200
_TOOLS = re.compile(r"\btools\b")


def _said(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST else None


def _some(value: Any) -> Any:
    return _said(value) or None


def _price(value: Any) -> Any:
    return value if isinstance(value, int | float) and 0 <= value <= MOST else None


Count = Annotated[int | None, BeforeValidator(_said)]
Amount = Annotated[int | None, BeforeValidator(_some)]
Price = Annotated[float | None, BeforeValidator(_price)]
Size = Annotated[int, Field(ge=0, le=MOST)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True, protected_namespaces=())


class Safetensors(Wire):
    total: Amount = None


class Gguf(Wire):
    """`total` is the number of parameters, not of bytes.

    A chat template may have tens of kB: only whether it has a place for tools is kept.
    """

    total: Amount = None
    architecture: str | None = None
    context_length: Amount = None
    calls_tools: bool | None = Field(default=None, alias="chat_template")

    @field_validator("calls_tools", mode="before")
    @classmethod
    def _has_tools(cls, value: Any) -> bool | None:
        """A template that knows tools reads the variable of that name, as transformers and llama.cpp fill it."""
        if not isinstance(value, str) or not value:
            return None
        return "tools" in value and _TOOLS.search(value) is not None


class MappedProvider(Wire):
    provider: str = ""
    status: str | None = None
    task: str | None = None


class HubModel(Wire):
    """A model of a list or of the detail endpoint."""

    id: str
    author: str | None = None
    sha: str | None = None
    downloads: Count = None
    likes: Count = None
    tags: list[str] = []
    pipeline_tag: str | None = None
    gated: Literal[False, "auto", "manual"] = False
    private: bool = False
    disabled: bool = False
    last_modified: datetime | None = Field(default=None, alias="lastModified")
    created_at: datetime | None = Field(default=None, alias="createdAt")
    safetensors: Safetensors | None = None
    gguf: Gguf | None = None
    inference_provider_mapping: list[MappedProvider] | None = Field(default=None, alias="inferenceProviderMapping")

    @field_validator("inference_provider_mapping", mode="before")
    @classmethod
    def _either_shape(cls, value: Any) -> Any:
        """An object by provider on the detail endpoint, an array on the list."""
        if isinstance(value, dict):
            return [{"provider": name, **entry} for name, entry in value.items() if isinstance(entry, dict)]
        return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else None

    @field_validator("private", "disabled", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> bool:
        return bool(value)

    @field_validator("gated", mode="before")
    @classmethod
    def _known_gate(cls, value: Any) -> Any:
        return False if not value else value if value in ("auto", "manual") else "manual"

    @field_validator("tags", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        texts = [tag for tag in value if isinstance(tag, str)] if isinstance(value, list) else []
        return [tag for tag in texts if len(tag) <= LONGEST_TAG][:MOST_TAGS]


class Lfs(Wire):
    oid: str
    size: Size


class TreeEntry(Wire):
    type: str
    path: str
    size: Size = 0
    lfs: Lfs | None = None


class Pricing(Wire):
    input: Price = None
    output: Price = None


class RouterProvider(Wire):
    provider: str
    status: str | None = None
    context_length: Amount = None
    pricing: Pricing | None = None
    supports_tools: bool | None = None


class Architecture(Wire):
    input_modalities: list[str] = []


class RouterModel(Wire):
    """A model of the router, or of an endpoint of one's own, which says its id only."""

    id: str
    architecture: Architecture = Architecture()
    providers: list[RouterProvider] = []
    max_model_len: Amount = None  # what vLLM calls the context length

    @field_validator("architecture", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {}

    @field_validator("providers", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return value if isinstance(value, list) else []


class Entity(Wire):
    type: str | None = None
    name: str | None = None


class Scope(Wire):
    """What a fine-grained token may do with one account, organisation or repository."""

    entity: Entity = Entity()
    permissions: list[str] = []


class FineGrained(Wire):
    can_read_gated: bool | None = Field(default=None, alias="canReadGatedRepos")
    everywhere: list[str] = Field(default=[], alias="global")
    scoped: list[Scope] = []


class AccessToken(Wire):
    """`role` is `read`, `write`, `god` or `fineGrained`."""

    role: str | None = None
    fine_grained: FineGrained | None = Field(default=None, alias="fineGrained")


class Auth(Wire):
    type: str | None = None
    access_token: AccessToken | None = Field(default=None, alias="accessToken")


class WhoAmI(Wire):
    """`GET /api/whoami-v2`."""

    name: str
    auth: Auth = Auth()
