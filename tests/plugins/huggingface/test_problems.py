"""Every refusal of the reference (§2.5, §4) is an error of its kind, with words that say what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from moorage import (
    AuthFailed,
    BadAnswer,
    CreditsGone,
    Gated,
    InvalidConfig,
    MoorageError,
    NotFound,
    RateLimited,
    Unreachable,
    Unsupported,
)
from moorage_huggingface.problems import LONGEST, Refusal, hub_error, router_error
from tests.plugins.huggingface.recordings import body_of, label, named, response

KEY = SecretStr("hf_abcdefghij")
BILLING = "https://huggingface.co/settings/billing"
TOKENS = "https://huggingface.co/settings/tokens"


def refusal(status: int, body: Any = "", code: str | None = None, key: SecretStr | None = None, **more: str) -> Refusal:
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return Refusal(status, headers | ({"x-error-code": code} if code else {}), text.encode(), key)


def hub(*args: Any, **more: Any) -> MoorageError:
    return hub_error(refusal(*args, **more), "acme/m")


def router(*args: Any, own: bool = False, **more: Any) -> MoorageError:
    return router_error(refusal(*args, **more), model="acme/m", own=own)


def words(error: MoorageError) -> str:
    return f"{error} {error.hint or ''}"


HUB_ROWS: list[tuple[str, MoorageError, type[MoorageError], str]] = [
    ("missing, anonymous", hub(401, {"error": "Invalid username or password."}), NotFound, "HF_TOKEN"),
    ("missing, signed in", hub(404, {"error": "Repository not found"}, "RepoNotFound", KEY), NotFound, "your account"),
    ("unknown token", hub(401, {"error": "Invalid credentials in Authorization header"}, key=KEY), AuthFailed, TOKENS),
    ("gated, anonymous", hub(401, "Please log in.", "GatedRepo"), Gated, "Plugins page"),
    ("gated, not granted", hub(403, "not in the list", "GatedRepo", KEY), Gated, "https://huggingface.co/acme/m"),
    ("file missing", hub(404, "Entry not found", "EntryNotFound"), NotFound, "file"),
    ("bad revision", hub(404, {"error": "Invalid rev id: badrev"}, "RevisionNotFound"), NotFound, "revision"),
    ("disabled", hub(403, {"error": "Access to this resource is disabled."}), NotFound, "disabled"),
    ("forbidden", hub(403, {"error": "No."}, key=KEY), AuthFailed, "permissions"),
    ("rate limit", hub(429, ratelimit='"api";r=0;t=57'), RateLimited, "57 s"),
    ("no such page", hub(404, "<!doctype html>"), NotFound, "mirror"),
    ("bad expand", hub(400, {"error": "Invalid expand value"}), BadAnswer, "Invalid expand value"),
    ("conflict", hub(409, {"error": "You already created it", "url": "u"}), BadAnswer, "already"),
    ("busy", hub(503, "<html>"), Unreachable, "503"),
    ("gateway", hub(504), Unreachable, "Try again"),
    ("time-out", hub(408), Unreachable, "Try again"),
    ("5xx for a gated one", hub(500, "x", "GatedRepo"), Unreachable, "500"),
]
UNSUPPORTED = {
    "error": {
        "message": "The requested model 'acme/m' is not supported by any provider you have enabled.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_supported",
    }
}
OLD_HOST = "https://api-inference.huggingface.co/ is no longer supported. Please use https://router.huggingface.co/"
ROUTER_ROWS: list[tuple[str, MoorageError, type[MoorageError], str]] = [
    ("bad token", router(401, {"error": "Invalid username or password."}, key=KEY), AuthFailed, TOKENS),
    (
        "no permission",
        router(403, {"error": "insufficient permissions"}, key=KEY),
        AuthFailed,
        "Make calls to Inference",
    ),
    ("no credits", router(402, {"error": "You have depleted your monthly included credits."}), CreditsGone, BILLING),
    ("not served", router(400, UNSUPPORTED), Unsupported, "inference-providers"),
    ("not found", router(404, {"error": {"message": "m", "code": "model_not_found"}}), NotFound, "acme/m"),
    ("does not exist", router(404, {"error": "Model acme/m does not exist"}), NotFound, "does not exist"),
    ("dropped", router(410, {"error": "deprecated"}), Unsupported, "another model"),
    ("old host", router(410, {"error": OLD_HOST}, own=True), InvalidConfig, "Inference Endpoint"),
    ("rate limit", router(429, retry_after="9"), RateLimited, "9 s"),
    (
        "server",
        router(500, {"error": {"message": "Internal server error", "type": "server_error"}}),
        Unreachable,
        "500",
    ),
    ("FastAPI", router(422, {"detail": [{"msg": "Field required"}]}), Unsupported, "Field required"),
    ("vLLM", router(400, {"object": "error", "message": "Only these"}), Unsupported, "Only these"),
    ("TGI", router(422, {"error": "too long", "error_type": "validation"}, own=True), Unsupported, "too long"),
    ("text", router(422, "Failed to deserialize"), Unsupported, "Failed to deserialize"),
    ("too large", router(413, "<html>"), Unsupported, "length of the chat"),
    ("asleep", router(503, {"error": "scaled to zero"}, own=True), Unreachable, "asleep"),
    ("own, no key", router(401, own=True), AuthFailed, "needs a token"),
    ("own, bad key", router(401, own=True, key=KEY), AuthFailed, "this endpoint"),
    ("own, no money", router(402, own=True), CreditsGone, "endpoint"),
    ("own, forbidden", router(403, own=True), AuthFailed, "what it may do"),
    ("quota", router(500, {"error": {"code": "insufficient_quota"}}), CreditsGone, BILLING),
    ("in the stream", router(500, {"error": {"type": "rate_limit_exceeded"}}), RateLimited, "slow down"),
    ("teapot", router(418), BadAnswer, "418"),
]


@pytest.mark.parametrize(("error", "kind", "word"), [row[1:] for row in HUB_ROWS], ids=[row[0] for row in HUB_ROWS])
def test_refusals_of_the_hub(error: MoorageError, kind: type[MoorageError], word: str) -> None:
    assert type(error) is kind
    assert word in words(error)


@pytest.mark.parametrize(
    ("error", "kind", "word"), [row[1:] for row in ROUTER_ROWS], ids=[row[0] for row in ROUTER_ROWS]
)
def test_refusals_of_the_router(error: MoorageError, kind: type[MoorageError], word: str) -> None:
    assert type(error) is kind
    assert word in words(error)


def test_messages_are_short_sentences() -> None:
    for _, error, _, _ in HUB_ROWS + ROUTER_ROWS:
        assert "!" not in words(error)
        assert "  " not in words(error)
        assert not str(error).rstrip(".").endswith((":", " "))
        assert "<" not in words(error)


def test_where_to_go_is_known() -> None:
    gated = hub(403, code="GatedRepo", key=KEY)
    assert isinstance(gated, Gated)
    assert gated.url == "https://huggingface.co/acme/m"


@pytest.mark.parametrize("path", named("**/error_*.json"), ids=label)
def test_every_recorded_refusal(path: Path) -> None:
    answer = response(path)
    found = Refusal(answer["status"], answer["headers"], body_of(answer))
    assert 0 < len(found.said) <= LONGEST + 1
    expected = {400: Unsupported, 401: AuthFailed, 404: NotFound, 422: Unsupported}.get(answer["status"])
    if expected is not None:
        assert type(router_error(found, model="acme/m", own=False)) is expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "a"}, "a"),
        ({"error": ["a", "b"]}, "a; b"),
        ({"errors": [{"message": "a"}]}, "a"),
        ({"error": {"message": "a", "code": 3}}, "a"),
        ({"detail": [{"loc": ["body"], "msg": "a"}]}, "a"),
        ({"object": "error", "message": "a"}, "a"),
        ("a\n  b", "a b"),
        ("<html><h1>Bad gateway", ""),
        ("", ""),
        ([], ""),
        ("null", ""),
        ("x" * 9000, "x" * LONGEST + "…"),
    ],
)
def test_what_was_said(body: Any, said: str) -> None:
    assert refusal(500, body).said == said


def test_the_header_comes_first() -> None:
    assert refusal(500, {"error": "b"}, x_error_message="a").said == "a"


def test_no_message_repeats_a_key() -> None:
    own = SecretStr("sk-very-own-key")
    for error in (
        router(400, {"error": f"Bad key {own.get_secret_value()} sent"}, key=own, own=True),
        router(403, {"error": "token hf_zzzzzzzzzz may not"}, key=KEY),
        hub(403, {"error": f"denied: {KEY.get_secret_value()}"}, key=KEY),
        hub(400, "Authorization: Bearer abc.def was odd"),
    ):
        for secret in ("sk-very", "hf_", "abc.def"):
            assert secret not in words(error).replace("HF_TOKEN", "")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit": '"api";r=0;t=189', "retry-after": "5"}, 189.0),
        ({"ratelimit": '"api";r=489;t=189', "retry-after": "5"}, 5.0),
        ({"ratelimit": '"api";r=489;t=189'}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({}, None),
    ],
)
def test_the_time_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    found = Refusal(429, headers, b"")
    assert found.wait == seconds
    error = hub_error(found, "acme/m")
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_date_to_wait_for() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    wait = Refusal(429, {"retry-after": later}, b"").wait
    assert wait is not None
    assert 90 < wait <= 100
