"""What is told while one runs."""

from __future__ import annotations

from itertools import pairwise

import pytest

from moorage.errors import Conflict
from moorage.host import Host
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.host.installs.story import SLOW, Story, add, ask, slow


def test_progress_never_falls_in_an_attempt_and_is_told_at_most_four_times_a_second(
    host: Host, hub: FakeHub, story: Story
) -> None:
    add(hub, "a/m-GGUF")
    # Breaks off and goes on; then it turns out to be damaged, and is fetched again: that is a second attempt.
    hub.cdn.faults += [Fault(bytes_per_second=SLOW, end_after=2_000_000), Fault(flip_at=500_000)]
    install = ask(host, "a/m-GGUF")
    done = story.ended(install.id)
    assert (done.state, done.attempt) == ("installed", 2)
    told = [event for event in story.events if event.type == "install.progressed"]
    completed = [event.data["completed"] for event in told]
    assert sum(later < earlier for earlier, later in pairwise(completed)) <= 1
    assert max(completed) == done.completed == done.total
    same = [
        (later.at - earlier.at).total_seconds()
        for earlier, later in pairwise(told)
        if earlier.data["phase"] == later.data["phase"]
    ]
    assert same
    assert min(same) >= 0.2, "0.25 when it was told, and a little less on a busy machine when it was written down"


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
