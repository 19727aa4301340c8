"""What every queue of installs promises; the tests of each implementation inherit these.

`queues` makes a further queue on the same records, as another process or machine would have it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moorage.errors import Conflict, Missing
from moorage.installs.queue import InstallQueue
from moorage.models import Install, InstallFailure

MakeQueue = Callable[[], InstallQueue]
START = datetime(2026, 5, 21, 10, tzinfo=UTC)


def an_install(id: str, **fields: Any) -> Install:
    number = int("".join(letter for letter in id if letter.isdigit()) or 0)
    given: dict[str, Any] = {
        "source": "huggingface",
        "model": f"acme/{id}",
        "file": "m.gguf",
        "target": "builtin",
        "road": "import",
        "total": 1000,
        "created_at": START + timedelta(seconds=number),
    }
    return Install(id=id, **{**given, **fields})


class QueueContract:
    @pytest.fixture
    def queue(self, queues: MakeQueue) -> InstallQueue:
        return queues()

    @pytest.fixture
    def filled(self, queue: InstallQueue) -> InstallQueue:
        """Three that wait, for one target."""
        for number in (1, 2, 3):
            queue.add(an_install(f"i{number}"))
        return queue

    def order(self, queue: InstallQueue) -> list[str]:
        return [install.id for install in queue.waiting()]

    # -- looking -------------------------------------------------------------------------------------------------

    def test_what_was_added_is_there_for_all(self, filled: InstallQueue, queues: MakeQueue) -> None:
        assert queues().get("i2") == filled.get("i2")
        assert [install.id for install in filled.list().items] == ["i3", "i2", "i1"]
        assert filled.counts() == {"queued": 3}
        assert [install.id for install in filled.same("huggingface", "acme/i2", "m.gguf", "builtin")] == ["i2"]
        with pytest.raises(Missing):
            filled.get("nobody")

    def test_pages(self, filled: InstallQueue) -> None:
        first = filled.list(("queued",), limit=2)
        rest = filled.list(("queued",), limit=2, cursor=first.next)
        assert [[install.id for install in page.items] for page in (first, rest)] == [["i3", "i2"], ["i1"]]
        assert rest.next is None

    # -- order ---------------------------------------------------------------------------------------------------

    def test_first_come_first_served(self, filled: InstallQueue) -> None:
        assert self.order(filled) == ["i1", "i2", "i3"]

    def test_the_order_can_be_changed(self, filled: InstallQueue) -> None:
        filled.move("i3")
        assert self.order(filled) == ["i3", "i1", "i2"]
        filled.move("i2", before="i1")
        assert self.order(filled) == ["i3", "i2", "i1"]
        filled.move("i2", before="i1")
        assert self.order(filled) == ["i3", "i2", "i1"], "it was there already"
        with pytest.raises(Conflict):
            filled.move("i1", before="nobody")

    def test_the_order_can_be_changed_for_ever(self, filled: InstallQueue) -> None:
        """Each move halves a gap between two numbers; there must always be a next one."""
        for _ in range(150):
            filled.move("i3", before="i2")
            filled.move("i2", before="i3")
        assert self.order(filled) == ["i1", "i2", "i3"]
        for _ in range(150):
            filled.move(self.order(filled)[-1])
        assert sorted(self.order(filled)) == ["i1", "i2", "i3"]

    def test_one_that_runs_has_no_place(self, filled: InstallQueue) -> None:
        filled.claim(1, 1)
        with pytest.raises(Conflict):
            filled.move("i1")

    # -- claims --------------------------------------------------------------------------------------------------

    def claimed(self, queue: InstallQueue, limit: int = 3, per_target: int = 1) -> list[str]:
        """The ids of all that may run."""
        found = []
        while (install := queue.claim(limit, per_target)) is not None:
            found.append(install.id)
        return found

    def test_one_at_a_time_on_a_target(self, filled: InstallQueue) -> None:
        assert self.claimed(filled) == ["i1"]
        assert self.claimed(filled) == []
        claimed = filled.get("i1")
        assert (claimed.state, claimed.phase, claimed.attempt) == ("running", "planning", 1)
        filled.change("i1", state="failed")
        assert self.claimed(filled) == ["i2"]

    def test_more_on_a_target_if_one_wants(self, filled: InstallQueue) -> None:
        assert self.claimed(filled, per_target=2) == ["i1", "i2"]

    def test_so_many_in_all(self, queue: InstallQueue) -> None:
        for number in range(5):
            queue.add(an_install(f"i{number}", target=f"t{number}"))
        assert self.claimed(queue) == ["i0", "i1", "i2"]
        queue.change("i1", state="installed")
        assert self.claimed(queue) == ["i3"]

    def test_a_run_that_has_not_ended_yet_keeps_its_target_busy(self, filled: InstallQueue) -> None:
        filled.claim(3, 1)
        filled.change("i1", state="paused")
        assert filled.claim(3, 1, lambda target: 1) is None
        after = filled.claim(3, 1, lambda target: 0)
        assert after is not None
        assert after.id == "i2"

    def test_a_claim_is_for_one_only(self, queues: MakeQueue) -> None:
        """Many processes, each with its own queue, on the same records."""
        several = [queues() for _ in range(4)]
        for number in range(20):
            several[0].add(an_install(f"i{number}", target=f"t{number}"))
        claimed: list[str] = []
        start = threading.Barrier(4)

        def work(queue: InstallQueue) -> None:
            start.wait()
            claimed.extend(self.claimed(queue, limit=1000))

        threads = [threading.Thread(target=work, args=(queue,)) for queue in several]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claimed) == sorted(f"i{number}" for number in range(20)), "each once"
        assert all(several[0].get(id).attempt == 1 for id in claimed)

    def test_the_same_file_is_one_install(self, queue: InstallQueue) -> None:
        first = queue.add(an_install("i1"))
        again = an_install("i2", model=first.model)
        assert queue.add(again).id == "i1"
        assert queue.counts() == {"queued": 1}
        assert queue.add(an_install("i3", model=first.model, target="another")).id == "i3"
        queue.change("i1", state="failed")
        assert queue.add(again).id == "i2", "that one has ended"

    # -- fences --------------------------------------------------------------------------------------------------

    def test_a_run_whose_attempt_has_passed_cannot_write(self, filled: InstallQueue, queues: MakeQueue) -> None:
        filled.claim(1, 1)
        filled.change("i1", state="queued")
        other = queues()
        other.claim(1, 1)
        assert other.get("i1").attempt == 2
        for fields in ({"completed": 5}, {"state": "installed"}, {"state": "failed"}):
            with pytest.raises(Conflict):
                filled.change("i1", attempt=1, **fields)
        assert filled.get("i1").completed == 0
        assert other.change("i1", attempt=2, completed=7).completed == 7

    @pytest.mark.parametrize("state", ["paused", "cancelled", "queued", "scheduled", "failed", "installed"])
    def test_a_run_that_was_stopped_cannot_write(self, filled: InstallQueue, state: str) -> None:
        filled.claim(1, 1)
        filled.change("i1", state=state)
        with pytest.raises(Conflict):
            filled.change("i1", attempt=1, completed=5)

    def test_a_run_that_begins_again_goes_on_under_a_new_number(self, filled: InstallQueue) -> None:
        filled.claim(1, 1)
        again = filled.change("i1", attempt=1, again=True, said="It was damaged.", completed=0)
        assert (again.state, again.attempt) == ("running", 2)
        with pytest.raises(Conflict):
            filled.change("i1", attempt=1, completed=5)
        assert filled.change("i1", attempt=2, completed=5).completed == 5
        assert filled.timeline("i1")[-1].text == "It was damaged."

    def test_a_stale_click_hits_nothing(self, filled: InstallQueue) -> None:
        seen = filled.get("i1").generation
        filled.change("i1", generation=seen, by_person=True, state="paused")
        with pytest.raises(Conflict):
            filled.change("i1", generation=seen, by_person=True, state="cancelled")
        with pytest.raises(Conflict):
            filled.move("i1", generation=seen)
        assert filled.get("i1").state == "paused"
        assert filled.get("i1").generation == seen + 1

    def test_what_a_run_writes_makes_no_click_stale(self, filled: InstallQueue) -> None:
        seen = filled.get("i1").generation
        filled.claim(1, 1)
        filled.change("i1", attempt=1, phase="downloading", completed=9)
        filled.change("i1", generation=seen, state="paused")

    def test_states_that_do_not_allow_it(self, filled: InstallQueue) -> None:
        with pytest.raises(Conflict):
            filled.change("i1", allowed=("paused", "waiting"), state="queued")

    def test_many_hands_lose_no_write(self, filled: InstallQueue, queues: MakeQueue) -> None:
        def work(queue: InstallQueue) -> None:
            for _ in range(25):
                queue.change("i1", by_person=True)

        threads = [threading.Thread(target=work, args=(queues(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert filled.get("i1").generation == 101

    # -- ends ----------------------------------------------------------------------------------------------------

    def test_an_end_has_its_time_and_no_phase(self, filled: InstallQueue) -> None:
        filled.claim(1, 1)
        filled.change("i1", phase="downloading", bytes_per_second=5.0, seconds_left=3.0)
        ended = filled.change("i1", state="failed", error=InstallFailure(code="x", message="It broke."))
        assert ended.finished_at is not None
        assert (ended.phase, ended.bytes_per_second, ended.seconds_left) == (None, None, None)

    def test_only_what_has_ended_leaves_the_history(self, filled: InstallQueue) -> None:
        with pytest.raises(Conflict):
            filled.remove("i1")
        filled.change("i1", state="cancelled")
        filled.remove("i1")
        assert filled.timeline("i1") == ()
        with pytest.raises(Missing):
            filled.get("i1")

    # -- promises and timelines ----------------------------------------------------------------------------------

    def test_what_is_promised_of_the_disk(self, filled: InstallQueue) -> None:
        filled.add(an_install("i4", road="pull"))
        filled.add(an_install("i5", state="installed"))
        assert filled.promised() == 3000
        filled.claim(1, 1)
        filled.change("i1", completed=400)
        assert filled.promised() == 2600
        filled.change("i3", extra_space=500)
        assert filled.promised() == 3100
        assert filled.promised(before=filled.get("i1")) == 0, "nobody else runs, and nobody is before it"
        assert filled.promised(before=filled.get("i2")) == 600
        assert filled.promised(before=filled.get("i3")) == 1600

    def test_what_is_being_cleaned_up_stays_in_the_history(self, filled: InstallQueue) -> None:
        filled.change("i1", state="cancelled", cleaning_up=True)
        with pytest.raises(Conflict):
            filled.remove("i1")
        filled.change("i1", cleaning_up=False)
        filled.remove("i1")

    def test_a_timeline_says_what_happened(self, filled: InstallQueue) -> None:
        filled.claim(1, 1)
        for phase in ("downloading", "downloading", "verifying"):
            filled.change("i1", attempt=1, phase=phase, completed=1)
        filled.change("i1", state="waiting", reason="network", error=InstallFailure(code="x", message="It is away."))
        filled.change("i1", state="queued", reason=None)
        filled.claim(1, 1)
        filled.change("i1", state="installed", model_name="i1:Q4")
        entries = filled.timeline("i1")
        assert [entry.text for entry in entries] == [
            "Asked for over the API.",
            "Started.",
            "Downloading.",
            "Verifying what arrived.",
            "Waits (network): It is away.",
            "Back in the queue.",
            "Started again, for the 2nd time.",
            "Installed as i1:Q4.",
        ]
        assert [entry.state for entry in entries][-1] == "installed"

    def test_a_long_timeline_keeps_its_beginning_and_its_end(self, filled: InstallQueue) -> None:
        for number in range(300):
            filled.change("i1", said=f"Entry {number}.")
        texts = [entry.text for entry in filled.timeline("i1")]
        assert len(texts) == 200
        assert (texts[0], texts[-1]) == ("Asked for over the API.", "Entry 299.")
