"""Short on the page, exact in the title."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from moorage_web import formats

NOW = datetime(2026, 11, 24, 21, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "—"), (0, "0"), (950, "950"), (999, "999"), (1000, "1 k"), (12_345, "12.3 k"), (999_960, "1 M"),
     (1_204_512, "1.2 M"), (345_678_901, "346 M")],
)  # fmt: skip
def test_counts(number: int | None, text: str) -> None:
    assert formats.compact(number) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "—"), (0, "0 B"), (999, "999 B"), (4_100_000_000, "4.1 GB"), (999_999_999, "1 GB"), (2_000_000, "2 MB")],
)
def test_sizes(amount: int | None, text: str) -> None:
    assert formats.size(amount) == text


def test_speeds_and_parameters_and_context() -> None:
    assert formats.speed(24_500_000) == "24.5 MB/s"
    assert [formats.parameters(n) for n in (135_000_000, 1_700_000_000, 70_600_000_000)] == ["135M", "1.7B", "70.6B"]
    assert [formats.context(n) for n in (131_072, 40_960, 5000, None)] == ["128K", "40K", "5,000", "—"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "—"), (0.44, "0.4 s"), (3, "3 s"), (9.96, "10 s"), (59.4, "59 s"), (59.7, "1 min"),
     (719, "12 min"), (3599, "1 h"),
     (12_000, "3 h 20 min"), (7200, "2 h"), (86400 * 3, "3 days")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(seconds=10), "just now"),
        (timedelta(minutes=3, seconds=20), "3 min ago"),
        (timedelta(hours=3, minutes=12), "3 h ago"),
        (timedelta(days=5), "5 days ago"),
        (timedelta(hours=-2), "in 2 h"),
        (timedelta(days=400), "20 Oct 2025"),
    ],
)
def test_relative_times(distance: timedelta, text: str) -> None:
    assert formats.ago(NOW - distance, NOW) == text


def test_the_exact_time_is_in_the_persons_zone() -> None:
    html = formats.time_markup(NOW - timedelta(hours=1), NOW, ZoneInfo("Europe/Berlin"))
    assert html == ('<time datetime="2026-11-24T20:30:00+00:00" title="24 Nov 2026, 21:30:00 CET">1 h ago</time>')


@pytest.mark.parametrize("moment", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_the_last_and_the_first_moment_can_be_shown_everywhere(moment: datetime, zone: str) -> None:
    """The one is in the year 10000 in Berlin, the other in the year 0 in New York."""
    html = formats.time_markup(moment, NOW, ZoneInfo(zone))
    assert str(moment.year) in html
    assert formats.clock(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), ZoneInfo("Europe/Berlin")) == (
        "31 Dec 9999, 23:59:59 UTC"
    )


def test_exact_values_are_in_titles() -> None:
    assert formats.count_markup(1_204_512) == '<span title="1,204,512">1.2 M</span>'
    assert formats.size_markup(4_100_000_000) == '<span title="4,100,000,000 bytes">4.1 GB</span>'
    assert formats.percent(999, 1000) == "99 %"
    assert formats.plural(1, "file") == "1 file"
    assert formats.plural(2, "install needs", "installs need") == "2 installs need"


def test_query_urls_change_and_drop() -> None:
    args = {"q": "a b", "format": "gguf", "cursor": "x"}
    assert formats.query_url("/models", args, cursor=None, open="s:a/b") == "/models?q=a+b&format=gguf&open=s%3Aa%2Fb"
    assert formats.query_url("/models", {"q": "a"}, q=None) == "/models"


def test_what_stands_between_backticks_is_code() -> None:
    assert formats.coded("Run `make demo` <now>.") == "Run <code>make demo</code> &lt;now&gt;."
    assert formats.coded("A lone ` stays.") == "A lone ` stays."
    assert formats.coded(None) == ""
