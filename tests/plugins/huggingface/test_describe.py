"""`describe_model` against a Hub and a router on loopback."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from moorage import AuthFailed, ModelDetail, ModelRef, MoorageError, NotFound, RateLimited, Unreachable
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.faults import Fault, rate_limited
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Blob, Repo
from tests.plugins.huggingface.conftest import PROJECTOR, WEIGHTS, MakeContext


def describe(
    plugin: HuggingFacePlugin, context: MakeContext, id: str, revision: str | None = None, **settings: Any
) -> ModelDetail:
    return plugin.describe_model(ModelRef(source="huggingface", id=id, revision=revision), context(**settings))


def test_a_model_with_its_files(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    detail = describe(plugin, context, "acme/tiny-GGUF")
    sha = hub.repos["acme/tiny-GGUF"].sha
    assert (detail.id, detail.revision, detail.license, detail.architecture) == (
        "acme/tiny-GGUF",
        sha,
        "apache-2.0",
        "llama",
    )
    assert (detail.parameters, detail.context_length, detail.gate.state) == (3_000_000_000, 8192, "open")
    assert [(file.name, file.role, file.quantization) for file in detail.files] == [
        ("a b/ü#1-Q2_K.gguf", "model", "Q2_K"),
        ("tiny-Q4_K_M.gguf", "model", "Q4_K_M"),
        ("Q8_0/tiny-Q8_0-00001-of-00002.gguf", "model", "Q8_0"),
        ("mmproj-F16.gguf", "projector", "F16"),
        ("tiny.imatrix.gguf", "other", None),
    ]
    odd, single, sharded, *_ = detail.files
    assert (single.size, single.sha256, single.shards) == (WEIGHTS.size, Blob(WEIGHTS).sha256, ())
    assert (sharded.size, len(sharded.shards)) == (WEIGHTS.size + PROJECTOR.size, 2)
    assert [part.sha256 for part in sharded.parts] == [Blob(WEIGHTS).sha256, Blob(PROJECTOR).sha256]
    assert odd.parts[0].url == f"{hub.url}/acme/tiny-GGUF/resolve/{sha}/a%20b/%C3%BC%231-Q2_K.gguf"
    assert unquote(urlsplit(odd.parts[0].url).path).endswith(odd.name)
    assert detail.ollama_name == "hf.co/acme/tiny-GGUF:Q4_K_M"
    assert (detail.credential, detail.notice, detail.served_by) == (None, None, ())


def test_a_file_without_lfs_has_no_sha256(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    body = [{"type": "file", "path": "s-Q4_0.gguf", "size": 5, "oid": hashlib.sha1(b"x").hexdigest()}]
    hub.faults.append(Fault("/api/models/.+/tree/.+", status=200, body=body))
    (file,) = describe(plugin, context, "acme/tiny-GGUF").files
    assert (file.sha256, file.parts[0].sha256, file.size) == (None, None, 5)


def test_a_tree_of_many_pages_is_read_whole(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    hub.tree_page = 3
    hub.link_origin = "https://huggingface.co"
    assert len(describe(plugin, context, "acme/tiny-GGUF", token="hf_good").files) == 5
    assert len(hub.seen("GET", "/api/models/acme/tiny-GGUF/tree/.+")) == 3


def test_a_revision_is_kept(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    repo = hub.repos["acme/tiny-GGUF"]
    old = repo.sha
    repo.push({"tiny-Q6_K.gguf": WEIGHTS})
    assert describe(plugin, context, "acme/tiny-GGUF").revision == repo.sha != old
    pinned = describe(plugin, context, "acme/tiny-GGUF", old)
    assert pinned.revision == old
    assert "tiny-Q6_K.gguf" not in {file.name for file in pinned.files}
    with pytest.raises(NotFound, match="revision"):
        describe(plugin, context, "acme/tiny-GGUF", "refs/pr/9")
    assert "refs%2Fpr%2F9" in hub.requests[-1].target


@pytest.mark.parametrize("name", ["acme/tiny-old", "tiny", "ACME/TINY-gguf"])
def test_former_names_lead_to_the_present_one(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, name: str
) -> None:
    detail = describe(plugin, context, name)
    assert detail.id == "acme/tiny-GGUF"
    assert detail.architecture == "llama"
    assert "/acme/tiny-GGUF/resolve/" in detail.files[0].parts[0].url


def test_a_redirect_that_loses_the_question_is_asked_again(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub
) -> None:
    """As recorded in `hub/redirect_307_*`: the address it names has no parameters."""
    there = {"Location": "/api/models/acme/served"}
    hub.faults.append(Fault("/api/models/acme/was", status=307, body="Temporary Redirect.", headers={**there}))
    hub.add(Repo("acme/was"))
    detail = describe(plugin, context, "acme/was")
    assert (detail.id, [each.provider for each in detail.served_by]) == ("acme/served", ["groq", "novita"])


@pytest.mark.parametrize(
    ("id", "token", "state"),
    [
        ("acme/tiny-GGUF", None, "open"),
        ("acme/gated", None, "sign-in"),
        ("acme/gated", "hf_good", "accept-licence"),
        ("acme/gated", "hf_unknown", "sign-in"),
        ("acme/gated-granted", "hf_good", "open"),
        ("acme/gated-granted", None, "sign-in"),
        ("acme/gated", "hf_member", "open"),
        ("acme/gated-empty", "hf_good", "unknown"),
    ],
)
def test_the_gate(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, id: str, token: str | None, state: str
) -> None:
    detail = describe(plugin, context, id, token=token)
    assert detail.gate.state == state
    assert detail.gate.url == (f"https://huggingface.co/{id}" if detail.gated else None)
    assert not detail.partial
    assert hub.cdn.authorizations == []
    assert hub.cdn.requests == []


def heads(hub: FakeHub) -> int:
    return len(hub.seen("HEAD", "/.+/resolve/.+"))


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (Fault(status=403, headers={"X-Error-Message": "Your request to access model X has been rejected"}), "refused"),
        (Fault(status=403, headers={"X-Error-Message": "Your request is awaiting a review"}), "accept-licence"),
        (Fault(status=403), "accept-licence"),
        (Fault(status=401), "sign-in"),
        (Fault(status=200), "open"),
    ],
)
def test_the_gate_in_the_hubs_words(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, said: Fault, state: str
) -> None:
    hub.faults.append(Fault(**{**vars(said), "path": "/acme/gated/resolve/.+", "used": 0}))
    detail = describe(plugin, context, "acme/gated", token="hf_good")
    assert (detail.gate.state, detail.partial, detail.notice) == (state, False, None)
    assert heads(hub) == 1


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (rate_limited(seconds=40), "40 s"),
        (rate_limited(retry_after=7), "7 s"),
        (Fault(status=500), "500"),
        (Fault(status=503, body="<html>busy"), "503"),
        (Fault(status=404), "no acme/gated"),
        (Fault(redirect_loop=True, times=None), "sent us on"),
    ],
)
def test_a_gate_that_cannot_be_seen_now(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, said: Fault, word: str
) -> None:
    """Not knowing is no state to keep: the detail says that it is partial, and the next one asks again."""
    hub.faults.append(Fault(**{**vars(said), "path": "/acme/gated-granted/resolve/.+", "method": "HEAD", "used": 0}))
    detail = describe(plugin, context, "acme/gated-granted", token="hf_good")
    assert (detail.gate.state, detail.partial, len(detail.files)) == ("unknown", True, 1)
    assert "files may be had" in (detail.notice or "")
    assert word in (detail.notice or "")
    if said.status == 500:
        assert describe(plugin, context, "acme/gated-granted", token="hf_good").gate.state == "open"


def test_a_mirror_that_hands_on_to_the_hub_opens_no_gate(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub
) -> None:
    """The token is not sent there, so nobody has looked at it: only the download will tell."""
    path = "/acme/gated-granted/resolve/.+"
    linked = {"X-Linked-Etag": '"sha256"', "X-Linked-Size": "5"}
    for there, more, state in (
        ("https://huggingface.co/x", linked, "unknown"),
        ("https://cdn.example/x", linked, "open"),
        ("https://login.example/saml", {}, "unknown"),
        ("http://169.254.169.254/", {}, "unknown"),
        ("ftp://cdn.example/x", linked, "unknown"),
    ):
        hub.faults.append(Fault(path, status=302, headers={"Location": there, **more}))
        detail = describe(plugin, context, "acme/gated-granted", token="hf_good")
        assert (detail.gate.state, detail.partial) == (state, False), there


def test_a_gate_that_is_silent(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage_huggingface.hub.GATE_SECONDS", 0.1)
    hub.faults.append(Fault("/acme/gated-granted/resolve/.+", delay=5))
    detail = describe(plugin, context, "acme/gated-granted", token="hf_good")
    assert (detail.gate.state, detail.partial) == ("unknown", True)
    assert "did not answer" in (detail.notice or "")


@pytest.mark.parametrize(
    ("standing", "state"),
    [("granted", "open"), ("", "accept-licence"), ("pending", "accept-licence"), ("rejected", "refused")],
)
def test_the_gate_of_an_account(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, standing: str, state: str
) -> None:
    if standing:
        getattr(hub.tokens["hf_good"], standing).add("acme/gated")
    assert describe(plugin, context, "acme/gated", token="hf_good").gate.state == state


def test_the_page_of_a_gate(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    """The real Hub's, which a mirror copies; that of a hub of one's own where it names it; a stranger's never."""
    for named, page in (
        ("https://huggingface.co/acme/gated", "https://huggingface.co/acme/gated"),
        (f"{hub.url}/acme/gated", f"{hub.url}/acme/gated"),
        ("https://evil.example/acme/gated", "https://huggingface.co/acme/gated"),
        (f"{hub.url}/acme/other", "https://huggingface.co/acme/gated"),
    ):
        text = {"X-Error-Message": f"You are not in the authorized list. Visit {named} to ask for access."}
        hub.faults.append(Fault("/acme/gated/resolve/.+", status=403, headers={**text}))
        assert describe(plugin, context, "acme/gated", token="hf_good").gate.url == page


def test_the_gate_of_small_files(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    """What git itself keeps is answered within the origin, by another address."""
    hub.add(Repo("acme/small", {"config.json": b"{}"}, gated="auto"))
    hub.tokens["hf_good"].granted.add("acme/small")
    assert describe(plugin, context, "acme/small", token="hf_good").gate.state == "open"
    assert describe(plugin, context, "acme/small", token="hf_member").gate.state == "open"


def test_the_credential_is_for_the_hub_alone(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    detail = describe(plugin, context, "acme/tiny-GGUF", token="hf_good")
    assert detail.credential is not None
    assert detail.credential.origins == (hub.url,)
    assert detail.credential.value.get_secret_value() == "hf_good"


def test_a_bad_token_is_said_and_not_used_again(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    detail = describe(plugin, context, "acme/tiny-GGUF", token="hf_unknown")
    assert detail.notice is not None
    assert detail.credential is None
    sent = [seen.headers.get("authorization") for seen in hub.requests]
    assert sent == ["Bearer hf_unknown", None, None]


@pytest.mark.parametrize(
    ("id", "token", "kind", "word"),
    [
        ("acme/nowhere", None, NotFound, "private"),
        ("acme/nowhere", "hf_good", NotFound, "your account"),
        ("acme/nowhere", "hf_unknown", AuthFailed, "does not accept"),
        ("acme/secret", None, NotFound, "private"),
        ("acme/withdrawn", None, NotFound, "disabled"),
        ("acme", None, NotFound, "acme"),
        ("../../etc/passwd", None, NotFound, "org/name"),
        ("acme/..", None, NotFound, "org/name"),
        ("acme/m?x=1", None, NotFound, "org/name"),
        ("acme/m/tree", None, NotFound, "org/name"),
    ],
)
def test_models_that_cannot_be_described(
    plugin: HuggingFacePlugin, context: MakeContext, id: str, token: str | None, kind: type[MoorageError], word: str
) -> None:
    with pytest.raises(kind) as caught:
        describe(plugin, context, id, token=token)
    assert word in f"{caught.value} {caught.value.hint}"


def test_a_private_model_is_open_to_those_who_may(plugin: HuggingFacePlugin, context: MakeContext) -> None:
    detail = describe(plugin, context, "acme/secret", token="hf_member")
    assert (detail.id, detail.gate.state) == ("acme/secret", "open")


@pytest.mark.parametrize("path", ["/api/models/[^/]+/[^/]+", "/api/models/.+/tree/.+"])
def test_a_hub_in_trouble_is_not_a_missing_model(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, path: str
) -> None:
    hub.faults.append(Fault(path, status=502, body="<html>Bad gateway"))
    with pytest.raises(Unreachable, match="502"):
        describe(plugin, context, "acme/tiny-GGUF")


@pytest.mark.parametrize("number", [-5, 0, 2**70])
def test_numbers_that_no_model_has_are_as_good_as_not_said(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, number: int
) -> None:
    hub.add(
        Repo(
            "acme/odd",
            {"o-Q4_0.gguf": b"GGUF"},
            gguf={"total": number, "architecture": "llama", "context_length": number},
            tags=("x" * 1000, "fine"),
        )
    )
    detail = describe(plugin, context, "acme/odd")
    assert (detail.parameters, detail.context_length) == (None, None)
    assert "fine" in detail.tags
    assert all(len(tag) <= 200 for tag in detail.tags)
    assert [file.name for file in detail.files] == ["o-Q4_0.gguf"]


def test_the_limit_of_token_checks_holds_up_no_search(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub
) -> None:
    hub.faults.append(Fault("/api/whoami-v2", status=429, headers={"Retry-After": "1800"}))
    with pytest.raises(RateLimited):
        plugin.check_key(context(token="hf_good"))
    assert describe(plugin, context, "acme/tiny-GGUF", token="hf_good").files
