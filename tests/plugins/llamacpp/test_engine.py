"""The engine with the real small model: answers, stops, crashes, swaps, and what is left behind: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from moorage import (
    Cancelled,
    Finish,
    ModelFile,
    NotFound,
    TextDelta,
    Tool,
    Unreachable,
    Unsupported,
    Usage,
)
from moorage.fit import estimate
from moorage.gguf import read_gguf_prefix
from moorage.http import CallScope
from moorage_llamacpp.config import Settings
from moorage_llamacpp.plugin import LlamaCppPlugin
from tests.plugins.llamacpp.conftest import Bench, MakeBench, provider, text_of

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("engine")]
LONG_PROMPT = " ".join(f"word{number}" for number in range(900))


def gone_within(pid: int, seconds: float) -> bool:
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_an_answer_streams_with_usage_and_an_end(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    assert bench.loaded == []

    events = bench.answer(name, "Say hello.", max_tokens=24, temperature=0)

    pieces = [event for event in events if isinstance(event, TextDelta)]
    assert "hello" in text_of(events).lower()
    assert len(pieces) > 3, "it comes piece by piece"
    assert isinstance(events[-1], Finish)
    assert events[-1].reason in ("stop", "length")
    usage = next(event for event in events if isinstance(event, Usage))
    assert usage.input_tokens is not None
    assert usage.input_tokens > 5
    assert usage.output_tokens is not None
    assert len(pieces) <= usage.output_tokens + 1
    assert bench.loaded == [name]


def test_options_reach_the_engine(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)

    first = bench.answer(name, seed=1, temperature=1, top_k=40, top_p=0.9, max_tokens=12)
    again = bench.answer(name, seed=1, temperature=1, top_k=40, top_p=0.9, max_tokens=12)
    other = bench.answer(name, seed=2, temperature=1, top_k=40, top_p=0.9, max_tokens=12)

    assert text_of(first) == text_of(again) != text_of(other)
    assert isinstance(first[-1], Finish)
    assert first[-1].reason == "length"
    stopped = bench.answer(name, "Count from one to ten.", stop=["e"], temperature=0, max_tokens=64)
    assert "e" not in text_of(stopped)


def test_tools_are_accepted(bench: Bench, small_model: Path) -> None:
    """This model is too small to call any; that they are rendered into the prompt shows in its length."""
    name = bench.install(small_model)
    tool = Tool(
        name="current_time",
        description="Tells the time.",
        parameters={"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
        run=lambda arguments: "noon",
    )

    events = bench.answer(name, "What time is it in Berlin?", tools=(tool,), max_tokens=8)

    assert isinstance(events[-1], Finish)


def test_a_conversation_that_is_too_long_says_so(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)

    with pytest.raises(Unsupported, match=r"too long: it has \d+ tokens, and the model holds 256") as caught:
        bench.answer(name, LONG_PROMPT, context_length=256)

    assert caught.value.hint is not None
    assert "context length" in caught.value.hint
    assert isinstance(bench.answer(name, "Hi", context_length=256, max_tokens=4)[-1], Finish), "it still works"


def test_a_stopped_answer_stops_the_engine(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    scope = CallScope(None)
    answer = bench.start(name, scope=scope, max_tokens=4000)
    next(answer)
    before = bench.pid

    started = time.monotonic()
    scope.cancel()
    with pytest.raises(Cancelled):
        list(answer)

    assert time.monotonic() - started < 3
    assert bench.pid == before, "the model stays in memory"
    assert isinstance(bench.answer(name, max_tokens=4)[-1], Finish)


def test_closing_the_generator_stops_the_engine(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    answer = bench.start(name, max_tokens=4000)
    next(answer)

    started = time.monotonic()
    answer.close()  # type: ignore[attr-defined]  # it is a generator

    assert time.monotonic() - started < 3
    assert psutil.Process(bench.pid).cpu_percent(0.3) < 20


def test_an_answer_stopped_while_the_prompt_is_read_stops_the_engine(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    bench.answer(name, max_tokens=1)
    pid = bench.pid
    scope = CallScope(None)
    threading.Timer(0.4, scope.cancel).start()

    started = time.monotonic()
    with pytest.raises(Cancelled):
        bench.answer(name, LONG_PROMPT, scope=scope, max_tokens=4000)

    assert time.monotonic() - started < 0.4 + 3
    at_rest = bench.loaded == [] or psutil.Process(pid).cpu_percent(0.3) < 20
    assert at_rest
    assert isinstance(bench.answer(name, max_tokens=4)[-1], Finish)


def test_a_crash_is_told_and_the_next_answer_starts_anew(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    answer = bench.start(name, max_tokens=4000)
    next(answer)

    os.kill(bench.pid, signal.SIGKILL)
    with pytest.raises(Unreachable, match=r"stopped while answering \(killed by SIGKILL\)") as caught:
        list(answer)

    assert caught.value.hint is not None
    assert "starts again" in caught.value.hint
    assert bench.loaded == []
    assert isinstance(bench.answer(name, max_tokens=4)[-1], Finish)


def test_one_model_at_a_time(bench: Bench, small_model: Path) -> None:
    first = bench.install(small_model, model="org/first-GGUF")
    second = bench.install(small_model, model="org/second-GGUF")
    bench.answer(first, max_tokens=2)
    pid = bench.pid

    running = bench.start(first, max_tokens=60)
    next(running)
    finished: list[float] = []
    other = threading.Thread(target=lambda: (bench.answer(second, max_tokens=2), finished.append(time.monotonic())))
    other.start()
    assert isinstance(list(running)[-1], Finish), "the running answer is not disturbed"
    ended = time.monotonic()
    other.join(20)

    assert finished[0] > ended, "the other one waits for its turn"
    assert bench.loaded == [second]
    assert gone_within(pid, 1)


def test_another_context_length_loads_anew(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    bench.answer(name, max_tokens=1)
    pid = bench.pid
    bench.answer(name, max_tokens=1, context_length=512)
    assert bench.pid != pid


def test_waiting_for_a_turn_can_be_stopped(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    running = bench.start(name, max_tokens=4000)
    next(running)
    scope = CallScope(None)
    threading.Timer(0.2, scope.cancel).start()

    with pytest.raises(Cancelled):
        bench.answer(name, scope=scope)
    running.close()  # type: ignore[attr-defined]  # it is a generator


def test_an_idle_model_is_unloaded(make_bench: MakeBench, small_model: Path) -> None:
    bench = make_bench(settings=Settings(idle_minutes=0.01))
    name = bench.install(small_model)
    bench.answer(name, max_tokens=1)
    pid = bench.pid

    assert bench.loaded == [name]
    assert gone_within(pid, 5)
    assert bench.loaded == []
    assert isinstance(bench.answer(name, max_tokens=1)[-1], Finish)


def test_removing_the_loaded_model_frees_memory_and_disk(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    bench.answer(name, max_tokens=1)
    pid = bench.pid

    bench.plugin.remove_model(provider(), name, bench.context())

    assert gone_within(pid, 1)
    assert [path for path in bench.home.rglob("*") if path.is_file() and path.suffix != ".log"] == []
    with pytest.raises(NotFound):
        bench.answer(name)


def test_a_model_that_answers_is_not_removed(bench: Bench, small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage_llamacpp.plugin.REMOVE_SECONDS", 0.1)
    name = bench.install(small_model)
    running = bench.start(name, max_tokens=200)
    next(running)

    with pytest.raises(Unsupported, match="answering right now"):
        bench.plugin.remove_model(provider(), name, bench.context())
    assert isinstance(list(running)[-1], Finish)


def test_two_hosts_in_one_process_have_an_engine_each(make_bench: MakeBench, small_model: Path) -> None:
    one, two = make_bench("one"), make_bench("two")
    names = [bench.install(small_model) for bench in (one, two)]
    for bench, name in zip((one, two), names, strict=True):
        bench.answer(name, max_tokens=1)
    pids = one.pid, two.pid

    one.plugin.close()

    assert gone_within(pids[0], 0)
    assert psutil.pid_exists(pids[1])
    two.plugin.close()
    assert gone_within(pids[1], 0)
    with pytest.raises(Cancelled):
        two.answer(names[1])


def test_closing_in_the_middle_of_an_answer(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    answer = bench.start(name, max_tokens=4000)
    next(answer)
    pid = bench.pid
    failed: list[BaseException] = []

    def read() -> None:
        try:
            list(answer)
        except BaseException as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    bench.plugin.close()
    reader.join(5)

    assert gone_within(pid, 0)
    assert isinstance(failed[0], Unreachable)


def test_others_on_this_machine_cannot_use_the_engine(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    answer = bench.start(name, max_tokens=4)
    next(answer)
    process = psutil.Process(bench.pid)
    child = bench.plugin._engine._child  # type: ignore[union-attr]  # it is there: it answers
    assert child is not None
    key = child.key.get_secret_value()

    stranger = bench.door.client("provider").request("POST", f"{child.url}/v1/chat/completions", json={"messages": []})

    assert stranger.status == 401
    assert [address.laddr.ip for address in process.net_connections() if address.status == "LISTEN"] == ["127.0.0.1"]
    assert key not in " ".join(process.cmdline())
    assert key not in " ".join(process.environ().values())
    list(answer)


def test_what_the_environment_holds_is_not_passed_on(
    bench: Bench, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    name = bench.install(small_model)
    bench.answer(name, max_tokens=1)
    assert "hf_secret" not in psutil.Process(bench.pid).environ().values()


def test_a_damaged_model_fails_with_the_engines_own_words(bench: Bench, small_model: Path) -> None:
    """Its header is whole, its tensors are cut: what a download without a hash may become."""
    name = bench.install(small_model)
    file = next(bench.data_dir.rglob("*.gguf"))
    content = file.read_bytes()[:20_000_000]
    file.unlink()
    file.write_bytes(content)

    with pytest.raises(
        Unsupported, match=r"could not load org/small-GGUF:Q4_1: .*not within the file bounds"
    ) as caught:
        bench.answer(name)

    assert str(bench.home) not in str(caught.value)
    assert caught.value.hint is not None
    assert bench.loaded == []


@pytest.mark.parametrize(("context_length", "words"), [(512, 120), (2048, 480)])
def test_memory_is_as_estimated(bench: Bench, small_model: Path, context_length: int, words: int) -> None:
    """Against the most that it takes, with a prompt that fills its context: 5 % too low at worst, 15 % too high."""
    name, size = bench.install(small_model), small_model.stat().st_size
    with small_model.open("rb") as file:
        header = read_gguf_prefix(file.read(64 * 1024), size)
    fit = estimate(
        ModelFile(name=small_model.name, size=size),
        header=header,
        target="builtin",
        context_length=context_length,
        memory=None,
    )
    prompt = " ".join(f"word{number}" for number in range(words))
    events = bench.answer(name, prompt, context_length=context_length, max_tokens=8)
    used = psutil.Process(bench.pid).memory_info().rss  # it gives nothing back before it ends

    usage = next(event for event in events if isinstance(event, Usage))
    assert (usage.input_tokens or 0) > 0.7 * context_length
    assert (fit.basis, fit.context_length) == ("header", context_length)
    assert fit.needs is not None
    error = fit.needs / used - 1
    assert -0.05 < error < 0.15, f"{used / 2**20:.0f} MiB used, {fit.needs / 2**20:.0f} MiB estimated"


HOST = """
import sys, threading
from pathlib import Path
from moorage.http import HttpDoor
from tests.plugins.llamacpp.conftest import Bench
bench = Bench(Path(sys.argv[1]), HttpDoor())
answer = bench.start(sys.argv[2], max_tokens=4000)
next(answer)
print(bench.pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_the_engine_ends_with_a_host_that_is_killed(bench: Bench, small_model: Path, way: signal.Signals) -> None:
    name = bench.install(small_model)
    root = Path(__file__).parents[3]
    host = subprocess.Popen([sys.executable, "-c", HOST, bench.home, name], stdout=subprocess.PIPE, cwd=root, text=True)
    with host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert psutil.pid_exists(pid)
        host.send_signal(way)
        host.wait(10)
    assert gone_within(pid, 3)


def test_the_conversations_are_not_in_the_log(bench: Bench, small_model: Path) -> None:
    name = bench.install(small_model)
    bench.answer(name, "My secret is xylophone.", max_tokens=4)
    log = bench.data_dir / "engine.log"
    assert "xylophone" not in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_broken_engine_is_told(bench: Bench, small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that cannot be imported on this machine."""
    name = bench.install(small_model)
    broken = bench.home / "broken"
    broken.mkdir()
    (broken / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(broken))

    with pytest.raises(Unsupported, match=r"libgomp\.so\.1"):
        bench.answer(name)


def test_an_engine_that_dies_at_its_start_is_told(
    bench: Bench, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel for another kind of processor."""
    name = bench.install(small_model)
    broken = bench.home / "broken"
    broken.mkdir()
    (broken / "xllamacpp.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.setenv("PYTHONPATH", str(broken))

    with pytest.raises(Unsupported, match="killed by SIGILL"):
        bench.answer(name)


def test_loading_can_be_stopped_and_has_an_end(
    bench: Bench, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that loads for ever, as it may from a disk that hangs."""
    name = bench.install(small_model)
    broken = bench.home / "broken"
    broken.mkdir()
    (broken / "xllamacpp.py").write_text("import ctypes; ctypes.PyDLL(None).sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    scope = CallScope(None)
    threading.Timer(0.3, scope.cancel).start()

    started = time.monotonic()
    with pytest.raises(Cancelled):
        bench.answer(name, scope=scope)
    assert time.monotonic() - started < 2

    monkeypatch.setattr("moorage_llamacpp.child.LOAD_SECONDS", 0.3)
    with pytest.raises(Unreachable, match="did not load the model in time"):
        bench.answer(name)


def test_the_plugin_holds_nothing_until_it_is_used() -> None:
    before = threading.active_count()
    plugin = LlamaCppPlugin()
    plugin.close()
    assert threading.active_count() == before
