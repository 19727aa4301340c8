"""What is shown and promised holds: room on the disk, progress, notes, the road, and questions that are asked twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from moorage.errors import Conflict
from moorage.host import Host
from moorage.installs import planner
from moorage.models import InstallProgress, WhenUpdated
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama
from tests.host.installs.story import SOURCE, Story, add, ask, slow, until, weights
from tests.host.installs.test_windows import NIGHT, MakeTravelled, begin, window

__all__ = ["begin"]
RESERVE = 10**9  # bytes that stay free


@pytest.fixture
def ollama(hub: FakeHub) -> Iterator[FakeOllama]:
    with FakeOllama(registry=hub) as running:
        yield running


class Disk:
    """A disk with as much room as a test says."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 10**13
        monkeypatch.setattr(planner, "free_disk", lambda path: self.free)
        host.downloader._free = lambda path: self.free


# -- room on the disk -------------------------------------------------------------------------------------------------


def test_two_that_wait_for_room_do_not_wait_for_one_another(
    begin: MakeTravelled, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, timer = begin()
    disk = Disk(host, monkeypatch)
    for number, name in enumerate("ab"):
        add(hub, f"{name}/m-GGUF", {"m-Q4_K_M.gguf": weights(3_000_000, number)})
    first, second = (ask(host, f"{name}/m-GGUF", when=window()) for name in "ab")
    disk.free = RESERVE + 4_000_000  # enough for one
    timer.advance(NIGHT[0])
    until(lambda: host.installs.get(first.id).state == "installed")
    until(lambda: host.installs.get(second.id).state in ("installed", "waiting"))


def test_one_that_waits_for_room_knows_what_is_here_and_does_not_try_for_nothing(
    begin: MakeTravelled, hub: FakeHub, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import into a server on this machine takes the space twice: room for once is not enough."""
    host, timer = begin()
    disk = Disk(host, monkeypatch)
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(3_000_000)})
    target = host.providers.create("Here", "ollama", {"endpoint": ollama.url}).id
    install, _ = host.installs.request(SOURCE, "a/m-GGUF", target=target, when=window(), road="import")
    disk.free = RESERVE + 4_000_000
    timer.advance(NIGHT[0])
    until(lambda: host.installs.get(install.id).state == "waiting")
    for _ in range(5):
        timer.advance(timedelta(seconds=80))
        assert host.installs.get(install.id).state == "waiting"
    assert host.installs.get(install.id).attempt == 1
    disk.free = RESERVE + 7_000_000
    timer.advance(timedelta(seconds=80))
    until(lambda: host.installs.get(install.id).state == "installed")


def test_what_is_kept_is_not_forgotten_while_it_waits_for_room(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(host, monkeypatch)
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF")
    story.downloading(install.id, 1_000_000)
    host.installs.pause(install.id)
    kept = host.installs.get(install.id).completed
    disk.free = 1000
    host.installs.resume(install.id)
    waiting = story.ended(install.id)
    assert (waiting.state, waiting.reason) == ("waiting", "disk")
    assert waiting.completed >= kept > 0


# -- what is shown ----------------------------------------------------------------------------------------------------


class Steps:
    """A plugin's stream that jumps from one phase to another and back."""

    def __init__(self, number: int) -> None:
        self.left = number

    def take(self, timeout: float | None = None) -> list[InstallProgress] | None:
        self.left -= 1
        if self.left < 0:
            return None
        return [InstallProgress(phase="verifying" if self.left % 2 else "downloading", completed=1, total=200)]

    def close(self) -> None: ...

    def join(self, timeout: float) -> None: ...


def test_phases_too_are_told_at_most_four_times_a_second(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(hub, "a/m-GGUF")
    monkeypatch.setattr(host.plugins, "install_model", lambda *_: Steps(500))
    install = ask(host, "a/m-GGUF")
    done = story.ended(install.id)
    told = [event for event in story.events if event.type == "install.progressed"]
    assert done.finished_at is not None
    assert done.started_at is not None
    assert len(told) <= 4 * (done.finished_at - done.started_at).total_seconds() + 4
    assert len(host.installs.timeline(install.id)) < 40


def test_a_pause_shows_no_less_than_was_shown(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(20_000_000)})
    slow(hub)
    install = ask(host, "a/m-GGUF")
    story.downloading(install.id, 1_000_000)
    for _ in range(5):
        before = host.installs.get(install.id).completed
        paused = host.installs.pause(install.id)
        assert paused.completed >= before
        host.installs.resume(install.id)
        until(lambda: host.installs.get(install.id).completed > 0)
    host.installs.cancel(install.id)


def test_what_was_said_in_passing_is_not_said_for_ever(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    hub.cdn.faults.insert(0, Fault(end_after=1_000_000))
    done = story.ended(ask(host, "a/m-GGUF").id)
    assert done.state == "installed"
    assert "Trying again" not in (done.note or "")


def test_bytes_that_are_thrown_away_are_a_new_attempt(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Damaged(Steps):
        def take(self, timeout: float | None = None) -> list[InstallProgress] | None:
            self.left -= 1
            steps = (
                InstallProgress(phase="downloading", completed=200, total=200),
                InstallProgress(
                    phase="verifying", completed=0, total=200, message="It was damaged on the way.", again=True
                ),
                InstallProgress(phase="downloading", completed=50, total=200),
            )
            return [steps[2 - self.left]] if self.left >= 0 else None

    add(hub, "a/m-GGUF")
    monkeypatch.setattr(host.plugins, "install_model", lambda *_: Damaged(3))
    done = story.ended(ask(host, "a/m-GGUF").id)
    assert (done.state, done.attempt) == ("installed", 2)
    assert "damaged on the way" in "".join(entry.text for entry in host.installs.timeline(done.id))


# -- the road, and questions that are asked twice ---------------------------------------------------------------------


def test_the_road_is_chosen_again_when_it_starts(
    begin: MakeTravelled, hub: FakeHub, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage_ollama.road.HUB_HOSTS", ("127.0.0.1",))  # else this Hub is a mirror
    host, timer = begin()
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(10_000)})
    target = host.providers.create("Here", "ollama", {"endpoint": ollama.url}).id
    install, _ = host.installs.request(SOURCE, "a/m-GGUF", target=target, when=window())
    assert install.road == "pull"
    host.preferences.save({"bandwidthLimit": 1_000_000})
    timer.advance(NIGHT[0])
    until(lambda: host.installs.get(install.id).state == "installed")
    done = host.installs.get(install.id)
    assert done.road == "import"
    assert "You asked" not in (done.road_reason or "")


def test_the_same_question_needs_nobody_to_answer_it(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF", file="m-Q4_K_M.gguf")
    story.downloading(install.id)
    host.search.forget()
    broken = Fault(r".*/api/models/.*", times=None, status=503)
    hub.faults.append(broken)
    again, new = host.installs.request(SOURCE, "a/m-GGUF", file="m-Q4_K_M.gguf", target="builtin")
    assert (again.id, new) == (install.id, False)
    hub.faults.remove(broken)


def test_what_is_being_cleaned_up_stays_until_it_is_gone(
    begin: MakeTravelled, hub: FakeHub, ollama: FakeOllama
) -> None:
    """The server is away at the moment of the cancel."""
    host, timer = begin()
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(10_000)})
    ollama.chats.manner.first_silence = 30.0
    target = host.providers.create("Away", "ollama", {"endpoint": ollama.url}).id
    install, _ = host.installs.request(SOURCE, "a/m-GGUF", target=target)
    until(lambda: host.installs.get(install.id).phase == "proving")
    away = Fault("/api/delete", times=None, status=503)
    ollama.faults.append(away)
    host.installs.cancel(install.id)
    until(lambda: timer.due(f"clean:{install.id}") is not None)
    with pytest.raises(Conflict):
        host.installs.remove(install.id)
    ollama.faults.remove(away)
    timer.advance(timedelta(minutes=10))
    until(lambda: not host.installs.get(install.id).cleaning_up)
    assert ollama.store.models == {}
    host.installs.remove(install.id)


# -- newer revisions --------------------------------------------------------------------------------------------------


def watched(host: Host, hub: FakeHub, **rule: Any) -> str:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": weights(10_000)})
    install = ask(host, "a/m-GGUF")
    until(lambda: host.installs.get(install.id).state == "installed")
    host.installs.on_update(install.id, WhenUpdated(on_update="install", **rule))
    hub.repos["a/m-GGUF"].push({"m-Q4_K_M.gguf": weights(10_000, 2)})
    host.search.forget()
    return install.id


def test_a_model_that_was_removed_does_not_come_back(begin: MakeTravelled, hub: FakeHub) -> None:
    host, timer = begin()
    id = watched(host, hub)
    host.local.remove("builtin", host.installs.get(id).model_name or "")
    assert host.installs.get(id).when == "now"
    timer.advance(timedelta(days=2))
    host.installs._updates.look()
    assert [install.id for install in host.installs.list().items] == [id]


def test_one_that_was_removed_elsewhere_does_not_come_back(begin: MakeTravelled, hub: FakeHub) -> None:
    host, _ = begin()
    id = watched(host, hub)
    host.plugins.remove_model(host.providers.resolve("builtin"), host.installs.get(id).model_name or "")
    host.local.forget("builtin")
    host.installs._updates.look()
    assert host.installs.get(id).when == "now"
    assert [install.id for install in host.installs.list().items] == [id]


def test_an_update_that_a_person_cancelled_does_not_come_back(begin: MakeTravelled, hub: FakeHub) -> None:
    host, _ = begin()
    id = watched(host, hub, window=window().window)
    host.installs._updates.look()
    (update,) = host.installs.list(("scheduled",)).items
    host.installs.cancel(update.id)
    host.installs._updates.look()
    assert host.installs.list(("scheduled",)).items == ()
    assert host.installs.get(id).update is not None, "it is told all the same"


def test_a_rule_that_a_kill_left_with_the_older_revision_is_handed_over_at_the_start(
    begin: MakeTravelled, hub: FakeHub
) -> None:
    host, timer = begin()
    older = watched(host, hub)
    rule = host.installs.get(older).when
    timer.advance(timedelta(seconds=1))
    newer, _ = host.installs.request(SOURCE, "a/m-GGUF", target="builtin")
    until(lambda: host.installs.get(newer.id).when == rule)
    host.installs._queue.change(newer.id, when="now")  # as if it had not come to that
    host.installs._queue.change(older, when=rule)
    host.close()
    host, _ = begin(timer.now)
    assert host.installs.get(newer.id).when == rule
    assert host.installs.get(older).when == "now"
