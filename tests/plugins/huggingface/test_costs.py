"""What a detail costs in calls: what a list said, and what a commit holds, is not asked for again."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import AuthFailed, ModelDetail, ModelRef, NotFound, SearchQuery
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.faults import Fault
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo
from tests.plugins.huggingface.conftest import PROJECTOR, WEIGHTS, Clock, MakeContext

TINY = "acme/tiny-GGUF"


class Asking:
    """Searches and details of one plugin, and the paths that they asked the Hub for."""

    def __init__(self, plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
        self.plugin, self.context, self.hub = plugin, context, hub

    def search(self, text: str = "tiny", limit: int = 20, **settings: Any) -> None:
        self.plugin.search_models(SearchQuery(text=text, limit=limit), self.context(**settings))
        self.hub.requests.clear()

    def detail(self, id: str = TINY, revision: str | None = None, **settings: Any) -> tuple[ModelDetail, list[str]]:
        self.hub.requests.clear()
        ref = ModelRef(source="huggingface", id=id, revision=revision or self.hub.repos[id].sha)
        detail = self.plugin.describe_model(ref, self.context(**settings))
        kinds = {"tree": "tree", "resolve": "head"}
        paths = [seen.path.split("/") for seen in self.hub.requests]
        return detail, [next((kinds[part] for part in path if part in kinds), "model") for path in paths]


@pytest.fixture
def asking(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> Asking:
    return Asking(plugin, context, hub)


def test_after_a_search_a_detail_is_one_call_and_then_none(asking: Asking) -> None:
    asking.search()
    first, calls = asking.detail()
    assert calls == ["tree"]
    again, calls = asking.detail()
    assert (again, calls) == (first, [])
    asked, calls = Asking(HuggingFacePlugin(), asking.context, asking.hub).detail()
    assert calls == ["model", "tree"]
    assert first == asked, "what the list said is what the model call says"
    assert (first.architecture, first.context_length, len(first.files)) == ("llama", 8192, 5)


def test_without_a_search_the_files_are_still_read_once(asking: Asking) -> None:
    assert asking.detail()[1] == ["model", "tree"]
    assert asking.detail()[1] == ["model"]


def test_a_search_a_while_ago_counts_no_more(asking: Asking, clock: Clock) -> None:
    asking.search()
    clock.now += 301
    assert asking.detail()[1] == ["model", "tree"]


def test_another_commit_is_asked_for(asking: Asking) -> None:
    asking.search()
    repo = asking.hub.repos[TINY]
    old, new = repo.sha, repo.push({"tiny-Q6_K.gguf": WEIGHTS})
    before, calls = asking.detail(revision=old)
    assert (before.revision, calls) == (old, ["tree"])
    after, calls = asking.detail(revision=new)
    assert (after.revision, calls) == (new, ["model", "tree"])
    assert len(after.files) == len(before.files) + 1
    newest, calls = asking.detail(revision="main")
    assert (newest.revision, calls) == (new, ["model"])


def test_a_long_list_says_too_little_of_a_gguf_model(asking: Asking) -> None:
    asking.search(limit=31)
    detail, calls = asking.detail()
    assert (detail.architecture, calls) == ("llama", ["model", "tree"])
    asking.search("served", limit=31)
    assert asking.detail("acme/served")[1] == ["tree"]


def test_what_one_token_may_read_is_not_shown_to_another(asking: Asking) -> None:
    """A tree is kept for all, so it is reached only by those who were seen to read the model."""
    asking.search("secret", token="hf_member")
    detail, calls = asking.detail("acme/secret", token="hf_member")
    assert (detail.private, len(detail.files), calls) == (True, 1, ["tree"])
    for token in (None, "hf_good", "hf_revoked"):
        with pytest.raises((NotFound, AuthFailed)):
            asking.detail("acme/secret", token=token)
    assert asking.detail("acme/secret", token="hf_member")[1] == []
    asking.hub.tokens["hf_good"].granted.add("acme/secret")
    assert asking.detail("acme/secret", token="hf_good")[1] == ["model"]


def test_another_hub_says_its_own(asking: Asking) -> None:
    asking.search()
    with FakeHub() as mirror:
        mirror.add(Repo(TINY, {"only.Q2_K.gguf": PROJECTOR}))
        ref = ModelRef(source="huggingface", id=TINY, revision=asking.hub.repos[TINY].sha)
        detail = asking.plugin.describe_model(ref, asking.context(hub_endpoint=mirror.url))
        assert [file.name for file in detail.files] == ["only.Q2_K.gguf"]
        assert detail.files[0].parts[0].url.startswith(mirror.url)
    assert len(asking.detail()[0].files) == 5


def test_a_gate_costs_one_more_call_each_time(asking: Asking) -> None:
    asking.search("gated", token="hf_good")
    assert asking.detail("acme/gated", token="hf_good")[1] == ["tree", "head"]
    detail, calls = asking.detail("acme/gated", token="hf_good")
    assert (detail.gate.state, calls) == ("accept-licence", ["head"])
    asking.hub.tokens["hf_good"].granted.add("acme/gated")
    assert asking.detail("acme/gated", token="hf_good")[0].gate.state == "open"
    asking.search("gated")
    assert asking.detail("acme/gated")[1] == []  # without a token there is nothing to try


def test_a_model_that_was_withdrawn_is_asked_for(asking: Asking) -> None:
    asking.search("withdrawn")
    with pytest.raises(NotFound, match="disabled"):
        asking.detail("acme/withdrawn")


def test_a_file_list_that_fails_is_not_kept(asking: Asking) -> None:
    asking.search()
    asking.hub.faults.append(Fault("/api/models/.+/tree/.+", status=502))
    with pytest.raises(Exception, match="502"):
        asking.detail()
    assert asking.detail()[1] == ["tree"]
