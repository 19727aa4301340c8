"""Hours that come again: nights, days of the week, and the two nights on which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.schedule import span_at

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("begin", "end", "moment", "inside", "changes"),
    [
        ("08:00", "18:00", "2026-03-10T07:59", False, "2026-03-10T08:00"),
        ("08:00", "18:00", "2026-03-10T08:00", True, "2026-03-10T18:00"),
        ("08:00", "18:00", "2026-03-10T18:00", False, "2026-03-11T08:00"),
        ("22:00", "06:00", "2026-03-10T23:30", True, "2026-03-11T06:00"),
        ("22:00", "06:00", "2026-03-10T05:59", True, "2026-03-10T06:00"),
        ("22:00", "06:00", "2026-03-10T12:00", False, "2026-03-10T22:00"),
        ("22:00", "06:00", "2026-03-28T22:00", True, "2026-03-29T06:00"),
        ("22:00", "06:00", "2026-10-24T22:00", True, "2026-10-25T06:00"),
        ("05:00", "05:00", "2026-03-10T12:00", True, "2026-03-11T05:00"),
    ],
)
def test_when_it_changes(begin: str, end: str, moment: str, inside: bool, changes: str) -> None:
    span = span_at(begin, end, BERLIN, at(moment))
    assert (span.inside, span.changes_at) == (inside, at(changes))


@pytest.mark.parametrize(
    ("night", "begin", "end", "hours"),
    [
        ("2026-06-01", "22:00", "06:00", 8),
        ("2026-03-28", "22:00", "06:00", 7),  # the clocks go forward
        ("2026-10-24", "22:00", "06:00", 9),  # and back
        ("2026-03-29", "01:00", "04:00", 2),
        ("2026-10-25", "01:00", "04:00", 4),
        ("2026-10-25", "02:30", "06:00", 4.5),  # 02:30 comes twice: from the first
        ("2026-10-25", "01:00", "02:30", 1.5),  # and to the first
        ("2026-03-29", "02:30", "06:00", 2.5),  # there is no 02:30: as long after midnight as it would be
    ],
)
def test_a_night_has_its_true_length(night: str, begin: str, end: str, hours: float) -> None:
    before = at(f"{night}T00:00") if begin < "12:00" else at(f"{night}T12:00")
    opens = span_at(begin, end, BERLIN, before)
    assert not opens.inside
    closes = span_at(begin, end, BERLIN, opens.changes_at)
    assert closes.inside
    assert closes.changes_at - opens.changes_at == timedelta(hours=hours)


def test_an_hour_that_comes_twice_opens_once() -> None:
    first = at("2026-10-25T02:15")
    assert span_at("02:00", "02:30", BERLIN, first).inside
    second = at("2026-10-25T02:15", fold=1)
    assert second - first == timedelta(hours=1)
    assert not span_at("02:00", "02:30", BERLIN, second).inside


def test_hours_that_the_clocks_skip_do_not_come_that_night() -> None:
    span = span_at("02:00", "03:00", BERLIN, at("2026-03-29T00:00"))
    assert (span.inside, span.changes_at) == (False, at("2026-03-30T02:00"))


@pytest.mark.parametrize(
    ("moment", "inside", "changes"),
    [
        ("2026-03-10T12:00", False, "2026-03-13T23:00"),  # a Tuesday; the next Friday
        ("2026-03-13T23:30", True, "2026-03-14T05:00"),
        ("2026-03-14T04:00", True, "2026-03-14T05:00"),  # Saturday morning belongs to Friday night
        ("2026-03-14T23:30", False, "2026-03-20T23:00"),
        ("2026-03-13T04:00", False, "2026-03-13T23:00"),  # Friday morning belongs to Thursday night
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment: str, inside: bool, changes: str) -> None:
    span = span_at("23:00", "05:00", BERLIN, at(moment), ("fri",))
    assert (span.inside, span.changes_at) == (inside, at(changes))


TIMES = st.times().map(lambda value: f"{value:%H:%M}")
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda value: value.replace(tzinfo=UTC))  # noqa: DTZ001


@given(TIMES, TIMES, st.sampled_from(ZONES), MOMENTS)
def test_it_always_goes_on(begin: str, end: str, zone: str, moment: datetime) -> None:
    """Each change lies ahead, is a change in truth, and comes within two days."""
    where = ZoneInfo(zone)
    span = span_at(begin, end, where, moment)
    assert moment < span.changes_at <= moment + timedelta(days=2, hours=2)
    after = span_at(begin, end, where, span.changes_at)
    if begin != end:
        assert after.inside is not span.inside
    if span.inside:
        assert span_at(begin, end, where, span.changes_at - timedelta(microseconds=1)).inside
