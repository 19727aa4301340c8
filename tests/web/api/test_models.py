"""Searching, looking at a model, planning."""

from __future__ import annotations

import pytest

from moorage import Problem, RateLimited, Unreachable
from tests.web.api.conftest import Api
from tests.web.api.dock import MODEL, Dock

SEARCH = "/api/llm/models/search"


def test_search_answers_with_results_and_sources(api: Api) -> None:
    answer = api.get(f"{SEARCH}?q=tug")
    assert answer["results"][0]["id"] == MODEL
    assert answer["results"][0]["downloads"] is None, "what a source does not say is null"
    assert answer["sources"][0]["source"] == "dock"
    assert answer["sources"][0]["ok"] is True
    assert answer["next"], "there is a following page"


def test_all_filters_reach_the_source(api: Api, dock: Dock) -> None:
    api.get(
        f"{SEARCH}?q=tug&source=dock&limit=7&format=gguf&app=ollama&task=text-generation&author=acme&license=mit"
        "&language=en&gated=false&minParameters=350M&maxParameters=1.5B&servedBy=all&sort=trending"
    )
    query = dock.queries[-1]
    assert query.model_dump(exclude={"cursor"}) == {
        "text": "tug",
        "limit": 7,
        "format": "gguf",
        "app": "ollama",
        "task": "text-generation",
        "author": "acme",
        "license": "mit",
        "language": "en",
        "gated": False,
        "min_parameters": 350_000_000,
        "max_parameters": 1_500_000_000,
        "served_by": "all",
        "sort": "trending",
    }


def test_defaults(api: Api, dock: Dock) -> None:
    api.get(f"{SEARCH}?q=tug")
    assert (dock.queries[-1].limit, dock.queries[-1].sort) == (20, "downloads")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=", "q"),
        ("q=%20", "q"),
        ("sort=likes&limit=3", "q"),
        ("q=a&sort=size", "sort"),
        ("q=a&limit=201", "limit"),
        ("q=a&format=safetensors", "format"),
        ("q=a&gated=maybe", "gated"),
        ("q=a&minParameters=3X", "minParameters"),
        ("q=a&minParameters=-3", "minParameters"),
        ("q=a&minParameters=", "minParameters"),
        ("q=a&minParameters=7B&maxParameters=3B", "minParameters"),
        ("q=a&q=b", "q"),
        ("q=a&author=a%00b", "author"),
        ("q=a%00b", "q"),
        ("q=a%0Ab", "q"),
        ("q=" + "a" * 501, "q"),
        ("q=a&source=nowhere", "source"),
        ("q=a&cursor=rubbish", "cursor"),
        ("q=a&Q=b", "Q"),
    ],
)
def test_a_bad_search_names_its_parameter(api: Api, query: str, field: str) -> None:
    assert list(api.fields("GET", f"{SEARCH}?{query}")) == [field]


def test_a_filter_is_enough(api: Api) -> None:
    for query in ("format=gguf", "gated=true", "author=acme", "minParameters=1B", "servedBy=all"):
        assert api.get(f"{SEARCH}?{query}")["results"]


def test_every_source_failed(api: Api, dock: Dock) -> None:
    dock.search_error = Unreachable("The dock does not answer.")
    assert api.call("GET", f"{SEARCH}?q=a").status_code == 502
    dock.search_error = RateLimited("Slowly.", retry_after=12.3)
    response = api.call("GET", f"{SEARCH}?q=b")
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "13"
    assert response.content_type == "application/problem+json"


def test_detail(api: Api) -> None:
    detail = api.get(f"/api/llm/models/detail?source=dock&id={MODEL}")
    assert detail["revision"] == "c0ffee"
    assert detail["gate"] == {"state": "open", "url": None}
    assert detail["files"][0]["quantization"] == "Q4_K_M"
    assert "parts" not in detail["files"][0]
    api.fields("GET", "/api/llm/models/detail?source=dock&id=acme/none", 404)
    assert list(api.fields("GET", "/api/llm/models/detail?source=dock")) == ["id"]
    api.fields("GET", f"/api/llm/models/detail?source=nowhere&id={MODEL}", 404)


def test_plan_does_nothing(api: Api, target: str) -> None:
    plan = api.post("/api/llm/models/plan", {"source": "dock", "model": MODEL})
    assert plan["ok"] is True
    assert plan["bytes"] == 1000
    assert plan["files"][0]["name"] == "tug-Q4_K_M.gguf"
    assert "target" not in plan, "a provider holds keys"
    assert api.get("/api/installs")["installs"] == []


def test_plan_with_a_problem_is_an_answer(api: Api, dock: Dock, target: str) -> None:
    dock.problems = (Problem(code="too-big", message="It does not fit.", hint="Take a smaller one."),)
    plan = api.post("/api/llm/models/plan", {"source": "dock", "model": MODEL, "target": target})
    assert plan["ok"] is False
    assert plan["problems"] == [{"code": "too-big", "message": "It does not fit.", "hint": "Take a smaller one."}]
    fields = api.fields("POST", "/api/llm/models/import", 422, json={"source": "dock", "model": MODEL})
    assert fields == {"too-big": "It does not fit."}
    assert api.get("/api/installs")["installs"] == []


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"file": "none.gguf"}, "file"),
        ({"quantization": "Q1"}, "quantization"),
        ({"file": "tug-Q8_0.gguf", "quantization": "Q8_0"}, "quantization"),
        ({"target": "nowhere"}, "target"),
        ({"road": "rail"}, "road"),
        ({"model": "a\tb"}, "model"),
        ({"model": ""}, "model"),
        ({"when": "now"}, "when"),
    ],
)
def test_a_bad_plan_names_its_field(api: Api, target: str, extra: dict[str, str], field: str) -> None:
    assert list(api.fields("POST", "/api/llm/models/plan", json={"source": "dock", "model": MODEL, **extra})) == [field]


def test_catalog(api: Api) -> None:
    assert api.get("/api/llm/catalog") == {"catalog": {"dock": [], "scripted": []}, "violations": []}


def test_pages_take_a_search_as_forms_send_it(api: Api, dock: Dock) -> None:
    """Empty fields, and parameters that are the page's own; what is wrong is said by its name all the same."""
    page = api.call("GET", "/models?q=+tug+&author=&minParameters=350M&limit=&source=&open=x&nonsense=1").text
    assert MODEL in page
    query = dock.queries[-1]
    assert (query.text, query.author, query.min_parameters, query.limit) == ("tug", None, 350_000_000, 10)
    asked = len(dock.queries)
    assert "must not be above maxParameters" in api.call("GET", "/models?minParameters=7B&maxParameters=3B").text
    assert "must be a number such as 3B" in api.call("GET", "/models?q=a&minParameters=3X").text
    assert len(dock.queries) == asked
