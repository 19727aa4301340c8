"""What the headers of an answer say of rate limits. Pure.

Source: https://huggingface.co/docs/hub/rate-limits; huggingface_hub `parse_ratelimit_headers`; RFC 9110, 10.2.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 3600.0  # seconds; no window of the Hub is longer than five minutes
_RATE = re.compile(r'"([\w-]+)"\s*;\s*r\s*=\s*(\d{1,9})\s*;\s*t\s*=\s*(\d{1,9})', re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_POLICY = re.compile(r'"([\w-]+)"\s*;\s*q\s*=\s*(\d{1,9})\s*(?:;\s*w\s*=\s*(\d{1,9}))?', re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """One bucket: `remaining` requests of `limit` in `window` seconds, anew in `resets_in` seconds."""

    bucket: str
    remaining: int
    resets_in: float
    limit: int | None = None
    window: float | None = None


def rates(headers: Mapping[str, str]) -> tuple[Rate, ...]:
    """`RateLimit: "api";r=489;t=189` with `RateLimit-Policy: "fixed window";"api";q=500;w=300`."""
    policies = {
        name: (int(quota), float(window) if window else None)
        for name, quota, window in _POLICY.findall(headers.get("ratelimit-policy", ""))
    }
    return tuple(
        Rate(name, int(left), min(float(seconds), LONGEST_WAIT), *policies.get(name, (None, None)))
        for name, left, seconds in _RATE.findall(headers.get("ratelimit", ""))
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or a date."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        left = (until - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError, TypeError, IndexError):  # anything may stand there
        return None
    return min(max(0.0, left), LONGEST_WAIT)


def used_up(headers: Mapping[str, str]) -> Rate | None:
    """The bucket that is empty: with any left, a 429 means some other limit."""
    return next((rate for rate in rates(headers) if rate.remaining == 0), None)
