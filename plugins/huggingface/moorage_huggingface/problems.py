"""From what the Hub and the router answer to errors that say what to do.

Source: huggingface_hub `hf_raise_for_status`; https://huggingface.co/docs/hub/rate-limits; recorded answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import SecretStr

from moorage import (
    AuthFailed,
    BadAnswer,
    CreditsGone,
    Gate,
    Gated,
    InvalidConfig,
    MoorageError,
    NotFound,
    RateLimited,
    RemoteError,
    Unreachable,
    Unsupported,
)
from moorage_huggingface import gates
from moorage_huggingface.config import HUB
from moorage_huggingface.rates import Rate, retry_after, used_up

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
BILLING_PAGE = "https://huggingface.co/settings/billing"
ADD_TOKEN = f"Add a token on the Plugins page or set HF_TOKEN; tokens are made at {TOKENS_PAGE}."
MORE_WITH_TOKEN = (
    "Without a token Hugging Face takes 500 requests in 5 minutes from one address, with that of a free account 1000: "
    f"make one at {TOKENS_PAGE}, and enter it on the Plugins page or set HF_TOKEN."
)
PERMISSION = f"It needs the permission “Make calls to Inference Providers”: {TOKENS_PAGE}"
LONGEST = 300
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{4,}|(?<=Bearer )\S+")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no. `key` is what was sent with the question, so that no message ever repeats it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    key: SecretStr | None = None

    @property
    def said(self) -> str:
        """What the service said, in one short line: header, then any of the JSON shapes, then plain text."""
        if self.headers.get("x-error-message"):
            return self._short(self.headers["x-error-message"])
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            text = self.body[:4096].decode("utf-8", "replace").strip()
            return "" if text.startswith("<") else self._short(text)
        return self._short(_text_in(value))

    @property
    def kind(self) -> str:
        """OpenAI's `error.code` or `error.type`, such as `model_not_supported`; empty where there is none."""
        try:
            error = orjson.loads(self.body)["error"]
            return str(error.get("code") or error.get("type") or "")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return ""

    @property
    def wait(self) -> float | None:
        """The seconds that a 429 names: the window's rest when it is used up, else `Retry-After`."""
        empty = used_up(self.headers)
        return empty.resets_in if empty is not None else retry_after(self.headers)

    def _short(self, text: str) -> str:
        text = " ".join(text.split())
        if self.key is not None:
            text = text.replace(self.key.get_secret_value(), "…")
        text = _TOKEN.sub("…", text)
        return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + "…"


def _text_in(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_text_in(item) for item in value[:3])))
    if isinstance(value, dict):
        for key in ("error", "message", "errors", "detail", "msg"):
            if value.get(key):
                return _text_in(value[key])
    return ""


def status_in(chunk: Mapping[str, Any]) -> int:
    """The status that an error object means which comes in a stream, after a status of 200; that where it says none."""
    error = chunk.get("error")
    if not isinstance(error, dict):
        return 200
    for value in (error.get("status_code"), error.get("code")):
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return {"invalid_request_error": 400, "server_error": 500}.get(str(error.get("type")), 200)


def _with(sentence: str, said: str) -> str:
    return f"{sentence}: {said}" if said else f"{sentence}."


def limited(
    seconds: float | None, *, signed_in: bool, who: str = "Hugging Face", spent: Rate | None = None
) -> RateLimited:
    """`spent` is the window whose requests are used up, where that is the reason."""
    reason = f"{who} asks us to slow down."
    if spent is not None:
        many = f"{spent.limit} requests" if spent.limit else "requests"
        window = f" in {spent.window / 60:g} minutes" if spent.window else ""
        reason = f"{who} asks us to slow down: its limit of {many}{window} is used up."
    when = f" It takes requests again in {_time(seconds)}." if seconds is not None else ""
    return RateLimited(reason + when, retry_after=seconds, hint=None if signed_in else MORE_WITH_TOKEN)


def _time(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds <= 120 else f"{math.ceil(seconds / 60)} minutes"


def hub_error(refusal: Refusal, what: str, endpoint: str = HUB) -> RemoteError:
    """The error for an answer of the Hub; `what` is the model or list that was asked for."""
    status, said, signed_in = refusal.status, refusal.said, refusal.key is not None
    if status == 429:
        return limited(refusal.wait, signed_in=signed_in)
    if status >= 500 or status == 408:
        return Unreachable(_with(f"The Hub has a problem (status {status})", said), hint="Try again in a moment.")
    match refusal.headers.get("x-error-code", ""):
        case "GatedRepo":
            return gated_error(gates.closed(status, said, gates.page(what, endpoint, said)))
        case "RevisionNotFound":
            return NotFound(f"{what} has no such revision.", hint="It may have been removed; take the newest one.")
        case "EntryNotFound":
            return NotFound(f"{what} has no such file.", hint="Look at its files again; they may have changed.")
    if status == 401 and "Authorization header" in said:
        return not_accepted()
    if status == 401 or refusal.headers.get("x-error-code") == "RepoNotFound":
        whom = "your account" if signed_in else "anyone without a token"
        more = "" if signed_in else f" {ADD_TOKEN}"
        return NotFound(
            f"{what} does not exist, or is private and not open to {whom}.",
            hint=f"Check the name. A private model needs a token of an account that may read it.{more}",
        )
    if status == 404:
        return NotFound(f"The Hub has no {what}.", hint="Check the name, and the Hub's address where a mirror is used.")
    if status == 403 and "disabled" in said.lower():
        return NotFound(f"{what} was disabled by Hugging Face.", hint="Choose another model.")
    if status == 403:
        return AuthFailed(
            _with(f"Hugging Face refused access to {what}", said), hint="Check the permissions of the token."
        )
    return BadAnswer(_with(f"The Hub refused the request (status {status})", said))


def gated_error(gate: Gate) -> Gated:
    """The gate's own words: the same as in a panel, a plan and a failed install."""
    return Gated(gate.message or "", url=gate.url, hint=gate.hint)


def not_accepted() -> AuthFailed:
    return AuthFailed(
        "Hugging Face does not accept the saved token.", hint=f"It may be mistyped or revoked. {ADD_TOKEN}"
    )


def no_key() -> AuthFailed:
    return AuthFailed(
        "Hugging Face needs a token to use a model.",
        hint=f"Add one on the Plugins page, in this provider, or as HF_TOKEN. {PERMISSION}",
    )


def router_error(refusal: Refusal, *, model: str, own: bool) -> MoorageError:
    """The error for an answer of the router, or (`own`) of an endpoint of one's own."""
    status, said, kind = refusal.status, refusal.said, refusal.kind
    service = "The endpoint" if own else "The router"
    if "api-inference.huggingface.co" in said and "no longer supported" in said:
        return InvalidConfig(
            "This address of Hugging Face is no longer in use.",
            hint="Leave the endpoint empty to use the router, or enter the address of an Inference Endpoint.",
        )
    if kind == "model_not_supported" or "not supported by any provider" in said:
        return not_served(model)
    if status == 402 or kind == "insufficient_quota":
        return credits_gone(said, own)
    if status == 401 or kind == "invalid_api_key":
        return no_token_accepted(service, refusal.key, own)
    if status == 403:
        hint = "Check the token and what it may do there." if own else PERMISSION
        return AuthFailed(_with(f"{service} refuses this token", said), hint=hint)
    if status == 429 or kind == "rate_limit_exceeded":
        return limited(refusal.wait, signed_in=refusal.key is not None, who=service)
    if status == 404 or kind == "model_not_found":
        hint = "Check the model's name and the endpoint's address." if own else "Check the model's name."
        return NotFound(_with(f"{service} has no model {model}", said), hint=hint)
    if status == 410:
        return Unsupported(
            _with(f"{model} is no longer served there", said), hint="Choose another model or inference provider."
        )
    if status == 503 and own:
        return Unreachable("The endpoint is asleep or starting.", hint="Wait a minute and try again.")
    if status >= 500 or status == 408:
        hint = "Try again in a moment." if own else "Try again, or choose another inference provider."
        return Unreachable(_with(f"{service} has a problem (status {status})", said), hint=hint)
    if status in (400, 413, 422):
        hint = "Check the options, the tools and the length of the chat."
        return Unsupported(_with(f"{service} refused the request", said), hint=hint)
    if status == 200:
        return BadAnswer(_with(f"{service} broke off its answer", said), hint="Try again.")
    return BadAnswer(_with(f"{service} answered with status {status}", said))


def no_token_accepted(service: str, key: SecretStr | None, own: bool) -> AuthFailed:
    if own:
        message = f"{service} does not accept the token." if key else f"{service} needs a token."
        return AuthFailed(message, hint="Enter the token of this endpoint in the provider.")
    return AuthFailed(f"{service} does not accept the token.", hint=f"Make a new one and save it. {PERMISSION}")


def credits_gone(said: str, own: bool) -> CreditsGone:
    if own:
        return CreditsGone(_with("The endpoint's account has nothing left to pay with", said))
    return CreditsGone(
        "The included credits of this Hugging Face account are used up.",
        hint=f"Buy credits, or wait for the next month: {BILLING_PAGE}",
    )


def not_served(model: str) -> Unsupported:
    return Unsupported(
        f"No inference provider that you have enabled serves {model}.",
        hint="Choose a model that is served (search with “served by: all”), enable more providers at "
        "https://huggingface.co/settings/inference-providers, or install it locally.",
    )
