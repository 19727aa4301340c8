"""Pictures are attributes only, say in words what they show, and are left out where nothing is known."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from moorage_web.pages.night import night_of
from moorage_web.render import Span, disk_bar, fit_bar, night_strip, parts_bar, sparkline
from tests.web import samples


def test_a_fit_bar_shows_what_is_needed() -> None:
    assert 'class="used" x="0" width="50.0"' in fit_bar(4, 8, "Fits")
    assert 'class="tight"' in fit_bar(7, 8, "Tight")
    over = fit_bar(16, 8, "Too big")
    assert 'class="over" x="0" width="100"' in over
    assert 'x1="50.0"' in over
    assert fit_bar(None, 8, "") == fit_bar(4, None, "") == ""


def test_labels_are_escaped() -> None:
    assert '"><script>' not in fit_bar(1, 2, '"><script>')


def test_a_disk_bar_is_used_against_all() -> None:
    assert 'width="25.0"' in disk_bar(25, 75, "Disk")
    assert disk_bar(1, None, "Disk") == disk_bar(0, 0, "Disk") == ""


def test_a_sparkline_is_scaled_to_its_highest() -> None:
    assert 'points="0.0,19.0 40.0,10.0 80.0,1.0"' in sparkline([0, 5, 10], "Speed")
    assert "NaN" not in sparkline([0, 0], "Speed")
    assert sparkline([1], "Speed") == ""


def test_parts_of_a_disk_stand_one_after_another() -> None:
    bar = parts_bar([(25, "used"), (50, "files")], 100, "Disk")
    assert 'class="used" x="0.0" width="25.0"' in bar
    assert 'class="files" x="25.0" width="50.0"' in bar
    assert parts_bar([(0, "used")], 0, "Disk") == ""


def test_the_night_stands_in_one_piece() -> None:
    assert 'x="660" y="8" width="420"' in night_strip([Span("23:00", "06:00")], None, "Night")
    noon = night_strip([Span("11:00", "13:00")], None, "Noon")
    assert 'x="0" y="8" width="60"' in noon
    assert 'x="1380" y="8" width="60"' in noon
    assert 'width="1440"' in night_strip([Span("06:00", "06:00")], None, "All day").partition("track")[2]


def test_windows_lie_over_quiet_hours_in_lanes_of_their_own() -> None:
    spans = [Span("22:00", "07:00", "quiet"), Span("23:00", "06:00"), Span("01:00", "03:00")]
    strip = night_strip(spans, "21:30", "Quiet hours 22:00 to 07:00")
    assert 'class="quiet" x="600" y="0" width="540" height="48"' in strip
    assert strip.count('class="window"') == 2
    assert 'x="660" y="4" width="420" height="16"' in strip
    assert 'x="780" y="28" width="120" height="16"' in strip
    assert 'class="now" x1="570" x2="570"' in strip
    assert 'aria-label="Quiet hours 22:00 to 07:00"' in strip


def test_a_window_of_another_zone_is_drawn_where_the_person_lives() -> None:
    night = night_of(samples.INSTALLS, samples.QUIET, ZoneInfo("Europe/Berlin"), samples.NOW)
    assert night is not None
    assert night.now == "22:30"
    quiet, first, second = night.parts
    assert (quiet.kind, first.kind, first.zone, first.count) == ("quiet", "window", None, 1)
    assert (second.start, second.zone) == ("20:00", "America/New_York")
    assert second.span == Span("02:00", "07:30")
    assert night_of(samples.INSTALLS[:1], samples.QUIET, ZoneInfo("UTC"), samples.NOW) is None
