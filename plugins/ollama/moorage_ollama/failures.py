"""What an Ollama server says when something goes wrong, as errors the host can act on; half of it comes after a 200."""

from __future__ import annotations

import re
from typing import Any

import orjson

from moorage import (
    AuthFailed,
    DiskFull,
    Gated,
    HttpResponse,
    HttpStream,
    InvalidConfig,
    NotFound,
    RateLimited,
    RemoteError,
    Unreachable,
    Unsupported,
)
from moorage_ollama.rules import IMPORT_RULES, PULL_RULES, USE_RULES, Rule

_URL_QUERY = re.compile(r"(https?://[^\s\"?]+)\?[^\s\"]*")


def pull_error(text: str, name: str) -> RemoteError:
    """The error for what a pull of `name` ended with."""
    return _by_rule(PULL_RULES, text, name) or RemoteError(f"The Ollama server could not pull {name}: {_shown(text)}")


def import_error(text: str, name: str) -> RemoteError:
    """The error for what an import of `name` ended with."""
    return _by_rule(IMPORT_RULES, text, name) or RemoteError(
        f"The Ollama server could not make {name} of what was handed over: {_shown(text)}"
    )


def use_error(text: str, name: str) -> RemoteError:
    """The error for what a server says about using, showing or removing the model `name`."""
    return _by_rule(USE_RULES, text, name) or RemoteError(f"The Ollama server failed: {_shown(text)}")


def answer_error(
    answer: HttpResponse | HttpStream, body: bytes, *, endpoint: str, name: str, rules: tuple[Rule, ...] = USE_RULES
) -> Exception:
    """The error for an answer with status 400 or above."""
    text = error_text(body)
    status = answer.status
    if status == 403 and not text:
        return InvalidConfig(
            f"The Ollama server at {endpoint} refuses to be called by this name.",
            hint="Use its IP address, or start it with OLLAMA_HOST=0.0.0.0 so that it takes other names.",
        )
    if status == 413:  # Ollama itself takes files of any size
        return Unsupported(
            f"A proxy in front of {endpoint} does not let files of this size through.",
            hint="Raise its limit (client_max_body_size in nginx), or enter the Ollama server's own address.",
        )
    if status == 507:
        return DiskFull("The disk of the Ollama server is full.", hint="Make room there and retry.")
    if text is None:
        if status >= 500:
            return Unreachable(f"{endpoint} has trouble (status {status}).", hint="Try again in a moment.")
        return InvalidConfig(
            f"There is no Ollama server at {endpoint} (status {status}).",
            hint="Check the address; it is the one that `ollama serve` prints, without a path.",
        )
    found = _by_rule(rules, text, name)
    if found is not None:
        return found
    if rules is IMPORT_RULES and status in (400, 500):  # what Ollama itself says; gigabytes are not sent again for it
        return import_error(text, name)
    kinds: dict[int, type[RemoteError]] = {401: AuthFailed, 404: NotFound, 429: RateLimited, 503: RateLimited}
    kind = kinds.get(status, Unreachable if status >= 500 else RemoteError)
    return kind(f"The Ollama server refused this (status {status}): {_shown(text)}")


def error_text(body: bytes) -> str | None:
    """The server's text in `{"error": …}`; empty for an empty body, None for anything else: that is not Ollama."""
    if not body.strip():
        return ""
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return error_of(parsed) if isinstance(parsed, dict) else None


def error_of(parsed: dict[str, Any]) -> str | None:
    """The text of an error object or line, None where it has none."""
    error = parsed.get("error")
    if isinstance(error, dict):
        error = error.get("message") or orjson.dumps(error).decode()
    return str(error) if error else None


def _by_rule(rules: tuple[Rule, ...], text: str, name: str) -> RemoteError | None:
    # Addresses in the text (signed ones of a CDN) have digits and words in them that mean nothing.
    plain = re.sub(r"https?://[^\s\"]+", "", text)
    for rule in rules:
        if re.search(rule.pattern, plain, re.IGNORECASE):
            message = rule.message.format(text=_shown(text), name=name)
            if rule.error is Gated:
                return Gated(message, url=_page(name), hint=rule.hint)
            return rule.error(message, hint=rule.hint)
    return None


def _page(name: str) -> str | None:
    """The page of a model of the Hub."""
    found = re.fullmatch(r"hf\.co/([^:]+)(?::.*)?", name)
    return f"https://huggingface.co/{found[1]}" if found else None


def _shown(text: str) -> str:
    """The server's text without signatures in addresses, short, without its end mark."""
    return _URL_QUERY.sub(r"\1", " ".join(text.split()))[:300].rstrip(". ") + "."
