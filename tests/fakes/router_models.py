"""What the fake router offers: models, who serves them, and in what manner their streams are sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Manner:
    """How a stream leaves: its pace, its form and its end."""

    headers_delay: float = 0.0  # seconds before the status line
    first_delay: float = 0.0  # seconds of silence between the headers and the first event
    chunks_per_second: float | None = None
    comment_every: int | None = None  # an SSE comment before every n-th event
    crlf: bool = False
    split_every: int | None = None  # bytes per write; 1 splits every multi-byte character
    endless: bool = False  # content never stops
    end_after: int | None = None  # end, as `end` says, after so many events
    end: Literal["done", "eof", "error", "cut"] = "done"  # eof: no [DONE]; error: `event: error`; cut: no last chunk


@dataclass
class RouterProvider:
    """One provider of a model. What is None is missing from `/v1/models`, as it really is."""

    provider: str
    status: Literal["live", "error"] = "live"
    context_length: int | None = None
    pricing: dict[str, float] | None = None  # input, output: USD per million tokens
    is_free: bool | None = None
    supports_tools: bool | None = None
    supports_structured_output: bool | None = None
    first_token_latency_ms: float | None = None
    throughput: float | None = None  # tokens per second
    is_model_author: bool = False
    model_id: str | None = None  # the provider's own name for the model, which its answers carry

    def entry(self) -> dict[str, Any]:
        shown = {name: value for name, value in vars(self).items() if name != "model_id"}
        return {name: value for name, value in shown.items() if value is not None}


@dataclass
class RouterModel:
    """A model and the habits of whoever serves it.

    `style` is the provider's dialect: novita sends usage in a last chunk without choices, deepseek on the finish chunk,
    both split tool-call arguments over many deltas; groq sends a tool call whole, and its own extra keys.
    """

    id: str
    providers: list[RouterProvider] = field(default_factory=lambda: [RouterProvider("novita", supports_tools=True)])
    created: int = 1_776_837_885
    input_modalities: tuple[str, ...] = ("text",)
    style: Literal["novita", "deepseek", "groq"] = "novita"
    reasoning: Literal["reasoning", "reasoning_content", "think"] | None = None  # where thoughts go; None: no thoughts
    calls_tools: bool = False  # call the first tool offered, whatever the message says
    tool_rounds: int | None = 1  # rounds of calls before the answer; None: it never stops calling
    fails_after_tool: bool = False  # 500 on the turn that brings the tool's result
    words: int | None = None  # answer with so many words, built once and sent in large writes
    error: tuple[int, Any] | None = None  # every chat fails with this status and body
    manner: Manner | None = None

    def entry(self) -> dict[str, Any]:
        """As in `GET /v1/models`."""
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": self.id.split("/")[0],
            "architecture": {"input_modalities": list(self.input_modalities), "output_modalities": ["text"]},
            "providers": [provider.entry() for provider in self.providers],
        }

    def choose(self, policy: str) -> RouterProvider | None:
        """The live provider that a suffix (`fastest`, `cheapest`, `preferred` or a name) means, if there is one."""
        live = [provider for provider in self.providers if provider.status == "live"]
        if policy not in ("fastest", "cheapest", "preferred"):
            live = [provider for provider in live if provider.provider == policy]
        if not live or policy == "preferred":
            return live[0] if live else None
        if policy == "cheapest":
            return min(live, key=lambda p: (p.pricing or {}).get("output", float("inf")))
        return max(live, key=lambda p: p.throughput or 0.0)


# Error answers as recorded, for `RouterModel.error` (status, body); a str goes out as text/plain.
DROPPED = (410, {"error": "The requested model is deprecated and no longer supported by provider novita."})
DOES_NOT_EXIST = (404, {"error": "Model acme/gone does not exist"})
SERVER_ERROR = (
    500,
    {"error": {"message": "Internal server error", "type": "server_error", "param": None, "code": None}},
)
LIST_ERROR = (400, {"error": ["The following `model_kwargs` are not used by the model: ['return_full_text']"]})
DETAIL_ERROR = (422, {"detail": [{"loc": ["body", "max_tokens"], "msg": "value is too large", "type": "value_error"}]})
OBJECT_ERROR = (400, {"object": "error", "message": "This model is not allowed now.", "type": "", "code": 40301})
TEXT_ERROR = (422, "Template error: template not found")
OLD_HOST = (
    410,
    {
        "error": "https://api-inference.huggingface.co/ is no longer supported. "
        "Please use https://router.huggingface.co/ instead."
    },
)
