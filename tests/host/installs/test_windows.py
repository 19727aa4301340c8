"""Nights that pass in no time: windows, both clock changes, a machine that was off or asleep, and newer revisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moorage.host import Host
from moorage.models import Install, WhenUpdated, WhenWindow, Window
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.host.installs.story import SOURCE, Story, add, until, weights
from tests.schedule.manual import ManualTimer

EVENING = "2026-05-21T18:00:00Z"  # 20:00 in Berlin
NIGHT = ("2026-05-21T23:00:00Z", "2026-05-22T04:00:00Z")  # 01:00 to 06:00 there

MakeTravelled = Callable[..., tuple[Host, ManualTimer]]


@pytest.fixture
def begin(make_host: MakeHost, hub: FakeHub, tmp_path: Path) -> MakeTravelled:
    """A host at a moment; further ones on the same home are after a restart."""

    def make(now: str | datetime = EVENING) -> tuple[Host, ManualTimer]:
        timer = ManualTimer(now)
        host = make_host(environment={"HF_ENDPOINT": hub.url}, clock=timer.clock, timer=timer)
        return host, timer

    return make


def window(begin: str = "01:00", end: str = "06:00", *days: Any, zone: str = "Europe/Berlin") -> WhenWindow:
    return WhenWindow(window=Window(from_=begin, to=end, days=days, time_zone=zone))


def ask(host: Host, when: Any, model: str = "a/m-GGUF") -> Install:
    return host.installs.request(SOURCE, model, target="builtin", when=when)[0]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def texts(host: Host, id: str) -> str:
    return "\n".join(entry.text for entry in host.installs.timeline(id))


# -- windows ----------------------------------------------------------------------------------------------------------


def test_it_waits_for_its_window_and_is_done_in_it(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, timer = begin()
    install = ask(host, window())
    assert (install.state, install.starts_at) == ("scheduled", at(NIGHT[0]))
    timer.advance(at(NIGHT[0]) - timedelta(seconds=1))
    assert host.installs.get(install.id).state == "scheduled"
    assert not hub.cdn.requests
    timer.advance(timedelta(seconds=1))
    until(lambda: host.installs.get(install.id).state == "installed")


def test_at_its_end_it_rests_and_goes_on_in_the_next(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(8_000_000)})
    hub.cdn.faults.append(Fault(times=1, bytes_per_second=1_000_000))
    host, timer = begin()
    install = ask(host, window())
    timer.advance(NIGHT[0])
    until(lambda: host.installs.get(install.id).completed > 500_000)
    timer.advance(at(NIGHT[1]) - timedelta(seconds=1))
    assert host.installs.get(install.id).state == "running"
    timer.advance(timedelta(seconds=1))
    resting = host.installs.get(install.id)
    assert (resting.state, resting.starts_at) == ("scheduled", at("2026-05-22T23:00:00Z"))
    assert resting.completed > 500_000
    assert resting.reason
    until(lambda: host.installs._dispatcher._runner.at_work("builtin") == 0)
    timer.advance("2026-05-22T23:00:00Z")
    until(lambda: host.installs.get(install.id).state == "installed")
    assert int(hub.cdn.requests[-1].headers["range"].removeprefix("bytes=").rstrip("-")) > 500_000
    assert "Its window has ended" in texts(host, install.id)


def test_one_that_is_queued_when_the_window_ends_waits_for_the_next(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(8_000_000)})
    add(hub, "b/m-GGUF", {"m-Q4_K_M.gguf": weights(8_000_000, 2)})
    hub.cdn.faults.append(Fault(times=None, bytes_per_second=500_000))
    host, timer = begin()
    first, second = ask(host, window()), ask(host, window(), "b/m-GGUF")
    timer.advance(NIGHT[0])
    until(lambda: host.installs.counts() == {"running": 1, "queued": 1})
    timer.advance(NIGHT[1])
    assert {host.installs.get(id).state for id in (first.id, second.id)} == {"scheduled"}


def test_asked_for_within_the_window_it_begins_at_once(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, _ = begin("2026-05-22T02:00:00Z")
    install = ask(host, window())
    until(lambda: host.installs.get(install.id).state == "installed")


@pytest.mark.parametrize(
    ("evening", "opens", "closes"),
    [
        ("2026-03-28T20:00:00Z", "2026-03-29T00:00:00Z", "2026-03-29T04:00:00Z"),  # forward: four hours of five
        ("2026-10-24T20:00:00Z", "2026-10-24T23:00:00Z", "2026-10-25T05:00:00Z"),  # back: six hours
    ],
)
def test_on_the_nights_of_the_clock_changes(
    begin: MakeTravelled, hub: FakeHub, evening: str, opens: str, closes: str
) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(20_000_000)})
    hub.cdn.faults.append(Fault(times=None, bytes_per_second=500_000))
    host, timer = begin(evening)
    install = ask(host, window())
    assert install.starts_at == at(opens)
    timer.advance(opens)
    until(lambda: host.installs.get(install.id).state == "running")
    timer.advance(at(closes) - timedelta(seconds=1))
    assert host.installs.get(install.id).state == "running"
    timer.advance(closes)
    assert host.installs.get(install.id).state == "scheduled"


def test_quiet_hours_within_the_window_win(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, timer = begin()
    host.preferences.save({"quietHours": {"from": "00:00", "to": "03:00"}, "timeZone": "Europe/Berlin"})
    install = ask(host, window())
    timer.advance("2026-05-22T00:30:00Z")
    resting = host.installs.get(install.id)
    assert (resting.state, resting.reason) == ("waiting", "quiet hours")
    timer.advance("2026-05-22T01:00:00Z")
    until(lambda: host.installs.get(install.id).state == "installed")


# -- steering ---------------------------------------------------------------------------------------------------------


def test_start_now_does_not_wait_for_the_night(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, timer = begin()
    install = ask(host, window())
    assert host.installs.start(install.id).when == "now"
    until(lambda: host.installs.get(install.id).state == "installed")
    assert install.id not in timer.ids


def test_a_paused_one_does_not_begin_and_a_resumed_one_waits_for_its_window(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, timer = begin()
    install = ask(host, window())
    host.installs.pause(install.id)
    timer.advance("2026-05-22T12:00:00Z")
    assert host.installs.get(install.id).state == "paused"
    resumed = host.installs.resume(install.id)
    assert (resumed.state, resumed.starts_at) == ("scheduled", at("2026-05-22T23:00:00Z"))
    host.installs.cancel(install.id)
    assert host.installs.retry(install.id).state == "scheduled"


def test_a_retry_in_the_night_does_not_go_on_into_the_day(
    begin: MakeTravelled, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lost its line shortly before the end of the window."""
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(times=None, status=503))
    host, timer = begin("2026-05-22T03:59:30Z")
    host.downloader._patience = type(host.downloader._patience)(tries=0, first_pause=0.01)
    monkeypatch.setattr("moorage.installs.run.RETRY_SECONDS", (60.0,))
    install = ask(host, window())
    until(lambda: host.installs.get(install.id).state == "waiting")
    timer.advance(timedelta(minutes=2))
    waiting = host.installs.get(install.id)
    assert (waiting.state, waiting.starts_at) == ("scheduled", at("2026-05-22T23:00:00Z"))


# -- off, and asleep --------------------------------------------------------------------------------------------------


def test_off_over_the_beginning_it_begins_at_the_start(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, _ = begin()
    install = ask(host, window())
    host.close()
    host, _ = begin("2026-05-22T02:30:00Z")
    until(lambda: host.installs.get(install.id).state == "installed")
    assert "came while Moorage was off" in texts(host, install.id)


def test_off_over_the_window_it_says_so_and_waits_for_the_next(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, _ = begin()
    install = ask(host, window())
    host.close()
    host, timer = begin("2026-05-22T09:00:00Z")
    missed = host.installs.get(install.id)
    assert (missed.state, missed.starts_at) == ("scheduled", at("2026-05-22T23:00:00Z"))
    assert missed.reason is not None
    assert "missed" in missed.reason
    assert "missed" in texts(host, install.id)
    timer.advance("2026-05-22T23:00:00Z")
    until(lambda: host.installs.get(install.id).state == "installed")


def test_asleep_over_the_window_is_as_if_off(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, timer = begin()
    install = ask(host, window())
    timer.sleep("2026-05-22T09:00:00Z")
    timer.advance(timedelta(seconds=1))
    missed = host.installs.get(install.id)
    assert (missed.state, missed.starts_at) == ("scheduled", at("2026-05-22T23:00:00Z"))
    assert not hub.cdn.requests


def test_off_over_a_time_it_begins_at_the_start_and_says_so(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host, timer = begin()
    install = ask(host, timer.now + timedelta(hours=5))
    host.close()
    host, _ = begin("2026-05-25T09:00:00Z")
    until(lambda: host.installs.get(install.id).state == "installed")
    assert "came while Moorage was off" in texts(host, install.id)


def test_killed_within_the_window_and_started_after_it_rests(begin: MakeTravelled, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(8_000_000)})
    hub.cdn.faults.append(Fault(times=1, bytes_per_second=500_000))
    host, timer = begin()
    install = ask(host, window())
    timer.advance(NIGHT[0])
    until(lambda: host.installs.get(install.id).state == "running")
    host.close()
    hub.cdn.faults.clear()
    host, timer = begin("2026-05-22T09:00:00Z")
    assert host.installs.get(install.id).state == "scheduled"
    timer.advance("2026-05-22T23:00:00Z")
    until(lambda: host.installs.get(install.id).state == "installed")


def test_each_time_counts_once(begin: MakeTravelled, hub: FakeHub) -> None:
    """Sixty that are asked for, minute by minute: sixty times it fires, and one record each."""
    host, timer = begin()
    asked = []
    for number in range(60):
        add(hub, f"a/m{number}-GGUF", {"m-Q4_K_M.gguf": weights(10_000, seed=number)})
        asked.append(ask(host, timer.now + timedelta(minutes=number + 1), f"a/m{number}-GGUF").id)
    story = Story(host)
    timer.advance(timedelta(minutes=61))
    until(lambda: host.installs.counts() == {"installed": 60}, 60)
    story.until(lambda event: event.type == "install.installed" and host.installs.counts()["installed"] == 60)
    fired = [event.about for event in host.events.subscribe(after=0)._events.queue if event.type == "schedule.fired"]
    assert sorted(fired) == sorted(asked)
    assert all(host.installs.get(id).attempt == 1 for id in asked)


def test_a_disk_that_has_room_again_lets_it_go_on(begin: MakeTravelled, hub: FakeHub) -> None:
    """Nobody clicks: it looks by itself now and then."""
    add(hub, "a/m-GGUF")
    host, timer = begin()
    story = Story(host)
    free = [10**12]
    host.downloader._free = lambda path: free[0]
    install = ask(host, timer.now + timedelta(hours=1))
    free[0] = 10
    timer.advance(timedelta(hours=1))
    waiting = story.ended(install.id)
    assert (waiting.state, waiting.reason) == ("waiting", "disk")
    for _ in range(3):
        timer.advance(timedelta(minutes=2))
        assert host.installs.get(install.id).state == "waiting"
    free[0] = 10**12
    timer.advance(timedelta(minutes=2))
    assert story.ended(install.id).state == "installed"


def test_one_that_waits_for_its_next_try_can_be_moved_and_tries_all_the_same(
    begin: MakeTravelled, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(hub, "a/m-GGUF")
    broken = Fault(times=None, status=503)
    hub.cdn.faults.append(broken)
    host, timer = begin()
    host.downloader._patience = type(host.downloader._patience)(tries=0, first_pause=0.01)
    install = ask(host, "now")
    until(lambda: host.installs.get(install.id).state == "waiting")
    until(lambda: timer.due(install.id) is not None)
    host.installs.move(install.id)
    hub.cdn.faults.clear()
    timer.advance(timedelta(minutes=1))
    until(lambda: host.installs.get(install.id).state == "installed")


# -- newer revisions --------------------------------------------------------------------------------------------------


def installed(host: Host, hub: FakeHub) -> Install:
    add(hub, "a/m-GGUF")
    install = ask(host, "now")
    until(lambda: host.installs.get(install.id).state == "installed")
    return host.installs.get(install.id)


def newer(host: Host, hub: FakeHub, files: dict[str, Any]) -> None:
    hub.repos["a/m-GGUF"].push(files)
    host.search.forget()


def test_a_newer_revision_is_told_once(begin: MakeTravelled, hub: FakeHub) -> None:
    host, timer = begin()
    install = installed(host, hub)
    story = Story(host)
    ask(host, WhenUpdated(on_update="tell"))
    timer.advance(timedelta(days=2))
    newer(host, hub, {"m-Q4_K_M.gguf": weights(2_000_000, seed=2)})
    timer.advance(timedelta(days=1))
    told = story.until(lambda event: event.type == "install.updated")
    assert (told.about, told.data["rule"]) == (install.id, "tell")
    found = host.installs.get(install.id)
    assert found.update is not None
    assert found.update.revision == told.data["revision"] != install.revision
    assert len(host.installs.list().items) == 1, "it is told, and nothing more"
    assert "newer revision" in texts(host, install.id)


def test_one_that_nobody_watches_shows_its_newer_revision_too(begin: MakeTravelled, hub: FakeHub) -> None:
    host, timer = begin()
    install = installed(host, hub)
    story = Story(host)
    newer(host, hub, {"m-Q4_K_M.gguf": weights(2_000_000, seed=2)})
    timer.advance(timedelta(days=1, seconds=1))
    until(lambda: host.installs.get(install.id).update is not None)
    assert [news.kind for news in host.saved_searches.news(limit=10).items] == ["revision"]
    assert host.installs.get(install.id).when == "now"
    assert not [event for event in story.events if event.type == "install.updated"], "nobody asked to be told"
    host.local.remove("builtin", host.installs.get(install.id).model_name or "")
    assert host.installs.get(install.id).update is None
    assert host.saved_searches.news(limit=10).items == ()


def test_a_commit_that_is_about_something_else_is_none(begin: MakeTravelled, hub: FakeHub) -> None:
    host, timer = begin()
    install = installed(host, hub)
    host.installs.on_update(install.id, WhenUpdated(on_update="install"))
    newer(host, hub, {"m-Q4_K_M.gguf": weights(3_000_000), "README.md": b"better words"})
    timer.advance(timedelta(days=1, seconds=1))
    until(lambda: host.installs.get(install.id).revision != install.revision)
    assert host.installs.get(install.id).update is None
    assert len(host.installs.list().items) == 1


def test_a_newer_revision_is_installed_in_the_window_and_watched_on(begin: MakeTravelled, hub: FakeHub) -> None:
    host, timer = begin()
    install = installed(host, hub)
    rule = WhenUpdated(on_update="install", window=window().window)
    ask(host, rule)
    newer(host, hub, {"m-Q4_K_M.gguf": weights(2_000_000, seed=2)})
    timer.advance(timedelta(days=1))
    until(lambda: len(host.installs.list().items) == 2)
    fresh = host.installs.list().items[0]
    until(lambda: fresh.id in timer.ids)
    assert (fresh.state, fresh.asked_by, fresh.starts_at) == ("scheduled", "schedule", at("2026-05-22T23:00:00Z"))
    timer.advance("2026-05-22T23:00:00Z")
    until(lambda: host.installs.get(fresh.id).state == "installed")
    until(lambda: host.installs.get(fresh.id).when == rule)
    until(lambda: host.installs.get(install.id).update is None)
    assert [model.size for model in host.local.target("builtin").models] == [fresh.total]
    timer.advance(timedelta(days=3))
    assert len(host.installs.list().items) == 2, "it is the newest now"


def test_a_source_that_is_away_is_asked_the_next_day(begin: MakeTravelled, hub: FakeHub) -> None:
    host, timer = begin()
    install = installed(host, hub)
    host.installs.on_update(install.id, WhenUpdated(on_update="tell"))
    newer(host, hub, {"m-Q4_K_M.gguf": weights(2_000_000, seed=2)})
    broken = Fault(r".*/api/models/.*", times=None, status=500)
    hub.faults.append(broken)
    asked = len(hub.requests)
    timer.advance(timedelta(days=1, seconds=1))
    until(lambda: len(hub.requests) > asked)
    hub.faults.remove(broken)
    assert host.installs.get(install.id).update is None
    timer.advance(timedelta(days=1))
    until(lambda: host.installs.get(install.id).update is not None)


def test_it_is_watched_after_a_restart_too_and_not_more_often(begin: MakeTravelled, hub: FakeHub) -> None:
    host, timer = begin()
    install = installed(host, hub)
    host.installs.on_update(install.id, WhenUpdated(on_update="tell"))
    timer.advance(timedelta(hours=20))
    host.close()
    newer(host, hub, {"m-Q4_K_M.gguf": weights(2_000_000, seed=2)})
    host, timer = begin(timer.now + timedelta(hours=1))
    assert timer.due("updates") == timer.now + timedelta(hours=3)
    timer.advance(timedelta(hours=3))
    until(lambda: host.installs.get(install.id).update is not None)
    host.installs.on_update(install.id, None)
    assert host.installs.get(install.id).when == "now"
