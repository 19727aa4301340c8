"""The fake Ollama on the wire: what the official client hides, and every knob."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.fakes.ollama import FakeOllama
from tests.fakes.ollama_create import UploadFault, no_room
from tests.fakes.ollama_gguf import make_gguf, read_header
from tests.fakes.ollama_models import OllamaModel
from tests.fakes.ollama_names import Name
from tests.fakes.ollama_pull import PullFault, stall

RECORDED = Path(__file__).parents[3] / "shared/data/ollama/ollama-dashboard"
QWEN = OllamaModel("qwen3:8b", ("completion", "tools", "thinking"), family="qwen3", context_length=40_960)
PLAIN = OllamaModel("acme/plain:1b", ("completion",))
MEGA = 1_000_000


@pytest.fixture
def server() -> Iterator[FakeOllama]:
    with FakeOllama(models=[QWEN, PLAIN]) as started:
        yield started


@pytest.fixture
def http(server: FakeOllama) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=5.0) as opened:
        yield opened


def lines_of(http: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = http.post(path, json=body)
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def chat(text: str = "hello", model: str = "acme/plain:1b", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + 3.0
    while not (value := condition()):
        assert time.monotonic() < until, "nothing happened within 3 s"
        time.sleep(0.005)
    return value


def leave_while_silent(server: FakeOllama, path: str, body: dict[str, Any]) -> float:
    """Send a request, close the connection once it has arrived, and return how long the server took to notice."""
    data = json.dumps(body).encode()
    before = len(server.requests)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)))
        sock.sendall(data)
        wait_for(lambda: len(server.requests) > before)
    left = time.monotonic()
    return float(wait_for(lambda: server.requests[-1].closed_at)) - left


# Shapes


def test_rows_have_the_recorded_keys(server: FakeOllama, http: httpx.Client) -> None:
    recorded = json.loads((RECORDED / "api_tags.json").read_text())["models"][0]
    row = http.get("/api/tags").json()["models"][0]
    assert row.keys() == recorded.keys()
    assert row["details"].keys() == recorded["details"].keys()
    http.post("/api/chat", json=chat("", messages=[]))
    loaded = json.loads((RECORDED / "api_ps_loaded.json").read_text())["models"][0]
    running = http.get("/api/ps").json()["models"][0]
    assert running.keys() == loaded.keys()
    assert running["details"].keys() == loaded["details"].keys()


def test_newest_first(server: FakeOllama, http: httpx.Client) -> None:
    http.post("/api/copy", json={"source": "plain", "destination": "x"})
    http.post("/api/copy", json={"source": "acme/plain:1b", "destination": "newer"})
    assert next(row["name"] for row in http.get("/api/tags").json()["models"]) == "newer:latest"


def test_an_old_server_knows_less() -> None:
    with FakeOllama("0.12.3", [QWEN]) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        assert http.get("/api/version").json() == {"version": "0.12.3"}
        row = http.get("/api/tags").json()["models"][0]
        assert "capabilities" not in row
        assert "context_length" not in row["details"]
        assert http.post("/api/show", json={"model": "qwen3:8b"}).json()["capabilities"] == list(QWEN.capabilities)
        assert not any(line["message"].get("thinking") for line in lines_of(http, "/api/chat", chat(model="qwen3:8b")))


def test_show_is_large(http: httpx.Client) -> None:
    answer = http.post("/api/show", json={"model": "qwen3:8b"})
    assert len(answer.content) > 30_000
    assert answer.json()["model_info"]["tokenizer.ggml.tokens"] is None


def test_a_cloud_stub(server: FakeOllama, http: httpx.Client) -> None:
    server.store.install(OllamaModel("kimi-k2:cloud", size=300, remote_host="https://ollama.com:443"))
    row = next(row for row in http.get("/api/tags").json()["models"] if row["name"] == "kimi-k2:cloud")
    assert row["remote_model"] == "kimi-k2"
    assert row["details"]["families"] is None


def test_root_unknown_paths_and_methods(http: httpx.Client) -> None:
    assert http.get("/").text == "Ollama is running"
    assert http.head("/").status_code == 200
    assert (http.get("/api/nothing").status_code, http.get("/api/nothing").text) == (404, "404 page not found")
    wrong = http.get("/api/pull")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert http.head("/api/ps").status_code == 405


@pytest.mark.parametrize("host", ["evil.example", "8.8.8.8", "localhost.evil.example"])
def test_foreign_hosts_are_refused(http: httpx.Client, host: str) -> None:
    answer = http.get("/api/tags", headers={"Host": host})
    assert (answer.status_code, answer.content) == (403, b"")
    assert http.get("/api/tags", headers={"Origin": f"http://{host}"}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "192.168.1.5:11434", "box.local", "[::1]:1", "0.0.0.0"])
def test_near_hosts_are_welcome(http: httpx.Client, host: str) -> None:
    assert http.get("/api/tags", headers={"Host": host, "Origin": "http://localhost:3000"}).status_code == 200


def test_bodies_are_checked(http: httpx.Client) -> None:
    assert http.post("/api/chat").json() == {"error": "missing request body"}
    assert http.post("/api/pull", content=b"nonsense").status_code == 400
    assert http.post("/api/pull", json={"model": ""}).json() == {"error": "invalid model name"}
    assert http.post("/api/show", json={}).json() == {"error": "model is required"}
    answer = http.request("DELETE", "/api/delete", json={"model": "qwen3:8b"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert http.request("DELETE", "/api/delete", json={"model": "a b"}).json() == {"error": 'name "a b" is invalid'}


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("qwen3", "qwen3:latest"),
        ("library/qwen3:8b", "qwen3:8b"),
        ("registry.ollama.ai/acme/qwen3:8b", "acme/qwen3:8b"),
        ("hf.co/Org/Repo-GGUF:Q4_K_M", "hf.co/Org/Repo-GGUF:Q4_K_M"),
        ("http://localhost:5000/org/repo", "localhost:5000/org/repo:latest"),
        ("a" * 80 + ":" + "b" * 80, "a" * 80 + ":" + "b" * 80),
        ("a" * 81, None),
        ("m:" + "t" * 81, None),
        ("hf.co/my.org/repo:Q4", None),
        ("hf.co/org/repo:folder/Q4", None),
        ("hf.co/a/b/c:Q4", None),
        ("-x", None),
        ("a:", None),
        ("", None),
    ],
)
def test_names(text: str, shortest: str | None) -> None:
    name = Name.parse(text)
    assert (name.shortest if name else None) == shortest


def test_the_header_of_a_real_gguf_is_read(small_model: Path) -> None:
    with small_model.open("rb") as opened:
        header = read_header(opened.read(8 << 20))
    assert (header.architecture, header.quantization, header.of_architecture("context_length")) == (
        "llama",
        "Q4_1",
        8192,
    )
    assert header.parameters == 134_515_008


# Pulls


def test_tiny_layers_and_zero_are_left_out(server: FakeOllama, http: httpx.Client) -> None:
    # A layer that another model has already would be shown as complete.
    server.library.publish(OllamaModel("m", ("completion", "insert"), size=9 * MEGA, family="mistral"))
    lines = lines_of(http, "/api/pull", {"model": "m"})
    first = next(line for line in lines if "digest" in line)
    assert first.keys() == {"status", "digest", "total"}
    assert first["status"] == f"pulling {first['digest'][7:19]}"
    config = [line for line in lines if line.get("total", MEGA) < 1000]
    assert config
    assert not any("completed" in line for line in config)


def test_a_broken_off_pull_is_resumed(server: FakeOllama, http: httpx.Client) -> None:
    weights = server.library.publish(OllamaModel("m", size=100 * MEGA)).layers[0].digest
    server.pulls.speed, server.pulls.tick = 200 * MEGA, 0.01
    with http.stream("POST", "/api/pull", json={"model": "m"}) as answer:
        for line in answer.iter_lines():
            if json.loads(line).get("completed", 0) > 10 * MEGA:
                break
    kept = wait_for(lambda: server.store.partials.get(weights))
    assert server.requests[-1].closed_at
    assert 10 * MEGA < kept < 90 * MEGA
    server.pulls.speed = None
    again = [line for line in lines_of(http, "/api/pull", {"model": "m"}) if line.get("digest") == weights]
    assert again[0]["completed"] == kept
    assert weights in server.store.blobs


def test_a_restart_may_prune(server: FakeOllama, http: httpx.Client) -> None:
    weights = server.library.publish(OllamaModel("m", size=100 * MEGA)).layers[0].digest
    server.pulls.faults = [PullFault(cut=True)]
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/api/pull", json={"model": "m"})
    assert server.restart().store.partials == {weights: 50 * MEGA}
    assert server.restart(prune=True).store.partials == {}
    assert http.get("/api/version").status_code == 200


def test_a_download_is_shared(server: FakeOllama, http: httpx.Client) -> None:
    server.library.publish(OllamaModel("m", size=60 * MEGA))
    server.pulls.speed, server.pulls.tick = 200 * MEGA, 0.01
    results: list[list[dict[str, Any]]] = []
    other = threading.Thread(target=lambda: results.append(lines_of(http, "/api/pull", {"model": "m"})))
    other.start()
    results.append(lines_of(http, "/api/pull", {"model": "m"}))
    other.join()
    assert [lines[-1] for lines in results] == [{"status": "success"}] * 2


def test_a_stall_repeats_itself_until_the_client_leaves(server: FakeOllama, http: httpx.Client) -> None:
    weights = server.library.publish(OllamaModel("m", size=100 * MEGA)).layers[0].digest
    server.pulls.faults, server.pulls.tick = [stall()], 0.005
    seen = []
    with http.stream("POST", "/api/pull", json={"model": "m"}) as answer:
        for line in answer.iter_lines():
            seen.append(json.loads(line).get("completed"))
            if seen.count(99 * MEGA) > 5:
                break
    assert seen[-5:] == [99 * MEGA] * 5
    assert wait_for(lambda: server.store.partials.get(weights)) == 99 * MEGA
    assert lines_of(http, "/api/pull", {"model": "m"})[-1] == {"status": "success"}


def test_a_slow_download(server: FakeOllama, http: httpx.Client) -> None:
    server.library.publish(OllamaModel("m", size=20 * MEGA))
    server.pulls.speed, server.pulls.tick = 100 * MEGA, 0.01
    began = time.monotonic()
    lines = lines_of(http, "/api/pull", {"model": "m"})
    weights = [line.get("completed", 0) for line in lines if line.get("total") == 20 * MEGA]
    assert time.monotonic() - began > 0.2
    assert len(weights) > 5
    assert weights == sorted(weights)


def test_silence_and_leaving_in_it(server: FakeOllama) -> None:
    server.library.publish(OllamaModel("m"))
    server.pulls.verify_silence = 60.0
    assert leave_while_silent(server, "/api/pull", {"model": "m"}) < 0.5
    assert server.store.find("m") is None


def test_garbage_between_lines(server: FakeOllama, http: httpx.Client) -> None:
    server.library.publish(OllamaModel("m"))
    server.pulls.faults = [PullFault("verify", line=b"<html>\n")]
    server.pulls.split_every = 3
    assert "\n<html>\n" in http.post("/api/pull", json={"model": "m"}).text


def test_updating_a_tag_removes_what_is_unused(server: FakeOllama, http: httpx.Client) -> None:
    old = server.library.publish(OllamaModel("m", size=5 * MEGA))
    lines_of(http, "/api/pull", {"model": "m"})
    server.library.publish(OllamaModel("m", size=5 * MEGA, system="new"))
    lines = lines_of(http, "/api/pull", {"model": "M"})
    assert [line["status"] for line in lines][-2:] == ["removing unused layers", "success"]
    assert [row["name"] for row in http.get("/api/tags").json()["models"]].count("m:latest") == 1
    assert old.layers[0].digest in server.store.blobs


# Blobs


def test_blobs(server: FakeOllama, http: httpx.Client) -> None:
    data = make_gguf(padding=b"x" * 300_000)
    path = f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}"
    assert http.head(path).status_code == 404
    pieces = (data[at : at + 50_000] for at in range(0, len(data), 50_000))
    assert http.post(path, content=pieces).status_code == 201  # chunked
    assert http.post(path, content=data).status_code == 200
    assert http.head(path).status_code == 200
    wrong = http.post(f"/api/blobs/sha256:{'0' * 64}", content=data)
    assert wrong.status_code == 400
    assert wrong.json()["error"].startswith("digest mismatch, expected")
    assert http.head("/api/blobs/sha256:12").status_code == 400


def test_what_is_there_or_has_no_room_is_not_read(server: FakeOllama, http: httpx.Client) -> None:
    data = make_gguf(padding=b"x" * 3_000_000)
    path = f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}"
    server.blobs.faults = [no_room(after=500_000)]
    full = http.post(path, content=data)
    assert (full.status_code, full.headers["connection"]) == (500, "close")
    assert "no space left on device" in full.json()["error"]
    assert http.head(path).status_code == 404
    server.blobs.faults = []
    assert http.post(path, content=data).status_code == 201
    before = server.blobs.taken
    assert http.post(path, content=data).status_code == 200
    assert server.blobs.taken - before < 1_000_000


@pytest.mark.parametrize("after", [0, 400_000])
def test_an_upload_can_be_cut_by_the_server(server: FakeOllama, http: httpx.Client, after: int) -> None:
    data = make_gguf(padding=b"x" * 30_000_000)
    path = f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}"
    server.blobs.faults = [UploadFault(after, cut=True)]
    with pytest.raises(httpx.TransportError):
        http.post(path, content=data)
    assert http.post(path, content=data).status_code == 201


@pytest.mark.parametrize(
    ("path", "status"),
    [("m.gguf", 200), ("folder/m.gguf", 200), ("/m.gguf", 400), ("../m.gguf", 400), ("a:b.gguf", 400), ("", 400)],
)
def test_paths_of_files(server: FakeOllama, http: httpx.Client, path: str, status: int) -> None:
    data = make_gguf()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    http.post(f"/api/blobs/{digest}", content=data)
    answer = http.post("/api/create", json={"model": "tiny", "files": {path: digest}})
    assert answer.status_code == status


def test_an_upload_that_breaks_off_leaves_nothing(server: FakeOllama) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        head = b"POST /api/blobs/sha256:%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" % (b"0" * 64)
        sock.sendall(head + b"GGUF")
    seen = wait_for(lambda: server.seen("POST", "/api/blobs/.*"))[0]
    assert seen.closed_at
    assert f"sha256:{'0' * 64}" not in server.store.blobs


# Chat


def test_tool_calls_are_whole_and_have_ids(server: FakeOllama, http: httpx.Client) -> None:
    tool = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}
    lines = lines_of(http, "/api/chat", chat("read the file", "qwen3:8b", tools=[tool]))
    calls = [line["message"]["tool_calls"] for line in lines if "tool_calls" in line["message"]]
    assert len(calls) == 1
    assert calls[0][0]["function"] == {"index": 0, "name": "read_file", "arguments": {}}
    assert len(calls[0][0]["id"]) == len("call_12345678")
    again = lines_of(http, "/api/chat", chat("read the file", "qwen3:8b", tools=[tool]))
    assert calls[0][0]["id"] not in json.dumps(again)


def test_wrong_types_are_refused(http: httpx.Client) -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    body = chat(messages=[{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert "cannot unmarshal string" in http.post("/api/chat", json=body).json()["error"]
    assert http.post("/api/chat", json=chat(think="false")).status_code == 400
    assert http.post("/api/chat", json=chat(keep_alive="5")).status_code == 400
    assert http.post("/api/chat", json=chat(options={"num_ctx": "8"})).status_code == 500
    image = {"role": "user", "content": "what", "images": ["AAAA"]}
    assert http.post("/api/chat", json=chat(messages=[image])).status_code == 400


def test_keep_alive(http: httpx.Client) -> None:
    http.post("/api/chat", json=chat(keep_alive="50ms"))
    wait_for(lambda: http.get("/api/ps").json() == {"models": []})
    http.post("/api/chat", json=chat(keep_alive=0))
    assert http.get("/api/ps").json() == {"models": []}


def test_loading_is_silent_only_once(server: FakeOllama, http: httpx.Client) -> None:
    def seconds(**options: int) -> float:
        began = time.monotonic()
        http.post("/api/chat", json=chat(options=options))
        return time.monotonic() - began

    server.chats.manner.load_silence = 0.15
    assert seconds() >= 0.15
    assert seconds() < 0.15
    assert seconds(num_ctx=2048) >= 0.15


def test_leaving_before_the_first_token_is_noticed(server: FakeOllama) -> None:
    server.chats.manner.first_silence = 60.0
    assert leave_while_silent(server, "/api/chat", chat()) < 0.5
    server.chats.manner.first_silence = 0.0
    server.chats.manner.stall_after = 2
    assert leave_while_silent(server, "/api/chat", chat()) < 0.5


def test_an_endless_answer_ends_with_the_client(server: FakeOllama, http: httpx.Client) -> None:
    server.chats.manner.endless = True
    server.chats.manner.words_per_second = 1000
    with http.stream("POST", "/api/chat", json=chat()) as answer:
        assert json.loads(next(answer.iter_lines()))["done"] is False
    assert wait_for(lambda: server.requests[-1].closed_at)


def test_ends_without_done(server: FakeOllama, http: httpx.Client) -> None:
    server.chats.manner.eof_after = 2
    assert [line["done"] for line in lines_of(http, "/api/chat", chat())] == [False, False]
    server.chats.manner.eof_after = None
    server.chats.manner.error_after = 1
    assert lines_of(http, "/api/chat", chat())[-1] == {"error": server.chats.manner.error}
    server.chats.manner.cut_after = 1
    server.chats.manner.error_after = None
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/api/chat", json=chat())


def test_bytes_arrive_in_any_pieces(server: FakeOllama, http: httpx.Client) -> None:
    server.chats.manner.split_every = 1
    server.chats.manner.garbage_after = 1
    with http.stream("POST", "/api/chat", json=chat("Grüße 👋")) as answer:
        pieces = list(answer.iter_raw())
    text = b"".join(pieces).decode()
    assert "👋" in text
    assert '{"model":"broken\n' in text


# OpenAI's form


def test_openai_client(server: FakeOllama) -> None:
    tool: Any = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}
    said: Any = [{"role": "user", "content": "read the file"}]
    http = httpx.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", http_client=http, max_retries=0) as client:
        assert {model.id for model in client.models.list().data} == {"qwen3:8b", "acme/plain:1b"}
        answer = client.chat.completions.create(model="qwen3:8b", messages=said, tools=[tool])
        assert answer.choices[0].finish_reason == "tool_calls"
        calls = answer.choices[0].message.tool_calls or []
        said += [answer.choices[0].message, {"role": "tool", "tool_call_id": calls[0].id, "content": "42"}]
        chunks = list(client.chat.completions.create(model="qwen3:8b", messages=said, tools=[tool], stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "The tool said: 42"
        assert "".join(getattr(chunk.choices[0].delta, "reasoning", "") for chunk in chunks)
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="absent", messages=said)
        assert caught.value.body == {
            "message": "model 'absent' not found",
            "type": "not_found_error",
            "param": None,
            "code": None,
        }


def test_openai_quirks(server: FakeOllama, http: httpx.Client) -> None:
    body = {"model": "acme/plain:1b", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert http.post("/v1/chat/completions", json=body).text.endswith("data: [DONE]\n\n")
    server.chats.manner.error_after = 1
    text = http.post("/v1/chat/completions", json=body).text
    assert "error" not in text
    assert "[DONE]" not in text
    assert '"finish_reason":"' not in text
    for name in ("qwen3:8b", "acme/plain:1b"):
        http.request("DELETE", "/api/delete", json={"model": name})
    assert http.get("/v1/models").json() == {"object": "list", "data": None}
    assert http.get("/api/tags").json() == {"models": []}
