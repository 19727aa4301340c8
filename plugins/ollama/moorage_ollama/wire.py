"""What an Ollama server answers, as far as we read it. Fields come and go between versions: all have defaults.

Source: `api/types.go` of ollama/ollama, and recorded answers of 0.1 to 0.32.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class Version(Wire):
    version: str


class Details(Wire):
    family: str | None = None
    parameter_size: str | None = None  # free text: "7.6B", "137M", ""
    quantization_level: str | None = None
    context_length: int | None = None  # since 0.30


class Installed(Wire):
    """A row of `/api/tags`. A model that runs in Ollama's cloud has `remote_host`, and the size of a stub."""

    name: str
    size: int | None = None
    digest: str = ""
    modified_at: datetime | None = None
    details: Details | None = None
    capabilities: tuple[str, ...] | None = None  # since 0.30
    remote_host: str | None = None
    remote_model: str | None = None


class Tags(Wire):
    models: tuple[Installed, ...] | None = None


class Loaded(Wire):
    """A row of `/api/ps`."""

    name: str
    digest: str = ""


class Running(Wire):
    models: tuple[Loaded, ...] | None = None


class Shown(Wire):
    """`/api/show`, without its large fields. `model_info` has `<architecture>.context_length`."""

    capabilities: tuple[str, ...] | None = None
    model_info: dict[str, Any] | None = None

    @property
    def context_length(self) -> int | None:
        for key, value in (self.model_info or {}).items():
            if key.endswith(".context_length") and isinstance(value, int):
                return value
        return None
