"""What is left when one has ended."""

from __future__ import annotations

import pytest

from moorage.errors import Conflict, Missing
from moorage.host import Host
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Content
from tests.host.installs.story import Story, add, ask, blobs, partial, slow, until, weights


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
    until(lambda: len(blobs(host)) == 1 and len(partial(host)) == 1)
    host.installs.pause(install.id)
    host.storage.tidy()
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
