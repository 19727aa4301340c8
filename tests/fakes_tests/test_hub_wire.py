"""The Hub byte by byte: headers, keys, hashes against recorded ones, signed URLs, faults, the registry."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fakes.faults import Fault, captive_portal
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Blob, Repo, SparseFile
from tests.fakes_tests.hub_fixture import WEIGHTS, small_hub
from tests.plugins.huggingface.recordings import response

TINY = "acme/tiny-chat-GGUF"
FILE = f"/{TINY}/resolve/main/tiny-Q4_K_M.gguf"


class Got:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        try:
            self.body, self.is_whole = response.read(), True
        except http.client.IncompleteRead as error:
            self.body, self.is_whole = error.partial, False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(url: str, method: str = "GET", timeout: float = 5, **headers: str) -> Got:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers={"Connection": "close", **sent})
    try:
        return Got(connection.getresponse())
    finally:
        connection.close()


def signed(hub: FakeHub) -> str:
    return get(hub.url + FILE, "HEAD").headers["location"] or ""


def recorded(name: str) -> Any:
    return response(f"hub/{name}")["body_json"]


def test_hashes_are_those_of_git_and_lfs() -> None:
    """`oid` of an LFS file is the sha1 of its pointer, as in trees recorded from the real Hub."""
    entries = [entry for entry in recorded("tree_bert-base-uncased.json") if "lfs" in entry]
    assert len(entries) == 2
    for entry in entries:
        blob = Blob(b"")
        blob.sha256, blob.size = entry["lfs"]["oid"], entry["size"]
        assert len(blob.pointer) == entry["lfs"]["pointerSize"]
        assert Blob(blob.pointer).git_sha1 == entry["oid"]
    assert Blob(b"hello\n").git_sha1 == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_keys_of_a_detail_are_the_recorded_ones(hub: FakeHub) -> None:
    ours = get(f"{hub.url}/api/models/acme/bare?blobs=true").json
    assert set(ours) == set(recorded("detail_blobs_true_eicar.json")) | {"model-index"}
    big, recorded_big = get(f"{hub.url}/api/models/meta/big-instruct").json, recorded("detail_zephyr-7b-beta.json")
    assert set(recorded_big) - set(big) <= {"widgetData", "transformersInfo", "mask_token"}
    tree = get(f"{hub.url}/api/models/{TINY}/tree/main?expand=true").json
    by_type = {entry["path"]: set(entry) for entry in tree}
    lfs, plain = recorded("tree_bert-base-uncased_expand.json")[2], recorded("tree_bert-base-uncased_expand.json")[0]
    assert by_type["tiny-Q4_K_M.gguf"] - {"securityFileStatus"} == set(lfs)
    assert by_type["README.md"] - {"securityFileStatus"} == set(plain)


def test_list_keys_are_absent_rather_than_null(hub: FakeHub) -> None:
    bare = get(f"{hub.url}/api/models?search=bare").json[0]
    assert set(bare) == {
        *("_id", "id", "modelId", "likes", "trendingScore", "private", "downloads", "tags", "createdAt"),
    }
    full = get(f"{hub.url}/api/models?search=bare&full=true").json[0]
    assert set(full) - set(bare) == {"author", "gated", "lastModified", "sha", "siblings"}
    wanted = "expand[]=gguf&expand[]=downloads&expand[]=inferenceProviderMapping"
    expanded = get(f"{hub.url}/api/models?search=tiny&{wanted}").json[0]
    assert set(expanded) == {"_id", "id", "gguf", "downloads", "inferenceProviderMapping"}
    assert isinstance(expanded["inferenceProviderMapping"], list)
    assert isinstance(get(f"{hub.url}/api/models/{TINY}?{wanted}").json["inferenceProviderMapping"], dict)


def test_a_page_names_the_next_by_an_opaque_link_only(hub: FakeHub) -> None:
    page = get(f"{hub.url}/api/models?author=acme&limit=2&sort=downloads")
    link = page.headers["link"]
    assert link.startswith(f"<{hub.url}/api/models?")
    assert link.endswith('>; rel="next"')
    following = get(link[1 : link.index(">")])
    assert not {m["id"] for m in page.json} & {m["id"] for m in following.json}
    hub.link_origin = "https://huggingface.co"
    assert get(f"{hub.url}/api/models?limit=1").headers["link"].startswith("<https://huggingface.co/api/models?")
    for bad in ("cursor=nonsense", "limit=0", "sort=beauty", "num_parameters=many"):
        assert get(f"{hub.url}/api/models?{bad}").status == 400


def test_every_answer_carries_the_rate_limit(hub: FakeHub) -> None:
    first, second = get(f"{hub.url}/api/models"), get(f"{hub.url}/nothing/here/at/all")
    assert first.headers["ratelimit"].startswith('"api";r=49999;t=')
    assert first.headers["ratelimit-policy"] == '"fixed window";"api";q=50000;w=300'
    assert (second.status, second.headers["ratelimit"][:7]) == (404, '"pages"')


def test_a_window_ends(tmp_path: Path) -> None:
    now = [1000.0]
    hub = FakeHub(clock=lambda: now[0])
    hub.quotas["api"] = 1
    with hub:
        assert [get(f"{hub.url}/api/models").status for _ in range(2)] == [200, 429]
        now[0] += 301
        assert get(f"{hub.url}/api/models").status == 200


def test_a_large_file_redirects_with_its_real_size_and_hash(hub: FakeHub) -> None:
    blob = hub.repos[TINY].commits[0].files["tiny-Q4_K_M.gguf"].blob
    head = get(hub.url + FILE, "HEAD")
    assert head.status == 302
    assert head.headers["x-linked-size"] == str(WEIGHTS.size)
    assert head.headers["x-linked-etag"] == f'"{blob.sha256}"'
    assert head.headers["x-repo-commit"] == hub.repos[TINY].sha
    assert head.headers["content-length"] != str(WEIGHTS.size)
    assert urlsplit(head.headers["location"]).port == hub.cdn.port
    assert get(hub.url + FILE, "HEAD", User_Agent="ollama/0.34.3").status == 307
    data = get(head.headers["location"])
    assert hashlib.sha256(data.body).hexdigest() == blob.sha256
    assert blob.sha256 not in data.headers["etag"]


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=2999990-", 206, (2_999_990, 3_000_000)),
        ("bytes=-5", 206, (2_999_995, 3_000_000)),
        ("bytes=2999990-9999999", 206, (2_999_990, 3_000_000)),
        ("bytes=9-1", 200, (0, 3_000_000)),
        ("bytes=3000000-", 416, (0, 0)),
    ],
)
def test_ranges(hub: FakeHub, asked: str, status: int, span: tuple[int, int]) -> None:
    got = get(signed(hub), Range=asked)
    whole = Blob(WEIGHTS).read()
    assert (got.status, got.body) == (status, whole[slice(*span)])
    if status == 206:
        assert got.headers["content-range"] == f"bytes {span[0]}-{span[1] - 1}/3000000"
    elif status == 416:
        assert got.headers["content-range"] == "bytes */3000000"


def test_if_range_and_expiry(hub: FakeHub) -> None:
    url = signed(hub)
    etag = get(url, "HEAD").headers["etag"]
    assert get(url, Range="bytes=5-", If_Range=etag).status == 206
    hub.cdn.change_etags()
    assert get(url, Range="bytes=5-", If_Range=etag).status == 200
    hub.cdn.expire()
    gone = get(url)
    assert (gone.status, gone.headers["content-type"]) == (403, "application/xml")
    assert get(signed(hub)).status == 200
    assert get(url + "x", Authorization="Bearer leaked").status == 403
    assert hub.cdn.authorizations == ["Bearer leaked"]


def test_faults_on_the_way(hub: FakeHub) -> None:
    url, whole = signed(hub), Blob(WEIGHTS).read()

    def spoiled(fault: Fault, asked: str = "") -> Got:
        hub.cdn.faults = [fault]
        return get(url, Range=asked)

    short = spoiled(Fault(end_after=1000))
    assert (short.is_whole, short.body) == (False, whole[:1000])
    flipped = spoiled(Fault(flip_at=300_000)).body
    assert [at for at in range(len(whole)) if whole[at] != flipped[at]] == [300_000]
    assert spoiled(Fault(ignore_range=True), "bytes=5-").status == 200
    wrong = spoiled(Fault(headers={"Content-Range": "bytes 0-9/10"}), "bytes=5-9")
    assert (wrong.status, wrong.headers["content-range"]) == (206, "bytes 0-9/10")
    lying = spoiled(Fault(headers={"Content-Length": "99"}))
    assert lying.body == whole[:99]
    packed = spoiled(Fault(gzip=True))
    assert (packed.headers["content-encoding"], gzip.decompress(packed.body)) == ("gzip", whole)
    portal = spoiled(captive_portal())
    assert (portal.status, portal.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loop = spoiled(Fault(redirect_loop=True))
    assert url.endswith(loop.headers["location"])
    assert spoiled(Fault(status=503, headers={"Retry-After": "3"})).headers["retry-after"] == "3"
    assert get(url).body == whole


def test_resets_stalls_and_drips(hub: FakeHub) -> None:
    url = signed(hub)
    hub.cdn.faults = [Fault(reset_after=1000), Fault(stall_after=1000), Fault(bytes_per_second=10_000)]
    with pytest.raises(ConnectionResetError):
        get(url)
    with pytest.raises(TimeoutError):
        get(url, timeout=0.2)
    stalled = hub.cdn.requests[-1]
    begun = time.monotonic()
    assert len(get(url, Range="bytes=0-1999").body) == 2000
    assert time.monotonic() - begun > 0.15
    assert stalled.closed_at is not None


def test_a_fault_may_wait_its_turn_and_last(hub: FakeHub) -> None:
    hub.faults = [Fault("/api/models", status=500, body={"error": "x"}, skip=1, times=2)]
    assert [get(f"{hub.url}/api/models").status for _ in range(4)] == [200, 500, 500, 200]
    hub.faults = [Fault(".*tree.*", delay=0.1, status=504, times=None)]
    assert get(f"{hub.url}/api/models/{TINY}").status == 200
    assert [get(f"{hub.url}/api/models/{TINY}/tree/main").status for _ in range(3)] == [504] * 3


def test_a_push_makes_a_new_commit_and_keeps_the_old(hub: FakeHub) -> None:
    repo = hub.repos[TINY]
    old, new = repo.sha, repo.push({"tiny-Q4_K_M.gguf": SparseFile(100, seed=2, head=b"GGUF")})
    assert old != new
    sizes = [
        get(f"{hub.url}/api/models/{TINY}/tree/{rev}?recursive=true").json[-1]["size"] for rev in (old, new, "main")
    ]
    assert sizes == [WEIGHTS.size, 100, 100]
    assert get(f"{hub.url}/api/models/{TINY}/revision/refs%2Fheads%2Fmain").json["sha"] == new


def test_the_registry_for_ollama() -> None:
    hub = small_hub()
    hub.add(
        Repo("acme/parts", {"m-Q8_0-00001-of-00002.gguf": b"a", "m-Q8_0-00002-of-00002.gguf": b"b"}),
        Repo(
            "acme/mixed",
            {
                "m-IQ4_NL.gguf": b"nl",
                "m-Q4_K_M.gguf": b"km",
                "mmproj-F16.gguf": b"eyes",
                "big-Q8_0-00001-of-00002.gguf": b"a",
                "template": b"{{ .Prompt }}!",
            },
        ),
    )
    with hub:
        answer = hub.manifest("acme", "mixed", "iq4_nl")
        kinds = [layer["mediaType"].rsplit(".", 1)[-1] for layer in answer.json["layers"]]
        assert (answer.status, kinds) == (200, ["model", "projector", "template"])
        digest = answer.json["layers"][0]["digest"]
        assert digest == f"sha256:{hashlib.sha256(b'nl').hexdigest()}"
        assert get(f"{hub.url}/v2/acme/mixed/manifests/IQ4_NL").body == answer.body
        assert get(f"{hub.url}/v2/acme/mixed/blobs/{digest}", "HEAD").headers["content-length"] == "2"
        assert get(get(f"{hub.url}/v2/acme/mixed/blobs/{digest}").headers["location"]).body == b"nl"
        assert "ggufFile" in get(f"{hub.url}/v2/acme/mixed/manifests/latest", User_Agent="llama-cpp/1").json
        for repo, tag, words in (
            ("acme/mixed", "Q8_0", "The specified tag is a sharded GGUF"),
            ("acme/mixed", "nonsense", "is not a valid quantization scheme"),
            ("acme/mixed", "Q2_K", "is not available in the repository"),
            ("acme/parts", "latest", "only contains sharded GGUF files"),
            ("acme/bare", "latest", "not GGUF or is not compatible"),
        ):
            refused = get(f"{hub.url}/v2/{repo}/manifests/{tag}")
            assert (refused.status, words in refused.json["error"]) == (400, True)
        gated = hub.manifest("acme", "gated-granted")
        assert (gated.status, gated.headers["X-Error-Code"]) == (401, "GatedRepo")
        hub.ssh_grants.add("acme/gated-granted")
        assert hub.manifest("acme", "gated-granted").status == 200


@pytest.mark.parametrize("old", ["tiny-chat", "acme/tinychat-old", "acme/tiny-chat-gguf"])
def test_redirects_of_former_ids_are_relative_and_keep_the_rest(hub: FakeHub, old: str) -> None:
    moved = get(f"{hub.url}/{old}/resolve/main/config%2Fparams.json?download=true")
    assert moved.headers["location"] == f"/{TINY}/resolve/main/config%2Fparams.json?download=true"
    moved = get(f"{hub.url}/api/models/{old}/tree/main?recursive=true")
    assert (moved.status, moved.headers["location"]) == (307, f"/api/models/{TINY}/tree/main?recursive=true")
    assert moved.body.decode() == f"Temporary Redirect. Redirecting to {moved.headers['location']}"


def test_a_file_may_stand_on_disk(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "real.gguf").write_bytes(Blob(WEIGHTS).read())
    repo = hub.add(Repo("acme/on-disk", {"real.gguf": tmp_path / "real.gguf"}))
    location = get(f"{hub.url}/acme/on-disk/resolve/{repo.sha}/real.gguf").headers["location"]
    assert get(location, Range="bytes=2000000-2000009").body == Blob(WEIGHTS).read()[2_000_000:2_000_010]
    [entry] = get(f"{hub.url}/api/models/acme/on-disk/tree/main").json
    assert entry["lfs"]["oid"] == Blob(WEIGHTS).sha256
