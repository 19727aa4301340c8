"""Model names as Ollama reads and shows them: `[host/][namespace/]model[:tag]`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")  # model and tag
NAMESPACE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
HOST_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")


@dataclass(frozen=True)
class Name:
    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """The name with its defaults filled in, or None where Ollama says `invalid model name`."""
        tag = TAG
        if text.rfind(":") > text.rfind("/"):
            text, _, tag = text.rpartition(":")
        before, _, host = text.rpartition("://")
        parts = (host if before else text).split("/")
        if len(parts) > 3:
            return None
        defaults = [HOST, NAMESPACE][: 3 - len(parts)]
        host, namespace, model = defaults + parts
        name = cls(host, namespace, model, tag)
        return name if name._is_valid() else None

    def _is_valid(self) -> bool:
        checks = (HOST_PART, self.host), (NAMESPACE_PART, self.namespace), (PART, self.model), (PART, self.tag)
        return all(pattern.fullmatch(part) for pattern, part in checks)

    @property
    def key(self) -> str:
        """Equal for names that Ollama takes for the same."""
        return self.full.lower()

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def shortest(self) -> str:
        """As lists show it: without the default host and namespace, always with a tag."""
        if self.host.lower() != HOST:
            return self.full
        folder = "" if self.namespace.lower() == NAMESPACE else f"{self.namespace}/"
        return f"{folder}{self.model}:{self.tag}"

    def with_tag(self, tag: str) -> Name:
        return replace(self, tag=tag)
