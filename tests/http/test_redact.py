from __future__ import annotations

import io
import logging

import pytest

from moorage.http import RedactingFilter, redact


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token hf_abcdefGHIJKL123 used", "token hf_… used"),
        ("key=sk-proj-abc_DEF-123", "key=sk-…"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic …"),
        ("{'x-api-key': 'abc123'}", "{'x-api-key': '…'}"),
        ("[(b'X-Goog-Api-Key', b'abc123')]", "[(b'X-Goog-Api-Key', b'…')]"),
        ("Cookie: a=b; c=d", "Cookie: …"),
        ("GET https://cdn.example/f?Expires=1&Signature=abc 200", "GET https://cdn.example/f?… 200"),
        ("proxy http://me:pass@proxy:3128/", "proxy http://…@proxy:3128/"),
        ("GET /api/models 200", "GET /api/models 200"),
        ("a task-list and a half_measure", "a task-list and a half_measure"),
    ],
)
def test_what_looks_like_a_secret_is_left_out(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_known_values_are_left_out_and_short_ones_do_not_eat_words() -> None:
    assert redact("open sesame, and open sesame street", ("sesame street", "open sesame", "a")) == "…, and open …"


@pytest.mark.parametrize(
    "text",
    [
        "POST https://chat.example/hooks/T0/abcdef 204",
        "POST https://chat.example:443/hooks/T0/abcdef 204",
        "POST chat.example /hooks/T0/abcdef?thread=7",
    ],
)
def test_an_address_that_is_a_secret_is_hidden_however_it_is_written(text: str) -> None:
    assert "abcdef" not in redact(text, ("https://chat.example/hooks/T0/abcdef?thread=7",))
    assert redact("see chat.example/help", ("https://chat.example/",)) == "see chat.example/help", "no path, no secret"


def test_the_filter_cleans_messages_arguments_and_traces() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter(lambda: ["canary-value"]))
    log = logging.getLogger("moorage.test_redact")
    log.propagate = False
    log.addHandler(handler)
    try:
        log.warning("sent %s to %s", "canary-value", "https://a.example/x?sig=1")
        try:
            raise ValueError("rejected canary-value and hf_abcdefGHIJKL123")
        except ValueError:
            log.exception("it failed")
    finally:
        log.removeHandler(handler)
    text = out.getvalue()
    assert "sent … to https://a.example/x?…" in text
    assert "ValueError: rejected … and hf_…" in text
    assert "canary" not in text
