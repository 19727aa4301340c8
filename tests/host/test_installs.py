"""Installs against a Hub on loopback: one per question, steered, interrupted, refused, and never lost."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from moorage import models
from moorage.errors import Conflict, InvalidInput, Missing
from moorage.events import Event, Subscription
from moorage.fetch import Patience
from moorage.host import Host
from moorage.installs import runner
from moorage.models import Install
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.repo import Content, Repo, Token

TOKEN = "hf_token_of_these_tests"
SOURCE = "huggingface"
SLOW = 2_000_000  # bytes per second of a download that a test wants to catch
SECONDS = 15.0


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        yield running


@pytest.fixture
def host(make_host: MakeHost, hub: FakeHub) -> Host:
    """A host whose downloads give up soon."""
    made = make_host(environment={"HF_ENDPOINT": hub.url})
    made.downloader._patience = Patience(silence=5.0, tries=1, first_pause=0.05)
    return made


def weights(size: int, seed: int = 1, **extra: str | int) -> bytes:
    """A file with a true header, and noise for weights."""
    return make_gguf(extra=dict(extra), padding=bytes(seed * 37 + n & 0xFF for n in range(251)) * (size // 251 + 1))


def add(hub: FakeHub, id: str, files: dict[str, Content] | None = None, **more: Any) -> Repo:
    content: dict[str, Content] = {"m-Q4_K_M.gguf": weights(3_000_000)} if files is None else files
    return hub.add(Repo(id, content, gguf={"architecture": "llama", "total": 135_000_000}, **more))


def slow(hub: FakeHub, times: int | None = 1) -> Fault:
    fault = Fault(times=times, bytes_per_second=SLOW)
    hub.cdn.faults.append(fault)
    return fault


class Story:
    """What the events of a host tell, from the start of the test."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.events: list[Event] = []
        self._subscription: Subscription = host.events.subscribe(after=0)

    def until(self, condition: Callable[[Event], bool], seconds: float = SECONDS) -> Event:
        end = time.monotonic() + seconds
        while True:
            try:
                event = self._subscription.get(max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError([(e.type, e.data) for e in self.events[-20:]]) from None
            assert event is not None
            self.events.append(event)
            if condition(event):
                return event

    def ended(self, id: str, seconds: float = SECONDS) -> Install:
        """The install once it has ended or waits."""
        kinds = ("install.installed", "install.failed", "install.waiting")
        self.until(lambda event: event.about == id and event.type in kinds, seconds)
        return self.host.installs.get(id)

    def downloading(self, id: str, at_least: int = 1) -> None:
        """Until so many bytes are known to be here."""
        self.until(
            lambda event: (
                event.about == id
                and event.type == "install.progressed"
                and event.data["phase"] == "downloading"
                and event.data["completed"] >= at_least
            )
        )


@pytest.fixture
def story(host: Host) -> Story:
    return Story(host)


def ask(host: Host, model: str, **more: Any) -> Install:
    install, new = host.installs.request(SOURCE, model, target="builtin", **more)
    assert new
    return install


def partial(host: Host) -> list[Path]:
    return list((host.settings.home / "models" / "partial").glob("*.part"))


def blobs(host: Host) -> list[Path]:
    return list((host.settings.home / "models" / "blobs").glob("*"))


# -- asking -----------------------------------------------------------------------------------------------------------


def test_the_same_question_is_one_install(host: Host, hub: FakeHub, story: Story) -> None:
    repo = add(hub, "a/m-GGUF")
    fault = slow(hub)
    first = ask(host, "a/m-GGUF")
    story.downloading(first.id)
    again, new = host.installs.request(SOURCE, "a/m-GGUF", target="builtin", file="m-Q4_K_M.gguf")
    assert (again.id, new) == (first.id, False)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert host.installs.request(SOURCE, "a/m-GGUF", target="builtin", when=later)[1] is False
    fault.bytes_per_second = None
    done = story.ended(first.id)
    assert done.state == "installed"
    assert host.installs.request(SOURCE, "a/m-GGUF", target="builtin")[0] == done
    repo.push({"m-Q4_K_M.gguf": weights(1_000_000, seed=2)})
    host.search.forget()
    newer = ask(host, "a/m-GGUF")
    assert newer.id != first.id
    assert story.ended(newer.id).state == "installed"


def test_after_an_end_without_a_model_a_new_one_is_made(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub, times=None)
    first = ask(host, "a/m-GGUF")
    host.installs.cancel(first.id)
    hub.cdn.faults[:] = [Fault(times=None, flip_at=1_000_000)]
    second = ask(host, "a/m-GGUF")
    assert story.ended(second.id).state == "failed"
    hub.cdn.faults.clear()
    third = ask(host, "a/m-GGUF")
    assert story.ended(third.id).state == "installed"
    host.local.remove("builtin", host.installs.get(third.id).model_name or "")
    fourth = ask(host, "a/m-GGUF")
    assert len({first.id, second.id, third.id, fourth.id}) == 4


def test_plans_that_cannot_be_carried_out_are_refused(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    add(hub, "a/none", {"config.json": b"{}"})
    add(hub, "a/gated-GGUF", gated="manual")
    for model, more, status, field in (
        ("a/none", {}, 422, "model"),
        ("a/gated-GGUF", {}, 422, "gated"),
        ("a/m-GGUF", {"file": "other.gguf"}, 400, "file"),
        ("a/m-GGUF", {"quantization": "Q9"}, 400, "quantization"),
        ("a/m-GGUF", {"target": "nowhere"}, 400, "target"),
        ("a/m-GGUF", {"when": datetime.now(UTC) - timedelta(seconds=1)}, 400, "when"),
    ):
        with pytest.raises(InvalidInput) as refused:
            host.installs.request(SOURCE, model, **{"target": "builtin", **more})
        assert (refused.value.http_status, refused.value.errors[0].field) == (status, field)
    with pytest.raises(Missing):
        host.installs.get("nothing")
    assert host.installs.list().items == ()


def test_a_gate_asks_for_what_is_lacking(make_host: MakeHost, hub: FakeHub) -> None:
    add(hub, "a/gated-GGUF", gated="manual")
    hub.tokens = {TOKEN: Token("sailor")}
    host = make_host(environment={"HF_ENDPOINT": hub.url})
    plan = host.installs.plan(SOURCE, "a/gated-GGUF", target="builtin")
    assert (plan.ok, plan.gate.state, plan.problems[0].code) == (False, "sign-in", "gated")
    assert "Plugins" in (plan.problems[0].hint or "")
    host.plugins.save_config("huggingface", {"token": TOKEN}, 0)
    plan = host.installs.plan(SOURCE, "a/gated-GGUF", target="builtin")
    assert (plan.ok, plan.gate.state) == (False, "accept-licence")
    assert "a/gated-GGUF" in (plan.problems[0].hint or ""), "the page where access is asked for"
    hub.tokens[TOKEN].granted.add("a/gated-GGUF")
    host.search.forget()
    story = Story(host)
    assert story.ended(ask(host, "a/gated-GGUF").id).state == "installed"
    assert hub.cdn.authorizations == [], "the key goes to the source alone"


def test_access_that_is_withdrawn_waits_for_the_person(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    hub.faults.append(Fault(".*/resolve/.*", times=None, status=403, headers={"X-Error-Code": "GatedRepo"}))
    install = story.ended(ask(host, "a/m-GGUF").id)
    assert (install.state, install.reason) == ("waiting", "sign-in")
    assert install.error is not None
    assert install.error.hint
    assert host.installs.needing_attention() == 1
    hub.faults.clear()
    host.installs.resume(install.id)
    assert story.ended(install.id).state == "installed"


# -- steering ---------------------------------------------------------------------------------------------------------


def test_a_pause_keeps_what_was_fetched(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF")
    story.downloading(install.id, 300_000)
    paused = host.installs.pause(install.id)
    assert (paused.state, paused.phase, paused.attempt) == ("paused", None, 1)
    assert paused.completed >= 300_000
    assert len(partial(host)) == 1
    kept = host.installs.plan(SOURCE, "a/m-GGUF", target="builtin").already_here
    assert kept >= paused.completed
    with pytest.raises(Conflict):
        host.installs.pause(install.id)
    host.installs.resume(install.id)
    done = story.ended(install.id)
    assert (done.state, done.attempt, done.completed) == ("installed", 2, done.total)
    asked = hub.cdn.requests[-1].headers["range"]
    assert int(asked.removeprefix("bytes=").rstrip("-")) == kept, "it goes on where it stopped"


def test_a_cancel_is_quick_and_leaves_nothing(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(stall_after=500_000))
    install = ask(host, "a/m-GGUF")
    story.until(lambda event: event.type == "install.started")
    _until(lambda: any(path.stat().st_size == 500_000 for path in partial(host)))
    began = time.monotonic()
    cancelled = host.installs.cancel(install.id)
    assert time.monotonic() - began < 2
    assert cancelled.state == "cancelled"
    assert cancelled.finished_at is not None
    assert partial(host) == []
    assert blobs(host) == []
    with pytest.raises(Conflict):
        host.installs.resume(install.id)
    host.installs.retry(install.id)
    assert story.ended(install.id).state == "installed"
    with pytest.raises(Conflict):
        host.installs.cancel(install.id)


def test_a_retry_beside_another_install_of_the_same_file_is_refused(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    slow(hub, times=None)
    first = ask(host, "a/m-GGUF")
    host.installs.cancel(first.id)
    ask(host, "a/m-GGUF")
    with pytest.raises(Conflict, match="already"):
        host.installs.retry(first.id)


def test_one_at_a_time_on_a_target_in_an_order_that_can_be_changed(host: Host, hub: FakeHub, story: Story) -> None:
    for name in "abcd":
        add(hub, f"{name}/m-GGUF", {"m-Q4_K_M.gguf": weights(400_000, seed=ord(name))})
    fault = slow(hub)
    fault.bytes_per_second = 100_000.0
    a, b, c, d = (ask(host, f"{name}/m-GGUF") for name in "abcd")
    story.downloading(a.id)
    assert [item.id for item in host.installs.queue()] == [b.id, c.id, d.id]
    assert host.installs.counts() == {"running": 1, "queued": 3}
    host.installs.move(d.id)
    assert [item.id for item in host.installs.queue()] == [d.id, b.id, c.id]
    host.installs.move(c.id, before=b.id)
    assert [item.id for item in host.installs.queue()] == [d.id, c.id, b.id]
    with pytest.raises(Conflict):
        host.installs.move(b.id, before="nobody")
    with pytest.raises(Conflict):
        host.installs.move(a.id)
    host.installs.cancel(a.id)
    story.ended(b.id)
    started = [event.about for event in story.events if event.type == "install.started"]
    assert started == [a.id, d.id, c.id, b.id]


def test_targets_work_side_by_side_up_to_a_limit(host: Host, hub: FakeHub, story: Story) -> None:
    for name in "abc":
        add(hub, f"{name}/m-GGUF", {"m-Q4_K_M.gguf": weights(400_000, seed=ord(name))})
    slow(hub, times=None).bytes_per_second = 50_000.0
    with FakeOllama(registry=hub) as one, FakeOllama(registry=hub) as two:
        one.pulls.speed = two.pulls.speed = 50_000.0
        targets = [
            host.providers.create(name, "ollama", {"endpoint": server.url}).id
            for name, server in (("One", one), ("Two", two))
        ]
        host.preferences.save({"parallelInstalls": 2})
        installs = [
            host.installs.request(SOURCE, f"{name}/m-GGUF", target=target)[0]
            for name, target in zip("abc", ["builtin", *targets], strict=True)
        ]
        for install in installs[:2]:
            story.until(lambda event, id=install.id: event.type == "install.started" and event.about == id)
        assert [host.installs.get(install.id).state for install in installs] == ["running", "running", "queued"]
        host.installs.cancel(installs[0].id)
        story.until(lambda event: event.type == "install.started" and event.about == installs[2].id)
        for install in installs[1:]:
            host.installs.cancel(install.id)


def test_many_who_ask_at_once_get_one_install(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    slow(hub, times=None)
    answers: list[tuple[Install, bool]] = []

    def request() -> None:
        answers.append(host.installs.request(SOURCE, "a/m-GGUF", target="builtin"))

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({install.id for install, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    host.installs.cancel(answers[0][0].id)


def test_a_new_attempt_shows_what_is_really_kept(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF")
    story.downloading(install.id, 300_000)
    host.installs.pause(install.id)
    for path in (host.settings.home / "models" / "partial").iterdir():
        path.unlink()
    fault = slow(hub)
    host.installs.resume(install.id)
    story.downloading(install.id)
    seen = [host.installs.get(install.id).completed]
    fault.bytes_per_second = None
    done = story.ended(install.id)
    assert done.state == "installed"
    shown = [
        event.data["completed"]
        for event in story.events
        if event.type == "install.progressed" and event.about == install.id
    ]
    last_start = max(n for n, event in enumerate(story.events) if event.type == "install.started")
    second = [e.data["completed"] for e in story.events[last_start:] if e.type == "install.progressed"]
    assert second == sorted(second)
    assert min(second + seen) < 300_000 <= max(shown)


# -- progress ---------------------------------------------------------------------------------------------------------


def test_progress_never_falls_and_is_told_at_most_four_times_a_second(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    # Breaks off, arrives damaged and is fetched again: what is shown goes on upwards all the same.
    hub.cdn.faults += [Fault(bytes_per_second=SLOW, end_after=2_000_000), Fault(flip_at=500_000)]
    install = ask(host, "a/m-GGUF")
    done = story.ended(install.id)
    assert (done.state, done.attempt) == ("installed", 1)
    told = [event for event in story.events if event.type == "install.progressed"]
    completed = [event.data["completed"] for event in told]
    assert completed == sorted(completed)
    assert completed[-1] == done.total
    same = [
        (later.at - earlier.at).total_seconds()
        for earlier, later in pairwise(told)
        if earlier.data["phase"] == later.data["phase"]
    ]
    assert same
    assert min(same) >= 0.24


def test_a_run_that_was_overtaken_cannot_write(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub, times=None)
    install = ask(host, "a/m-GGUF")
    story.downloading(install.id)
    host.installs.pause(install.id)
    host.installs.resume(install.id)
    story.downloading(install.id)
    with pytest.raises(Conflict, match="moved on"):
        host.installs._queue.change(install.id, attempt=1, state="failed")
    assert host.installs.get(install.id).attempt == 2
    host.installs.cancel(install.id)
    with pytest.raises(Conflict, match="moved on"):
        host.installs._queue.change(install.id, attempt=2, completed=1)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_file_that_is_damaged_twice_fails(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(times=None, flip_at=1_000_000))
    failed = story.ended(ask(host, "a/m-GGUF").id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "damaged twice" in failed.error.message
    assert failed.error.hint
    assert len(hub.cdn.requests) == 2
    assert host.local.target("builtin").models == ()
    hub.cdn.faults.clear()
    host.installs.retry(failed.id)
    done = story.ended(failed.id)
    assert (done.state, done.error) == ("installed", None)


def test_what_is_no_gguf_fails_by_its_name(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF", {"m-Q4_K_M.gguf": b"<html>" + bytes(100_000)})
    failed = story.ended(ask(host, "a/m-GGUF").id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.code == "not-a-gguf"


def test_a_network_that_drops_is_tried_again(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RETRY_SECONDS", (0.3, 0.3))
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(times=None, status=503))
    hub.cdn.faults.insert(0, Fault(end_after=1_000_000))
    install = ask(host, "a/m-GGUF")
    waiting = story.ended(install.id)
    assert (waiting.state, waiting.reason) == ("waiting", "network")
    assert waiting.completed >= 1_000_000
    hub.cdn.faults.clear()
    story.until(lambda event: event.type == "schedule.fired")
    done = story.ended(install.id)
    assert (done.state, done.attempt, done.error) == ("installed", 2, None)
    assert "range" in hub.cdn.requests[-1].headers


def test_a_network_that_stays_away_fails_in_the_end(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RETRY_SECONDS", (0.05,))
    add(hub, "a/m-GGUF")
    hub.cdn.faults.append(Fault(times=None, status=503))
    install = ask(host, "a/m-GGUF")
    story.until(lambda event: event.type == "install.failed")
    failed = host.installs.get(install.id)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert failed.error is not None


def test_a_full_disk_is_said_before_the_first_byte(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    host.downloader._free = lambda path: 10
    install = story.ended(ask(host, "a/m-GGUF").id)
    assert (install.state, install.reason) == ("waiting", "disk")
    assert hub.cdn.requests == []
    host.downloader._free = lambda path: 10**13
    host.installs.resume(install.id)
    assert story.ended(install.id).state == "installed"


def test_a_plan_without_room_is_refused(host: Host, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from moorage.installs import planner

    add(hub, "a/m-GGUF")
    monkeypatch.setattr(planner, "free_disk", lambda path: 1000)
    plan = host.installs.plan(SOURCE, "a/m-GGUF", target="builtin")
    assert (plan.ok, plan.disk.ok, plan.problems[0].code) == (False, False, "disk-full")
    with pytest.raises(InvalidInput) as refused:
        ask(host, "a/m-GGUF")
    assert refused.value.http_status == 422


# -- later ------------------------------------------------------------------------------------------------------------


def test_a_time_to_come(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    when = (datetime.now(UTC) + timedelta(seconds=0.6)).replace(microsecond=0) + timedelta(seconds=1)
    install = ask(host, "a/m-GGUF", when=when)
    assert (install.state, install.when) == ("scheduled", when)
    assert hub.cdn.requests == []
    fired = story.until(lambda event: event.type == "schedule.fired")
    assert fired.about == install.id
    assert fired.at >= when
    assert story.ended(install.id).state == "installed"


def test_a_scheduled_one_survives_a_restart(make_host: MakeHost, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    environment = {"HF_ENDPOINT": hub.url}
    host = make_host(environment=environment)
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(seconds=0.5))
    host.close()
    host = make_host(environment=environment)
    assert host.installs.get(install.id).state in ("scheduled", "queued", "running", "installed")
    done = Story(host).ended(install.id)
    assert done.state == "installed"


def test_a_running_one_goes_on_after_a_restart(make_host: MakeHost, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    environment = {"HF_ENDPOINT": hub.url}
    host = make_host(environment=environment)
    slow(hub)
    install = ask(host, "a/m-GGUF")
    Story(host).downloading(install.id, 300_000)
    began = time.monotonic()
    host.close()
    assert time.monotonic() - began < 3
    host = make_host(environment=environment)
    done = Story(host).ended(install.id)
    assert (done.state, done.attempt) == ("installed", 2)
    assert "range" in hub.cdn.requests[-1].headers


def test_closing_does_not_wait_for_a_slow_source(make_host: MakeHost, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    host = make_host(environment={"HF_ENDPOINT": hub.url})
    ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(seconds=0.5))
    host.search.forget()
    hub.faults.append(Fault(times=None, delay=30.0))
    asked = len(hub.requests)
    Story(host).until(lambda event: event.type == "install.started")
    _until(lambda: len(hub.requests) > asked)
    began = time.monotonic()
    host.close()
    assert time.monotonic() - began < 3


def test_a_pause_does_not_bring_a_time_forward(host: Host, hub: FakeHub) -> None:
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(hours=8))
    host.installs.pause(install.id)
    assert host.installs.resume(install.id).state == "scheduled"


def test_pauses_do_not_use_up_the_patience(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(hours=8))
    queue = host.installs._queue
    queue.change(install.id, state="paused", when="now")
    queue._documents.put(queue.get(install.id).model_copy(update={"attempt": 7}))  # as after seven pauses
    host.search.forget()
    hub.faults.append(Fault(times=None, status=503))
    host.installs.resume(install.id)
    story.until(lambda event: event.type == "install.waiting")
    assert host.installs.get(install.id).reason == "network"


def test_what_a_person_can_solve_waits_for_the_person(host: Host, hub: FakeHub, story: Story) -> None:
    """A gate that was put up, or a disk that has filled, between the question and its time."""
    repo = add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF", when=datetime.now(UTC) + timedelta(seconds=0.5))
    repo.gated = "manual"
    host.search.forget()
    story.until(lambda event: event.type == "install.waiting")
    waiting = host.installs.get(install.id)
    assert (waiting.state, waiting.reason) == ("waiting", "sign-in")
    assert waiting.error is not None
    assert waiting.error.hint


def test_a_cancel_while_it_is_tried_takes_the_model_back(
    host: Host, hub: FakeHub, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    proving = threading.Event()

    def endless(*_: Any, stopped: Callable[[], bool]) -> models.TestResult:
        proving.set()
        while not stopped():
            time.sleep(0.01)
        return models.TestResult(ok=False, seconds=0, model=None, reply=None, error=None)

    monkeypatch.setattr(runner, "probe", endless)
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF")
    assert proving.wait(10)
    host.local.forget("builtin")
    assert host.local.target("builtin").models
    began = time.monotonic()
    assert host.installs.cancel(install.id).state == "cancelled"
    assert time.monotonic() - began < 2
    host.local.forget("builtin")
    assert host.local.target("builtin").models == ()


# -- after ------------------------------------------------------------------------------------------------------------


def shards(count: int = 3) -> dict[str, Content]:
    return {
        f"Q4_K_M/m-Q4_K_M-{part:05}-of-{count:05}.gguf": weights(
            300_000, seed=part, **{"split.no": part - 1, "split.count": count}
        )
        for part in range(1, count + 1)
    }


def test_shards_become_one_model(host: Host, hub: FakeHub, story: Story) -> None:
    files = shards()
    add(hub, "a/m-GGUF", files)
    install = ask(host, "a/m-GGUF")
    done = story.ended(install.id)
    assert done.state == "installed"
    assert done.total == sum(len(content) for content in files.values() if isinstance(content, bytes))
    assert done.warning is not None, "noise cannot answer, and that is said"
    assert done.proof is not None
    assert done.proof.chat is not None
    assert not done.proof.chat.ok
    models = host.local.target("builtin").models
    assert [model.name for model in models] == [done.model_name]
    assert models[0].size == done.total


def test_removing_a_model_gives_its_space_back(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    install = ask(host, "a/m-GGUF")
    done = story.ended(install.id)
    assert len(blobs(host)) == 1
    host.local.remove("builtin", done.model_name or "")
    assert blobs(host) == []
    assert host.local.target("builtin").models == ()


def test_a_cancel_gives_back_the_shards_that_were_whole(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF", shards())
    hub.cdn.faults.append(Fault(skip=1, times=None, stall_after=1000))
    install = ask(host, "a/m-GGUF")
    _until(lambda: len(blobs(host)) == 1 and len(partial(host)) == 1)
    host.installs.pause(install.id)
    host.installs.tidy()
    assert len(blobs(host)) == 1, "an install that has not ended may still want it"
    host.installs.cancel(install.id)
    assert (blobs(host), partial(host)) == ([], [])


def test_what_has_ended_can_leave_the_history(host: Host, hub: FakeHub, story: Story) -> None:
    add(hub, "a/m-GGUF")
    slow(hub)
    install = ask(host, "a/m-GGUF")
    with pytest.raises(Conflict):
        host.installs.remove(install.id)
    host.installs.cancel(install.id)
    host.installs.remove(install.id)
    with pytest.raises(Missing):
        host.installs.remove(install.id)
    assert host.installs.list().items == ()


def _until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """What a fake server has seen is no event."""
    tick = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        tick.wait(0.02)
