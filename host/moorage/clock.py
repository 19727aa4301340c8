"""Time and ids, injected wherever they are used so that tests can set them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""The current time, aware and in UTC."""

NewId = Callable[[str], str]
"""A new id with this prefix, such as `agent` for `agent-4f1c09a2b7d3`."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_id(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(6)}"
