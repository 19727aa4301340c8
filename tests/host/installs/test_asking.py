"""Asking for an install: one per question, and refused with the reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from moorage.errors import InvalidInput, Missing
from moorage.host import Host
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Token
from tests.host.installs.story import SOURCE, TOKEN, Story, add, ask, slow, weights


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
