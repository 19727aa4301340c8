"""What is offered when nothing was found."""

from __future__ import annotations

import pytest

from moorage import ModelHit, SearchPage, SearchQuery, hookimpl
from moorage.search.looser import looser_texts
from tests.conftest import MakeHost


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("", ()),
        ("tug", ()),
        ("tug boat", ("tug", "boat")),
        ("tug 4 mini", ("tug 4", "4 mini", "mini")),
        ("tug mini gguf", ("tug mini", "mini gguf", "mini")),
        ("tug 3B q4_k_m gguf", ("tug 3B", "tug 3B q4_k_m", "3B q4_k_m gguf")),
        ("gguf model", ("gguf", "model")),
    ],
)
def test_shorter_texts(text: str, offered: tuple[str, ...]) -> None:
    assert looser_texts(SearchQuery(text=text)) == offered


class Strict:
    """A source that has one model, and wants its whole name."""

    @hookimpl
    def search_models(self, query: SearchQuery) -> SearchPage:
        found = query.text in ("tug", "")
        return SearchPage(results=(ModelHit(source="strict", id="a/tug"),) if found else ())


def test_only_a_search_that_found_nothing_offers_them(make_host: MakeHost) -> None:
    host = make_host(plugins={"strict": Strict()}, only=True)
    assert host.search.search(SearchQuery(text="tug")).looser == ()
    nothing = host.search.search(SearchQuery(text="tug boat"))
    assert (nothing.results, nothing.looser) == ((), ("tug", "boat"))
    assert host.search.search(SearchQuery(text=nothing.looser[0])).results
