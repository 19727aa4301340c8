"""Pictures are attributes only, say in words what they show, and are left out where nothing is known."""

from __future__ import annotations

from moorage_web.render import disk_bar, fit_bar, hours_strip, sparkline


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


def test_a_window_past_midnight_has_two_parts() -> None:
    assert hours_strip("23:00", "06:00", "Window").count('class="on"') == 2
    assert 'x="60" width="300"' in hours_strip("01:00", "06:00", "Window")
    assert 'width="1440"' in hours_strip("06:00", "06:00", "Window")
