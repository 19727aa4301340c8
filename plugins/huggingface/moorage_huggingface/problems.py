"""From what the Hub and the router answer to errors that say what to do.

Source: huggingface_hub `hf_raise_for_status`; https://huggingface.co/docs/hub/rate-limits; recorded answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from moorage import (
    AuthFailed,
    BadAnswer,
    CreditsGone,
    Gated,
    MoorageError,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
BILLING_PAGE = "https://huggingface.co/settings/billing"
ADD_TOKEN = f"Add a token on the Plugins page or set HF_TOKEN; tokens are made at {TOKENS_PAGE}."
LONGEST = 300
_RATE = re.compile(r'"[^"]*"\s*;\s*r=(\d+)\s*;\s*t=(\d+)')


def message_of(headers: Mapping[str, str], body: bytes) -> str:
    """What the service said, in one short line: header, then any of the JSON shapes, then plain text."""
    if headers.get("x-error-message"):
        return _short(headers["x-error-message"])
    try:
        value = json.loads(body)
    except ValueError:
        text = body[:4096].decode("utf-8", "replace").strip()
        return "" if text.lower().startswith(("<!doctype", "<html")) else _short(text)
    return _short(_text_in(value))


def error_code(body: bytes) -> str:
    """OpenAI's `error.code`, such as `model_not_supported`."""
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        return ""
    return str(error.get("code") or "") if isinstance(error, dict) else ""


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


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + "…"


def wait_seconds(headers: Mapping[str, str]) -> float | None:
    """The time to wait that a 429 names: the window's rest when it is used up, else `Retry-After`."""
    rate = _RATE.search(headers.get("ratelimit", ""))
    if rate is not None and rate[1] == "0":
        return float(rate[2])
    after = headers.get("retry-after", "").strip()
    return float(after) if after.replace(".", "", 1).isdigit() else None


def limited(headers: Mapping[str, str], body: bytes, *, signed_in: bool) -> RateLimited:
    seconds = wait_seconds(headers)
    when = f" Try again in {seconds:.0f} s." if seconds is not None else ""
    hint = None if signed_in else f"With a token the limits are higher. {ADD_TOKEN}"
    return RateLimited(f"Hugging Face asks us to slow down.{when}", retry_after=seconds, hint=hint)


def hub_error(status: int, headers: Mapping[str, str], body: bytes, *, what: str, signed_in: bool) -> MoorageError:
    """The error for an answer of the Hub; `what` is the model or list that was asked for."""
    code, said = headers.get("x-error-code", ""), message_of(headers, body)
    if status == 429:
        return limited(headers, body, signed_in=signed_in)
    if code == "GatedRepo":
        return gated_error(status, what)
    if code == "RevisionNotFound":
        return NotFound(f"{what} has no such revision.", hint="It may have been removed; take the newest one.")
    if code == "EntryNotFound":
        return NotFound(f"{what} has no such file.", hint="Look at its files again; they may have changed.")
    if status == 401:
        if "Authorization header" in said:
            return AuthFailed("Hugging Face does not accept the saved token.", hint=ADD_TOKEN)
        return NotFound(
            f"{what} does not exist, or is private and not open to {'this token' if signed_in else 'us'}.",
            hint="Check the name. For a private model a token of its owner is needed."
            + ("" if signed_in else f" {ADD_TOKEN}"),
        )
    if status == 404:
        return NotFound(f"There is no {what} on the Hub.", hint="Check the name; upper and lower case matter.")
    if status == 403:
        if "disabled" in said.lower():
            return NotFound(f"{what} was disabled by Hugging Face.", hint="Choose another model.")
        return AuthFailed(f"Hugging Face refused access to {what}: {said}", hint="Check the permissions of the token.")
    if status >= 500 or status == 408:
        return Unreachable(f"The Hub has a problem (status {status}).", hint="Try again in a moment.")
    return BadAnswer(f"The Hub refused the request (status {status}): {said}")


def gated_error(status: int, model: str) -> MoorageError:
    page = f"https://huggingface.co/{model}"
    if status == 401:
        return Gated(f"{model} is gated: sign in with a token first.", url=page, hint=ADD_TOKEN)
    return Gated(
        f"{model} is gated, and your account has no access yet: its licence is not accepted, or access is not granted.",
        url=page,
        hint=f"Accept the licence or ask for access on {page}, then try again.",
    )


def router_error(status: int, headers: Mapping[str, str], body: bytes, *, model: str, own: bool) -> MoorageError:
    """The error for an answer of the router, or (`own`) of an endpoint of one's own."""
    said, code = message_of(headers, body), error_code(body)
    service = "The endpoint" if own else "The router"
    if code in ("model_not_supported", "model_not_found") or "not supported by any provider" in said:
        return not_served(model)
    if status == 402:
        return CreditsGone(
            "The included credits of this Hugging Face account are used up.",
            hint=f"Buy credits or wait for the next month: {BILLING_PAGE}",
        )
    if status == 401:
        return AuthFailed(
            f"{service} does not accept the token.",
            hint=f"Check it; it needs the permission to make calls to Inference Providers: {TOKENS_PAGE}",
        )
    if status == 403:
        return AuthFailed(
            f"{service} refuses this token: {said}",
            hint=f"It needs the permission to make calls to Inference Providers: {TOKENS_PAGE}",
        )
    if status == 429:
        return limited(headers, body, signed_in=True)
    if status == 404:
        return NotFound(f"{service} has no model {model}.", hint="Check the model's name and the endpoint's address.")
    if status == 410:
        return Unsupported(f"{model} is no longer served there: {said}", hint="Choose another model or provider.")
    if status == 503 and own:
        return Unreachable("The endpoint is asleep or starting.", hint="Wait a minute and try again.")
    if status >= 500 or status == 408:
        return Unreachable(f"{service} has a problem (status {status}): {said}", hint="Try again, or another provider.")
    if status in (400, 413, 422):
        return Unsupported(
            f"{service} refused the request: {said}", hint="Check the options and the length of the chat."
        )
    return BadAnswer(f"{service} answered with status {status}: {said}")


def not_served(model: str) -> MoorageError:
    return Unsupported(
        f"No inference provider that you have enabled serves {model}.",
        hint="Choose a model that is served (search with “served by: all”), enable more providers in your "
        "Hugging Face settings, or install it locally.",
    )
