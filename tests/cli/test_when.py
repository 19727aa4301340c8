"""The times of a command, as the API takes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import click
import pytest

from moorage.cli.when import when_of

EAST = timezone(timedelta(hours=2))
NOW = datetime(2026, 5, 21, 20, 0, tzinfo=EAST)


@pytest.mark.parametrize(
    ("given", "when"),
    [
        ({}, None),
        ({"at": "01:00"}, "2026-05-22T01:00:00+02:00"),
        ({"at": "20:01"}, "2026-05-21T20:01:00+02:00"),
        ({"at": "20:00"}, "2026-05-22T20:00:00+02:00"),
        ({"at": "2026-06-01T01:00:00Z"}, "2026-06-01T01:00:00Z"),
        ({"window": "01:00-06:00"}, {"window": {"from": "01:00", "to": "06:00"}}),
        (
            {"window": "22:30 to 05:00", "days": "Fri, sat", "time_zone": "Europe/Berlin"},
            {"window": {"from": "22:30", "to": "05:00", "days": ["fri", "sat"], "timeZone": "Europe/Berlin"}},
        ),
        ({"on_update": "tell"}, {"onUpdate": "tell"}),
        (
            {"on_update": "install", "window": "01:00-06:00"},
            {"onUpdate": "install", "window": {"from": "01:00", "to": "06:00"}},
        ),
    ],
)
def test_what_is_meant(given: dict[str, str], when: Any) -> None:
    assert when_of(**given, now=NOW) == when


@pytest.mark.parametrize(
    "given",
    [
        {"at": "01:00", "window": "01:00-06:00"},
        {"at": "01:00", "on_update": "tell"},
        {"days": "mon"},
        {"time_zone": "UTC"},
        {"window": "at night"},
        {"at": "tomorrow"},
        {"window": "01:00-06:00", "days": "mon,someday"},
    ],
)
def test_what_does_not_go_together(given: dict[str, str]) -> None:
    with pytest.raises(click.UsageError):
        when_of(**given, now=NOW)
