"""`install_model` and `remove_model` over real sockets: what a pull can do to us (fault rows 33 to 37)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from moorage import (
    BadAnswer,
    Cancelled,
    DiskFull,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    MoorageError,
    NotFound,
    PluginContext,
    Provider,
    RemoteError,
    Unreachable,
    Unsupported,
)
from moorage.http import CallScope
from moorage_ollama.plugin import OllamaPlugin
from tests.fakes.server import Exchange
from tests.plugins.ollama.conftest import Line, ScriptedOllama, model_detail, model_file

NAME = "hf.co/org/m:Q8_0"
DIGEST = "sha256:" + "a" * 64
MANIFEST = {"status": "pulling manifest"}
END = ({"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"})


def at(completed: int) -> dict[str, Any]:
    return {"status": "pulling aaaaaaaaaaaa", "digest": DIGEST, "total": 1000, "completed": completed}


@pytest.fixture
def plan(plugin: OllamaPlugin, provider: Provider, context: PluginContext) -> InstallPlan:
    file = model_file("m-Q8_0.gguf", "Q8_0", size=1000)
    request = InstallRequest(target=provider, model=model_detail("org/m", file), file=file)
    return plugin.plan_install(request, context)


@pytest.fixture
def run(plugin: OllamaPlugin, plan: InstallPlan, context: PluginContext, ollama: ScriptedOllama) -> Any:
    ollama.models = [{"name": "hf.co/Org/m:q8_0"}]  # in the spelling of an earlier pull
    ollama.shown = {NAME: {}}
    return lambda: list(plugin.install_model(plan, context))


def pulls(ollama: ScriptedOllama) -> int:
    return len(ollama.seen("POST", "/api/pull"))


def never_goes_down(shown: list[InstallProgress]) -> bool:
    completed = [item.completed or 0 for item in shown]
    return completed == sorted(completed)


def test_a_pull(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[MANIFEST, at(10), at(1000), *END]]
    shown = run()
    assert ollama.bodies("/api/pull") == [{"model": NAME, "stream": True}]
    assert [item.phase for item in shown][-3:] == ["verifying", "importing", "importing"]
    assert shown[-1].completed == shown[-1].total == 1000
    assert never_goes_down(shown)


def test_row_33_a_stream_without_success_is_asked_for_again(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[MANIFEST, at(500)], [MANIFEST, at(500), at(900), *END]]
    shown = run()
    assert pulls(ollama) == 2
    assert never_goes_down(shown)
    assert any("started again" in (item.message or "") for item in shown)


def test_row_33_a_cut_connection_is_asked_for_again(ollama: ScriptedOllama, run: Any) -> None:
    def cut(exchange: Exchange) -> Iterator[Line]:
        yield at(500)
        exchange.reset()

    ollama.pulls = [cut, [at(600), *END]]
    run()
    assert pulls(ollama) == 2


def test_row_34_it_never_claims_success_that_was_not_said(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[MANIFEST, at(1000), {"status": "verifying sha256 digest"}]]
    with pytest.raises(Unreachable, match="without saying"):
        run()
    assert pulls(ollama) == 6  # the first one brought something, the five after it nothing


def test_restarts_are_counted_anew_while_it_goes_on(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [*([at(100 * n)] for n in range(1, 10)), [at(1000), *END]]
    run()
    assert pulls(ollama) == 10


def test_a_stall_is_seen_in_the_numbers(ollama: ScriptedOllama, run: Any) -> None:
    def stalled(exchange: Exchange) -> Iterator[Line]:
        while True:  # as the server does it: a line every 60 ms that says nothing new
            yield at(400)
            exchange.sleep(0.03)

    ollama.pulls = [stalled, [at(400), at(1000), *END]]
    shown = run()
    assert pulls(ollama) == 2
    ollama.wait_until_left("/api/pull")
    assert any("halt" in (item.message or "") for item in shown)


def test_row_35_a_server_that_lost_everything_begins_anew(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[at(900)], [at(5), at(400), at(1000), *END]]
    assert never_goes_down(run())


def test_a_pull_that_meets_the_end_of_an_earlier_one_is_tried_again(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[MANIFEST, {"error": "context canceled"}], [at(1000), *END]]
    run()
    assert pulls(ollama) == 2


def test_damage_is_downloaded_once_more_and_then_named(ollama: ScriptedOllama, run: Any) -> None:
    damaged = [at(1000), {"error": "digest mismatch, file must be downloaded again: want sha256:a, got sha256:b"}]
    ollama.pulls = [damaged]
    with pytest.raises(BadAnswer) as raised:
        run()
    assert pulls(ollama) == 2
    assert "virus scanner" in (raised.value.hint or "")
    ollama.pulls = [damaged, [at(1000), *END]]
    run()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write /models/blobs/x: no space left on device", DiskFull),
        ('pull model manifest: 400: {"error":"The specified tag is a sharded GGUF."}', Unsupported),
        ("pull model manifest: file does not exist", NotFound),
        ('Get "https://hf.co/v2/": dial tcp: lookup hf.co: no such host', Unreachable),
    ],
)
def test_row_34_what_a_new_pull_would_not_cure_is_told_at_once(
    ollama: ScriptedOllama, run: Any, text: str, kind: type[MoorageError]
) -> None:
    ollama.pulls = [[MANIFEST, at(10), {"error": text}, {"status": "success"}]]
    with pytest.raises(kind) as raised:
        run()
    assert str(raised.value)
    assert raised.value.hint, "and what to do about it"
    assert pulls(ollama) == 1


def test_row_34_an_unknown_error_line_is_told_in_its_own_words(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[MANIFEST, at(1000), {"error": "the tide was out"}]]
    with pytest.raises(RemoteError, match="the tide was out"):
        run()
    assert pulls(ollama) == 1


def test_a_refusal_before_the_first_line(ollama: ScriptedOllama, run: Any) -> None:
    ollama.refusal = (400, b'{"error":"invalid model name"}')
    with pytest.raises(Unsupported, match=NAME):
        run()


@pytest.mark.parametrize("lacking", ["tags", "show"])
def test_row_36_success_counts_only_when_the_model_is_there(ollama: ScriptedOllama, run: Any, lacking: str) -> None:
    if lacking == "tags":
        ollama.models = [{"name": "hf.co/org/m:Q4_0"}]
    else:
        ollama.shown = {}
    ollama.pulls = [[at(1000), *END]]
    with pytest.raises(BadAnswer, match="does not list it") as raised:
        run()
    assert not raised.value.retryable
    assert pulls(ollama) == 1


def test_a_model_that_cannot_be_shown_is_there_all_the_same(ollama: ScriptedOllama, run: Any) -> None:
    """The server lists it: only that it is not found would mean that it is not there."""
    ollama.shown = {NAME: {"capabilities": "odd"}}
    ollama.pulls = [[at(1000), *END]]
    run()


def test_row_34_a_broken_line_is_passed_over(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[MANIFEST, b'{"status":"pul', b"", b"[1, 2]", b"null", at(1000), *END]]
    run()
    assert pulls(ollama) == 1


def test_row_34_nothing_but_broken_lines_is_no_pull(ollama: ScriptedOllama, run: Any) -> None:
    ollama.pulls = [[MANIFEST, *[b"\x00\xff garbage"] * 4, {"status": "success"}]]
    with pytest.raises(BadAnswer, match="broken"):
        run()
    assert pulls(ollama) == 1


def test_closing_it_ends_the_pull(
    ollama: ScriptedOllama, plugin: OllamaPlugin, plan: InstallPlan, context: PluginContext
) -> None:
    def endless(exchange: Exchange) -> Iterator[Line]:
        for completed in range(1, 1000):
            yield at(completed)
            exchange.sleep(0.03)

    ollama.pulls = [endless]
    steps = plugin.install_model(plan, context)
    while next(steps).phase != "downloading":
        pass
    steps.close()  # type: ignore[attr-defined]  # it is a generator
    ollama.wait_until_left("/api/pull")


def test_a_stop_from_elsewhere_is_no_interruption(ollama: ScriptedOllama, run: Any, scope: CallScope) -> None:
    def silent(exchange: Exchange) -> Iterator[Line]:
        yield at(1)
        scope.cancel()
        exchange.sleep(30)

    ollama.pulls = [silent]
    with pytest.raises(Cancelled):
        run()
    assert pulls(ollama) == 1


def test_removing(plugin: OllamaPlugin, provider: Provider, context: PluginContext, ollama: ScriptedOllama) -> None:
    ollama.models = [{"name": "tiny:latest"}]
    plugin.remove_model(provider, "tiny:latest", context)
    assert ollama.models == []
    assert ollama.seen("DELETE", "/api/delete")[0].json == {"model": "tiny:latest"}
    with pytest.raises(NotFound, match="tiny:latest is not installed"):
        plugin.remove_model(provider, "tiny:latest", context)
