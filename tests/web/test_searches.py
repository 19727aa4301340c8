"""The pages of saved searches, as plain HTML."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from moorage.errors import Unreachable
from moorage.host import Host
from moorage.models import NewerRevision
from tests.conftest import MakeHost
from tests.host.installs.story import until
from tests.host.pond import Pond
from tests.schedule.manual import ManualTimer
from tests.web.api.conftest import Api

QUERY = {"q": "duck", "format": "gguf", "minParameters": "3B", "gated": "false", "sort": "likes", "app": ""}
RULE = {"install": "on", "target": "pond-shore", "perDay": "2", "maxSize": "1.5", "tight": "on", "when": "window"}
TIMES = {"from": "01:00", "to": "06:00", "zone": "Europe/Berlin", "days": "mon"}


@pytest.fixture
def pond() -> Pond:
    made = Pond()
    made.add("duck-0")
    return made


@pytest.fixture
def timer() -> ManualTimer:
    return ManualTimer("2026-05-21T10:00:00Z")


@pytest.fixture
def host(make_host: MakeHost, pond: Pond, timer: ManualTimer) -> Host:
    return make_host(plugins={"pond": pond}, only=True, clock=timer.clock, timer=timer)


@pytest.fixture
def api(host: Host) -> Api:
    return Api(host)


def post(api: Api, path: str, **form: Any) -> TestResponse:
    return api.call("POST", path, data=form)


def page(api: Api, path: str) -> str:
    answer = api.call("GET", path)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def saved(api: Api, **more: Any) -> str:
    answer = post(api, "/searches", name="Ducks", daily="on", **QUERY, **more)
    assert answer.status_code == 303
    place, _, id = answer.headers["Location"].partition("#search-")
    assert place == "/searches"
    return str(id)


def test_empty_it_says_what_would_fill_it(api: Api) -> None:
    html = page(api, "/searches")
    assert "No saved searches yet" in html
    assert 'href="/models#find"' in html
    assert "Nothing to save yet" in page(api, "/searches/new")


def test_saved_from_a_form_of_filters(api: Api, host: Host) -> None:
    id = saved(api)
    search = host.saved_searches.get(id)
    given = search.query.model_dump(by_alias=True, exclude_none=True)
    assert given == {
        "q": "duck",
        "source": (),
        "format": "gguf",
        "gated": False,
        "minParameters": 3 * 10**9,
        "sort": "likes",
    }
    assert (search.name, search.daily, search.rule) == ("Ducks", True, None)
    html = page(api, "/searches")
    for words in (
        "Format: gguf",
        "At least: 3B",
        "Open",
        "Order: most likes",
        "installs nothing",
        "looked",
        "next",
        "/?q=duck",
    ):
        assert words in html, words
    assert post(api, "/searches", name="Now and then", q="duck").status_code == 303
    assert "only when told to" in page(api, "/searches")


def test_with_a_rule(api: Api, host: Host) -> None:
    id = saved(api, **RULE, **TIMES)
    rule = host.saved_searches.get(id).rule
    assert rule is not None
    assert rule.model_dump(by_alias=True) == {
        "target": "pond-shore",
        "maxPerDay": 2,
        "maxBytes": 1_500_000_000,
        "tightToo": True,
        "window": {"from": "01:00", "to": "06:00", "days": ("mon",), "timeZone": "Europe/Berlin"},
    }
    assert "installs up to 2 a day on The shore" in page(api, "/searches")
    html = page(api, f"/searches/{id}")
    for held in ('value="1.5"', 'value="pond-shore" selected', 'value="Europe/Berlin"', 'value="mon" checked'):
        assert held in html, held


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"name": ""}, "must have at least 1 character"),
        ({"q": "", "format": "", "minParameters": "", "gated": ""}, "Nothing to save yet"),
        ({"minParameters": "lots"}, "must be a number such as 3B or 350M"),
        ({**RULE, **TIMES, "perDay": "21"}, "must be less than or equal to 20"),
        ({**RULE, **TIMES, "perDay": "two"}, "must be a number"),
        ({**RULE, **TIMES, "maxSize": "nan"}, "must be a number"),
        ({**RULE, **TIMES, "maxSize": "0"}, "must be greater than or equal to 1"),
        ({**RULE, **TIMES, "from": ""}, "Give a time, such as 01:00."),
        ({**RULE, **TIMES, "zone": "Middle/Earth"}, "use one such as Europe/Berlin"),
        ({**RULE, **TIMES, "target": "nobody"}, "must be one of pond-shore"),
    ],
)
def test_a_wrong_form_comes_back_with_what_was_typed(api: Api, host: Host, form: dict[str, str], words: str) -> None:
    answer = post(api, "/searches", **{"name": "Ducks", "daily": "on", **QUERY, **form})
    assert answer.status_code == 400
    assert words in answer.text
    assert host.saved_searches.list().items == ()
    if "install" in form:
        assert 'name="q" value="duck"' in answer.text
        assert 'name="install" value="on" checked' in answer.text


def test_what_is_new_is_shown_and_read(api: Api, host: Host, pond: Pond, timer: ManualTimer) -> None:
    id = saved(api)
    pond.add(*(f"duck-{number}" for number in range(1, 6)))
    assert post(api, f"/searches/{id}/run").headers["Location"] == f"/searches#search-{id}"
    for path in ("/", "/models"):
        assert '<a class="name" href="/searches">5 new models</a>' in page(api, path)
    html = page(api, "/searches")
    assert "5 new models" in html
    assert html.count("<li><div") == 3
    assert "All that it found" in html
    assert "/models?q=duck-1&amp;open=pond%3Aduck-1#results" in html
    until = host.saved_searches.get(id).news[0].found_at.isoformat()
    timer.sleep(timedelta(hours=1))
    pond.add("duck-6")
    host.saved_searches.run(id)
    card = post(api, f"/searches/{id}/read", until=until, fragment="row").text
    assert card.lstrip().startswith(f'<article class="card stack stack-s" id="search-{id}"')
    assert "1 new model<" in card
    assert post(api, f"/searches/{id}/read", on="one").headers["Location"] == f"/searches/{id}"
    assert "Nothing new." in page(api, f"/searches?fragment=row&id={id}")
    assert page(api, f"/searches/{id}").count("<li><div") == 6


def test_what_the_rule_did_is_said(api: Api, host: Host, pond: Pond) -> None:
    id = saved(api, **{**RULE, "perDay": "1", "when": "now"})
    pond.add("duck-1", "duck-2")
    post(api, f"/searches/{id}/run")
    html = page(api, f"/searches/{id}")
    [install] = host.installs.list().items
    assert f'href="/installs/{install.id}"' in html
    assert "Not installed yet: The limit of 1 a day is reached. It is tried again." in html
    until(lambda: host.installs.get(install.id).ended)
    host.installs.remove(install.id)
    assert "It was queued, and has left the history." in page(api, f"/searches/{id}")


def test_a_source_that_fails_is_named(api: Api, pond: Pond) -> None:
    id = saved(api)
    pond.error = Unreachable("The pond is frozen.")
    post(api, f"/searches/{id}/run")
    assert "pond: The pond is frozen." in page(api, "/searches")


def test_newer_revisions_of_installed_models(api: Api, host: Host, timer: ManualTimer) -> None:
    install, _ = host.installs.request("pond", "duck-0", file="Q4_K_M.gguf", target="pond-shore")
    until(lambda: host.installs.get(install.id).state == "installed")
    host.installs._queue.change(install.id, update=NewerRevision(revision="c2", found_at=timer.now))
    for path in ("/", "/models"):
        assert '<a class="name" href="/searches">1 newer revision</a>' in page(api, path)
    html = page(api, "/searches")
    assert "Newer revisions of installed models" in html
    assert '<input type="hidden" name="model" value="duck-0">' in html


def test_edit_and_remove(api: Api, host: Host) -> None:
    id = saved(api, **RULE, **TIMES)
    assert post(api, f"/searches/{id}", name="Teals", version="1").headers["Location"] == f"/searches/{id}"
    search = host.saved_searches.get(id)
    assert (search.name, search.daily, search.rule, search.query.q) == ("Teals", False, None, "duck")
    stale = post(api, f"/searches/{id}", name="Late", version="1")
    assert stale.status_code == 409
    assert "was changed in the meantime" in stale.text
    assert post(api, f"/searches/{id}/remove").headers["Location"] == "/searches"
    assert api.call("GET", f"/searches/{id}").status_code == 404


def test_those_with_news_come_first_and_the_rest_is_on_further_pages(api: Api, host: Host, pond: Pond) -> None:
    made = [
        host.saved_searches.create({"name": f"Search {number:02}", "query": {"q": "duck" if number == 15 else "teal"}})
        for number in range(20)
    ]
    pond.add("duck-1")
    for search in made:
        host.saved_searches.run(search.id)
    seen, path = [], "/searches"
    while path:
        html = page(api, path)
        seen += [part.partition("<")[0] for part in html.split('class="name" href="/searches/search-')[1:]]
        _, more, rest = html.partition('href="/searches?after=')
        path = "/searches?after=" + rest.partition('"')[0] if more else ""
    names = [text.partition(">")[2] for text in seen]
    assert names == ["Search 15", *(f"Search {number:02}" for number in range(20) if number != 15)]
