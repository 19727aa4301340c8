"""What a hub or a mirror says that nobody would: numbers, lists and texts out of all bounds."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import AuthFailed, BadAnswer, ModelDetail, ModelRef, NotFound, SearchPage, SearchQuery
from moorage_huggingface import gates
from moorage_huggingface.plugin import HuggingFacePlugin
from moorage_huggingface.wire import HubModel, RouterModel, TreeEntry
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo, SparseFile
from tests.fakes.router import FakeRouter
from tests.plugins.huggingface.conftest import WEIGHTS, Clock, MakeContext

HUGE = 10**320
SENT = 10**40  # as huge as JSON may be for it to be read at all


def search(plugin: HuggingFacePlugin, context: MakeContext, text: str = "tiny", **settings: Any) -> SearchPage:
    return plugin.search_models(SearchQuery(text=text), context(**settings))


def describe(plugin: HuggingFacePlugin, context: MakeContext, id: str, **settings: Any) -> ModelDetail:
    return plugin.describe_model(ModelRef(source="huggingface", id=id), context(**settings))


# Numbers


@pytest.mark.parametrize("odd", [-5, -1, 0, HUGE, 2**53 + 1, float("inf"), float("nan"), 1.5, True, "many", None, [1]])
def test_odd_numbers_are_as_good_as_not_said(odd: Any) -> None:
    model = HubModel.model_validate(
        {"id": "a/b", "gguf": {"total": odd, "context_length": odd}, "safetensors": {"total": odd}}
    )
    assert model.gguf is not None
    assert model.safetensors is not None
    assert {model.gguf.total, model.gguf.context_length, model.safetensors.total} == {None}
    router = RouterModel.model_validate(
        {"id": "a/b", "max_model_len": odd, "providers": [{"provider": "p", "context_length": odd}]}
    )
    assert (router.max_model_len, router.providers[0].context_length) == (None, None)


@pytest.mark.parametrize(("said", "read"), [(0, 0), (7, 7), (2**53, 2**53), (-1, None), (HUGE, None), ("x", None)])
def test_nobody_may_have_downloaded_a_model(said: Any, read: int | None) -> None:
    model = HubModel.model_validate({"id": "a/b", "downloads": said, "likes": said})
    assert (model.downloads, model.likes) == (read, read)


@pytest.mark.parametrize(("said", "read"), [(0, 0.0), (0.25, 0.25), (-1, None), (float("inf"), None), (HUGE, None)])
def test_prices(said: Any, read: float | None) -> None:
    offer = {"provider": "p", "pricing": {"input": said, "output": said}}
    pricing = RouterModel.model_validate({"id": "a/b", "providers": [offer]}).providers[0].pricing
    assert pricing is not None
    assert (pricing.input, pricing.output) == (read, read)


@pytest.mark.parametrize("odd", [-5, SENT])
def test_a_detail_with_odd_numbers(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, odd: int) -> None:
    hub.add(
        Repo("acme/odd", {"n-Q4_0.gguf": WEIGHTS}, gguf={"total": odd, "context_length": odd}, downloads=odd, likes=odd)
    )
    detail = describe(plugin, context, "acme/odd")
    assert (detail.parameters, detail.context_length, detail.downloads, detail.likes) == (None, None, None, None)
    (hit,) = search(plugin, context, "odd").results
    assert (hit.parameters, hit.context_length) == (None, None)


@pytest.mark.parametrize("odd", [-1, SENT, 2**53 + 1, "big", None])
def test_a_file_of_an_impossible_size_is_left_out(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, odd: Any
) -> None:
    body = [
        {"type": "file", "path": "a-Q2_K.gguf", "size": odd},
        {"type": "file", "path": "b-Q3_K.gguf", "size": 9, "lfs": {"oid": "a" * 64, "size": odd}},
        {"type": "file", "path": "c-Q4_0.gguf", "size": 9},
        {"type": "directory", "path": "d", "size": 0},
    ]
    hub.faults.append(Fault("/api/models/.+/tree/.+", status=200, body=body))
    (file,) = describe(plugin, context, "acme/tiny-GGUF").files
    assert (file.name, file.size) == ("c-Q4_0.gguf", 9)
    assert TreeEntry.model_validate({"type": "file", "path": "empty", "size": 0}).size == 0


def test_tags_are_bounded() -> None:
    model = HubModel.model_validate({"id": "a/b", "tags": ["x" * 201, "y" * 200, *(f"t{at}" for at in range(900))]})
    assert (len(model.tags), model.tags[0]) == (200, "y" * 200)


# Lists


def test_a_mirror_that_knows_no_limit(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    body = [{"id": f"a/b{at}"} for at in range(1000)]
    link = {"Link": f'<{hub.url}/api/models?cursor=next>; rel="next"'}
    hub.faults.append(Fault("/api/models", status=200, body=body, headers={**link}))
    page = search(plugin, context)
    assert [hit.id for hit in page.results] == [f"a/b{at}" for at in range(20)]
    assert page.cursor is None
    hub.faults.append(Fault("/api/models", status=200, body=body[:20], headers={**link}))
    assert search(plugin, context).cursor == "next"


def test_a_file_list_without_end_is_not_taken_for_whole(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage_huggingface.hub.MAX_TREE_PAGES", 3)
    hub.tree_page = 1
    hub.add(Repo("acme/many", {"a-Q4_0.gguf": WEIGHTS, "b": b"b", "c": b"c", "z-Q8_0.gguf": WEIGHTS}))
    for _ in range(2):
        hub.requests.clear()
        detail = describe(plugin, context, "acme/many")
        assert ([file.name for file in detail.files], detail.partial) == (["a-Q4_0.gguf"], True)
        assert "file list is too long" in (detail.notice or "")
        assert len(hub.seen("GET", ".+/tree/.+")) == 3
    monkeypatch.setattr("moorage_huggingface.hub.MAX_TREE_PAGES", 4)
    whole = describe(plugin, context, "acme/many")
    assert (len(whole.files), whole.partial, whole.notice) == (2, False, None)
    hub.requests.clear()
    assert describe(plugin, context, "acme/many").files == whole.files
    assert hub.seen("GET", ".+/tree/.+") == []


def test_files_come_in_order_of_size(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    sizes = {"n-Q2_K_L.gguf": 369, "n-IQ3_XXS.gguf": 327, "n-odd.gguf": 900}
    files = {name: SparseFile(size, seed=1) for name, size in sizes.items()}
    hub.add(Repo("acme/sizes", {**files, "mmproj-F16.gguf": SparseFile(1, seed=1)}))
    found = [file.name for file in describe(plugin, context, "acme/sizes").files]
    assert found == ["n-IQ3_XXS.gguf", "n-Q2_K_L.gguf", "n-odd.gguf", "mmproj-F16.gguf"]


def test_a_list_of_the_router_of_nothing_but_odd_entries(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter
) -> None:
    """Not "nobody says a price": it is asked by the model's name, and for its list again the next time."""
    router.faults.append(Fault("/v1/models", status=200, body={"object": "list", "data": [{"name": "acme/served"}]}))
    first = describe(plugin, context, "acme/served")
    assert {each.provider for each in first.served_by} > {"groq"}
    assert describe(plugin, context, "acme/served").served_by == first.served_by
    assert [seen.path for seen in router.requests] == ["/v1/models", "/v1/models/acme/served", "/v1/models"]


def test_a_router_that_serves_nothing_says_so(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter
) -> None:
    router.models.clear()
    assert not describe(plugin, context, "acme/served").partial
    assert not describe(plugin, context, "acme/served").partial
    assert [seen.path for seen in router.requests] == ["/v1/models"]


# Gates


@pytest.mark.parametrize("named", [{"X-Linked-Etag": '"a"'}, {"x-linked-size": "7"}, {"X-Repo-Commit": "b" * 40}, {}])
@pytest.mark.parametrize(
    ("there", "is_file"),
    [
        ("https://cdn.example/x", True),
        ("https://huggingface.co/x", False),
        ("ftp://files.example/x", False),
        ("http://[bad", False),
        ("javascript:alert(1)", False),
    ],
)
def test_only_the_hubs_own_word_opens_a_gate(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, there: str, is_file: bool, named: dict[str, str]
) -> None:
    """A page to sign in on the way names no file; the real Hub has yet to look; the rest is no address."""
    hub.faults.append(Fault("/acme/gated/resolve/.+", status=302, headers={"Location": there, **named}))
    detail = describe(plugin, context, "acme/gated", token="hf_good")
    assert (detail.gate.state, detail.partial) == ("open" if is_file and named else "unknown", False)


# Texts


@pytest.mark.parametrize(
    "address",
    ["http://x:99999", "http://[bad", "http://x:y", "https://[::1", "http://x:-1"],
)
def test_addresses_in_a_refusal_that_are_none(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, address: str
) -> None:
    real, address = "https://huggingface.co/acme/gated", f"{address}/acme/gated"
    said = f"Visit {address} to ask for access."
    assert gates.page("acme/gated", said=said) == real
    assert gates.page("acme/gated", hub.url, f"{said} Or {hub.url}/acme/gated.") == f"{hub.url}/acme/gated"
    hub.faults.append(
        Fault("/acme/gated/resolve/.+", status=403, body={"error": said}, headers={"X-Error-Message": said})
    )
    assert describe(plugin, context, "acme/gated", token="hf_good").gate.url == real


# A token that is not accepted


def test_a_token_that_was_refused_rests_for_a_minute(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, clock: Clock
) -> None:
    for text in ("t", "ti", "tin"):
        page = search(plugin, context, text, token="hf_unknown")
        assert "does not accept" in (page.notice or "")
    detail = describe(plugin, context, "acme/tiny-GGUF", token="hf_unknown")
    assert (detail.credential, "does not accept" in (detail.notice or "")) == (None, True)
    assert [seen.headers.get("authorization") for seen in hub.requests] == ["Bearer hf_unknown", *[None] * 5]
    hub.requests.clear()
    clock.now += 61
    search(plugin, context, token="hf_unknown")
    assert [seen.headers.get("authorization") for seen in hub.requests] == ["Bearer hf_unknown", None]


def test_another_token_and_another_hub_are_tried(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    search(plugin, context, token="hf_unknown")
    assert search(plugin, context, token="hf_good").notice is None
    with FakeHub() as mirror:
        search(plugin, context, token="hf_unknown", hub_endpoint=mirror.url)
        assert mirror.requests[0].headers["authorization"] == "Bearer hf_unknown"


def test_a_check_of_the_key_asks_all_the_same_and_clears_it(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub
) -> None:
    search(plugin, context, token="hf_unknown")
    with pytest.raises(AuthFailed, match="does not accept"):
        plugin.check_key(context(token="hf_unknown"))
    hub.tokens["hf_unknown"] = hub.tokens["hf_good"]
    assert search(plugin, context, token="hf_unknown").notice is not None
    assert plugin.check_key(context(token="hf_unknown")) is not None
    assert search(plugin, context, token="hf_unknown").notice is None


def test_what_needs_a_token_says_that_it_is_not_accepted(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub
) -> None:
    """Not "no such model, add a token": there is one."""
    for _ in range(2):
        with pytest.raises(AuthFailed, match="does not accept"):
            describe(plugin, context, "acme/secret", token="hf_unknown")
        search(plugin, context, token="hf_unknown")
    with pytest.raises(NotFound, match="private"):
        describe(plugin, context, "acme/secret", token="hf_good")


def test_a_list_of_odd_files_only(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    body = [{"type": "file", "path": "a-Q2_K.gguf", "size": -1}]
    hub.faults.append(Fault("/api/models/.+/tree/.+", status=200, body=body))
    with pytest.raises(BadAnswer, match="file list"):
        describe(plugin, context, "acme/tiny-GGUF")
