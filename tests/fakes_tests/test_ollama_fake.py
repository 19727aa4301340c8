"""The fake Ollama, asked by the official client."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest

from tests.fakes.hub import FakeHub
from tests.fakes.ollama import FakeOllama, busy, load_failure
from tests.fakes.ollama_create import CreateFault, UploadFault, no_room
from tests.fakes.ollama_gguf import make_gguf
from tests.fakes.ollama_models import OllamaModel
from tests.fakes.ollama_pull import PullFault, digest_mismatch, disk_full, dying_download, retries_exceeded

QWEN = OllamaModel("qwen3:8b", ("completion", "tools", "thinking"), family="qwen3", context_length=40_960)
GEMMA = OllamaModel("gemma:2b", ("completion", "vision"), family="gemma", context_length=8192)
NOMIC = OllamaModel("nomic-embed-text", ("embedding",), family="nomic-bert", quantization="F16")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
HUB_NAME = "hf.co/acme/tiny-chat-GGUF:Q4_K_M"


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(models=[QWEN, GEMMA, NOMIC]) as started:
        yield started


@pytest.fixture
def client(server: FakeOllama) -> Iterator[ollama.Client]:
    with ollama.Client(server.url, trust_env=False) as opened:
        yield opened


def refusal(call: Any, *args: Any, **options: Any) -> tuple[int, str]:
    """Status (-1 for an error line) and text of the error that the client raises, also while it reads a stream."""
    try:
        result = call(*args, **options)
        if options.get("stream"):
            list(result)
    except ollama.ResponseError as error:
        return error.status_code, error.error
    raise AssertionError("nothing was refused")


def asked(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_list_and_show(client: ollama.Client) -> None:
    listed = {model.model: model for model in client.list().models}
    assert set(listed) == {"qwen3:8b", "gemma:2b", "nomic-embed-text:latest"}
    assert listed["qwen3:8b"].digest == QWEN.digest
    assert listed["qwen3:8b"].size == QWEN.size
    shown = client.show("Qwen3:8B")
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["qwen3.context_length"] == 40_960
    assert refusal(client.show, "absent") == (404, "model 'absent:latest' not found")
    assert refusal(client.show, "a/b/c/d") == (400, "invalid model name")


def test_copy_and_delete(client: ollama.Client) -> None:
    client.copy("qwen3:8b", "mine")
    assert "mine:latest" in [model.model for model in client.list().models]
    assert client.delete("MINE").status == "success"
    assert "mine:latest" not in [model.model for model in client.list().models]
    assert refusal(client.delete, "mine") == (404, "model 'mine' not found")
    assert refusal(client.copy, "mine", "yours") == (404, 'model "mine" not found')


def test_pull_shows_layers_one_after_another(server: FakeOllama, client: ollama.Client) -> None:
    published = server.library.publish(OllamaModel("mistral:7b", size=4_000_000_000, family="mistral"))
    lines = list(client.pull("mistral:7b", stream=True))
    statuses = [line.status or "" for line in lines]
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    weights = [line for line in lines if line.total == 4_000_000_000]
    assert weights[0].completed is None
    assert max(line.completed or 0 for line in weights) < 4_000_000_000
    digests = [line.digest for line in lines if line.digest]
    assert len(set(digests)) == len([one for at, one in enumerate(digests) if at == 0 or digests[at - 1] != one])
    found = server.store.find("mistral:7b")
    assert found is not None
    assert (found.parameter_size, found.context_length) == (published.parameter_size, published.context_length)
    assert found.capabilities == ("completion", "tools")
    again = list(client.pull("mistral:7b", stream=True))
    assert all(line.completed == line.total for line in again if line.digest)


def test_pull_from_the_hub(server: FakeOllama, client: ollama.Client, hub: FakeHub) -> None:
    server.registry = hub
    assert client.pull(HUB_NAME).status == "success"
    body = hub.manifest("acme", "tiny-chat-GGUF", "Q4_K_M").body
    row = next(model for model in client.list().models if model.model == HUB_NAME)
    assert row.digest == hashlib.sha256(body).hexdigest()
    assert row.details is not None
    assert (row.details.quantization_level, row.details.family) == ("Q4_K_M", "llama")
    assert client.pull(HUB_NAME.replace("acme", "ACME").replace("Q4_K_M", "q4_k_m")).status == "success"
    assert [model.model for model in client.list().models].count(HUB_NAME) == 1
    status, text = refusal(client.pull, "hf.co/acme/tiny-chat-GGUF:Q9_X")
    assert status == 500
    assert text.startswith('pull model manifest: 400: {"error": "The specified tag is not a valid quantization scheme')
    assert "pull model manifest: 401: " in refusal(client.pull, "hf.co/acme/secret", stream=True)[1]


def test_pull_errors(server: FakeOllama, client: ollama.Client) -> None:
    assert refusal(client.pull, "absent", stream=True) == (-1, "pull model manifest: file does not exist")
    assert refusal(client.pull, "absent") == (500, "pull model manifest: file does not exist")
    assert refusal(client.pull, "x" * 81) == (400, "invalid model name")
    assert "no such host" in refusal(client.pull, "registry.example.org/a/b")[1]
    server.library.refuse("big:70b", 400, "The specified tag is a sharded GGUF.")
    assert "sharded GGUF" in refusal(client.pull, "big:70b", stream=True)[1]


def test_pull_faults(server: FakeOllama, client: ollama.Client) -> None:
    published = server.library.publish(OllamaModel("mistral:7b", size=9_000_000))
    weights = published.layers[0].digest
    server.pulls.faults = [disk_full(times=1), retries_exceeded(80), dying_download(), digest_mismatch()]
    assert "no space left on device" in refusal(client.pull, "mistral:7b", stream=True)[1]
    assert server.store.partials[weights] == 4_500_000
    assert refusal(client.pull, "mistral:7b", stream=True) == (-1, "max retries exceeded: EOF")
    assert server.store.partials[weights] == 7_200_000
    assert refusal(client.pull, "mistral:7b", stream=True) == (-1, "context canceled")
    assert refusal(client.pull, "mistral:7b", stream=True)[1].startswith("digest mismatch")
    assert weights not in server.store.blobs | server.store.partials
    server.pulls.faults = [PullFault(falls_to=10.0)]
    seen = [line.completed or 0 for line in client.pull("mistral:7b", stream=True) if line.digest == weights]
    assert seen != sorted(seen)
    client.delete("mistral:7b")
    server.pulls.faults = [PullFault("write", ends=True), PullFault("verify", unlisted=True)]
    assert [line.status for line in client.pull("mistral:7b", stream=True)][-1] == "writing manifest"
    assert [line.status for line in client.pull("mistral:7b", stream=True)][-1] == "success"
    assert server.store.find("mistral:7b") is None


@pytest.mark.parametrize("prune", [False, True])
def test_create_from_blob(server: FakeOllama, client: ollama.Client, tmp_path: Path, prune: bool) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(make_gguf("llama", context_length=2048, parameters=134_515_008, padding=b"w" * 100_000))
    digest = client.create_blob(file)
    lines = [line.status for line in client.create("tiny", files={"tiny.gguf": digest}, stream=True)]
    assert lines == ["parsing GGUF", f"using existing layer {digest}", "writing manifest", "success"]
    details = client.show("tiny").details
    assert details is not None
    assert (details.parameter_size, details.quantization_level) == ("134.52M", "Q4_K_M")
    client.create_blob(file)
    server.restart(prune=prune)
    assert client.chat("tiny", asked("still here")).message.content == "Message 1 had 2 words: still here"
    text = "supplied file was not in GGUF format"
    (tmp_path / "no.gguf").write_bytes(b"not one")
    other = client.create_blob(tmp_path / "no.gguf")
    assert refusal(client.create, "tiny", files={"no.gguf": other}) == (400, text)
    assert refusal(client.create, "tiny", files={"no.gguf": other}, stream=True) == (-1, text)
    assert refusal(client.create, "tiny", files={"/no.gguf": other})[1] == "file path must be relative"
    assert refusal(client.create, "tiny", files={"no.txt": other}) == (400, "unknown type")
    assert refusal(client.create, "tiny", files={}) == (400, "no files provided to convert")
    assert refusal(client.create, "tiny") == (400, "neither 'from' or 'files' was specified")
    client.create("pirate", from_="tiny", system="Be a pirate.")
    assert "pirate:latest" in [model.model for model in client.list().models]


@pytest.mark.parametrize(("version", "loads"), [("0.32.15", True), ("0.24.0", False)])
def test_create_from_shards(tmp_path: Path, version: str, loads: bool) -> None:
    names = [f"big-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    for name in names:
        (tmp_path / name).write_bytes(make_gguf(padding=name.encode() * 10))
    with FakeOllama(version) as server, ollama.Client(server.url, trust_env=False) as client:
        files = {name: client.create_blob(tmp_path / name) for name in names}
        client.create("big", files=files)
        if loads:
            assert client.chat("big", asked("hi")).done_reason == "stop"
            assert refusal(client.create, "big", files={names[0]: files[names[0]]})[0] == 400
        else:
            assert "unable to load model" in refusal(client.chat, "big", asked("hi"))[1]


def test_create_faults(server: FakeOllama, client: ollama.Client, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(make_gguf(padding=b"w" * 700_000))
    server.blobs.faults = [no_room(times=1), UploadFault(after=100_000, corrupts=True)]
    status, text = refusal(client.create_blob, file)
    assert (status, "no space left on device" in text) == (500, True)
    status, text = refusal(client.create_blob, file)
    assert (status, text.startswith("digest mismatch, expected ")) == (400, True)
    digest = client.create_blob(file)
    assert client.create_blob(file) == digest  # it is there
    files = {"tiny.gguf": digest}
    server.creations.faults = [CreateFault("write", error="unexpected EOF"), CreateFault("write", ends=True)]
    assert refusal(client.create, "tiny", files=files, stream=True) == (-1, "unexpected EOF")
    assert [line.status for line in client.create("tiny", files=files, stream=True)][-1] == "writing manifest"
    server.creations.faults = [CreateFault("end", unlisted=True), CreateFault("parse", loses_blobs=True)]
    assert [line.status for line in client.create("tiny", files=files, stream=True)][-1] == "success"
    assert client.list().models == [model for model in client.list().models if model.model != "tiny:latest"]
    status, text = refusal(client.create, "tiny", files=files, stream=True)
    assert (status, text.endswith("no such file or directory")) == (-1, True)
    client.create_blob(file)
    assert client.create("tiny", files=files).status == "success"


def test_a_download_that_was_given_up_spoils_the_next(server: FakeOllama, client: ollama.Client) -> None:
    server.library.publish(OllamaModel("mistral:7b", size=9_000_000))
    server.pulls.wind_down = 0.3
    server.pulls.faults = [retries_exceeded(50)]
    assert refusal(client.pull, "mistral:7b", stream=True) == (-1, "max retries exceeded: EOF")
    assert refusal(client.pull, "mistral:7b", stream=True) == (-1, "context canceled")
    time.sleep(0.3)
    assert client.pull("mistral:7b").status == "success"


def test_chat_streams_words(client: ollama.Client) -> None:
    lines = list(client.chat("gemma:2b", asked("Grüße aus Köln"), stream=True))
    assert "".join(line.message.content or "" for line in lines) == "Message 1 had 3 words: Grüße aus Köln"
    assert len(lines) == 9
    assert (lines[-1].done, lines[-1].done_reason, lines[-1].eval_count) == (True, "stop", 8)
    assert lines[-1].total_duration
    short = client.chat("gemma:2b", asked("one two three"), options={"num_predict": 2})
    assert (short.message.content, short.done_reason) == ("Message 1", "length")


def test_thinking(client: ollama.Client) -> None:
    assert client.chat("qwen3:8b", asked("why")).message.thinking == "The user wrote 1 words."
    assert client.chat("qwen3:8b", asked("why"), think=False).message.thinking is None
    assert refusal(client.chat, "gemma:2b", asked("why"), think=True) == (400, '"gemma:2b" does not support thinking')
    assert refusal(client.chat, "qwen3:8b", asked("why"), think="very")[0] == 400  # type: ignore[arg-type]


def test_tools(client: ollama.Client) -> None:
    messages = asked("Please get the weather in Oslo")
    lines = list(client.chat("qwen3:8b", messages, tools=[WEATHER], stream=True))
    calls = [call for line in lines for call in line.message.tool_calls or []]
    assert [(call.function.name, call.function.arguments) for call in calls] == [("get_weather", {"city": "Oslo"})]
    assert lines[-1].done_reason == "stop"
    result = {"role": "tool", "tool_name": "get_weather", "content": "4 degrees"}
    messages += [{"role": "assistant", "content": "", "tool_calls": [calls[0].model_dump()]}, result]
    assert client.chat("qwen3:8b", messages, tools=[WEATHER]).message.content == "The tool said: 4 degrees"
    expected = (400, "registry.ollama.ai/library/gemma:2b does not support tools")
    assert refusal(client.chat, "gemma:2b", messages[:1], tools=[WEATHER]) == expected


def test_loading(client: ollama.Client) -> None:
    assert client.ps().models == []
    assert client.chat("gemma:2b", []).done_reason == "load"
    client.chat("qwen3:8b", asked("hi"), options={"num_ctx": 16_384}, keep_alive=-1)
    running = {model.model: model for model in client.ps().models}
    assert running["qwen3:8b"].context_length == 16_384
    assert running["gemma:2b"].context_length == 4096
    assert running["qwen3:8b"].expires_at is not None
    assert running["qwen3:8b"].expires_at.year > 2200
    assert client.chat("qwen3:8b", [], keep_alive=0).done_reason == "unload"
    assert [model.model for model in client.ps().models] == ["gemma:2b"]
    client.chat("gemma:2b", options={"num_ctx": 1_000_000})
    assert [model.context_length for model in client.ps().models] == [8192]


def test_a_small_window_loses_the_oldest(client: ollama.Client) -> None:
    messages = [*asked("one two three four"), {"role": "assistant", "content": "five"}, *asked("six")]
    assert client.chat("gemma:2b", messages).message.content == "Message 2 had 1 words: six"
    assert client.chat("gemma:2b", messages, options={"num_ctx": 3}).message.content == "Message 1 had 1 words: six"


def test_chat_errors(server: FakeOllama, client: ollama.Client) -> None:
    assert refusal(client.chat, "absent", asked("hi")) == (404, "model 'absent' not found")
    expected = (400, '"nomic-embed-text" does not support chat')
    assert refusal(client.chat, "nomic-embed-text", asked("hi")) == expected
    server.faults = [busy(), load_failure("unable to load model: /x")]
    assert refusal(client.chat, "gemma:2b", asked("hi"))[0] == 503
    assert refusal(client.chat, "gemma:2b", asked("hi"), stream=True) == (500, "unable to load model: /x")
    server.faults = []
    server.chats.manner.error_after = 2
    assert refusal(client.chat, "gemma:2b", asked("hi"), stream=True)[0] == -1
    assert refusal(client.chat, "gemma:2b", asked("hi"))[0] == 500


def test_generate(client: ollama.Client) -> None:
    lines = list(client.generate("qwen3:8b", "why not", stream=True))
    assert "".join(line.response or "" for line in lines) == "Message 1 had 2 words: why not"
    assert client.generate("qwen3:8b", "why not").thinking == "The user wrote 2 words."
