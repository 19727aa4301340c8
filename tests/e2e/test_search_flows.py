"""Searching and looking by plain calls of the HTTP API: cheap for the Hub, and honest about what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api import Api
from tests.fakes.faults import Fault
from tests.fakes.repo import Repo, SparseFile
from tests.fakes.server import Seen
from tests.site import Site
from tests.world import REAL, SERVED, World

FIFTY = [f"fleet/Boat-{number}-GGUF" for number in range(50)]


@pytest.fixture
def api(running: Site) -> Iterator[Api]:
    with Api(running.url) as client:
        yield client


@pytest.fixture
def fleet(world: World) -> World:
    for number, id in enumerate(FIFTY):
        files = {
            f"boat-{label}.gguf": SparseFile(2_000_000 + number, number, head=b"GGUF") for label in ("Q4_K_M", "Q8_0")
        }
        world.hub.add(Repo(id=id, files=files, tags=("gguf",), apps=("ollama", "llama.cpp"), num_parameters=10**9))
    world.hub.faults.append(Fault(path="/api/models/.+", times=None, delay=0.05))
    world.hub.cdn.faults.append(Fault(times=None, delay=0.05))
    return world


def most_at_once(requests: Sequence[Seen]) -> int:
    """A client that has its answer may ask on before the server has noted the end of the one before."""
    ends = [(seen.ended_at, -1) for seen in requests if seen.ended_at is not None]
    assert len(ends) == len(requests)
    steps = sorted([(seen.at + 0.02, 1) for seen in requests] + ends)
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def test_fifty_results_with_details_are_never_more_than_four_calls_in_flight(api: Api, fleet: World) -> None:
    first = api.get("/api/llm/models/search", q="fleet", limit=25)
    found = first["results"] + api.get("/api/llm/models/search", q="fleet", limit=25, cursor=first["next"])["results"]
    assert sorted(hit["id"] for hit in found) == sorted(FIFTY)
    fleet.hub.requests.clear()

    def describe(hit: dict[str, str]) -> dict[str, object]:
        asked = {"source": hit["source"], "id": hit["id"], "revision": hit["revision"]}
        return api.get("/api/llm/models/detail", **asked)  # type: ignore[no-any-return]

    with ThreadPoolExecutor(50) as pool:
        details = list(pool.map(describe, found))
    assert all(len(detail["files"]) == 2 and detail["targets"] for detail in details)  # type: ignore[arg-type]
    requests = [*fleet.hub.requests, *fleet.hub.cdn.requests]
    assert 1 < most_at_once(requests) <= 4
    calls = [seen for seen in fleet.hub.requests if seen.path.startswith("/api/")]
    assert len(calls) == 50, "the list said the rest: one call each, for the files"

    fleet.hub.requests.clear()
    fleet.hub.cdn.requests.clear()
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(describe, found))
    assert not fleet.hub.requests, "kept by revision"
    assert not fleet.hub.cdn.requests


def test_where_a_model_can_run(api: Api) -> None:
    real = api.get("/api/llm/models/detail", source="huggingface", id=REAL)
    assert real["servedBy"] == []
    (choice,) = real["targets"]
    assert (choice["target"], choice["quantization"], choice["reason"]) == ("builtin", "Q4_1", None)
    assert choice["fit"]["verdict"] == "fits"
    assert choice["fit"]["basis"] == "header"
    assert choice["fit"]["has"] > choice["fit"]["needs"] > choice["size"]
    (file,) = [file for file in real["files"] if file["role"] == "model"]
    assert file["fit"] == choice["fit"]
    assert file["recommended"]
    assert file["guidance"]

    served = api.get("/api/llm/models/detail", source="huggingface", id=SERVED)
    told = {item["provider"]: item for item in served["servedBy"]}
    assert told["novita"] == {
        "provider": "novita",
        "status": "live",
        "contextLength": 131_072,
        "inputPrice": 0.05,
        "outputPrice": 0.09,
        "tools": True,
    }
    assert served["targets"][0]["file"] is None
    assert "no GGUF file" in served["targets"][0]["reason"]


def test_the_context_length_changes_the_verdict(api: Api) -> None:
    def fit(**more: object) -> dict[str, object]:
        detail = api.get("/api/llm/models/detail", source="huggingface", id=REAL, **more)
        return detail["files"][0]["fit"]  # type: ignore[no-any-return]

    small, large = fit(contextLength=1024), fit(contextLength=8192)
    assert (small["contextLength"], large["contextLength"]) == (1024, 8192)
    # 30 layers, 3 heads of keys and of values with 64 numbers of 16 bits each: 22.5 KiB for each token.
    assert large["needs"] - small["needs"] >= 7168 * 30 * 2 * 3 * 64 * 2  # type: ignore[operator]
    assert fit(contextLength=10**6)["contextLength"] == 8192, "no more than the model was made for"
    assert fit(target="builtin") == fit()


def test_wrong_questions_are_named(api: Api) -> None:
    asked = {"source": "huggingface", "id": REAL}
    wrong = [
        api.get("/api/llm/models/detail", 400, **asked, target="nowhere"),
        api.get("/api/llm/models/detail", 400, **asked, contextLength="many"),
        api.get("/api/llm/models/detail", 400, **asked, contextLength=0),
        api.get("/api/llm/models/detail", 400, **asked, tarjet="builtin"),
    ]
    fields = [problem["errors"][0]["field"] for problem in wrong]
    assert fields == ["target", "contextLength", "contextLength", "tarjet"]
    api.get("/api/llm/models/detail", 404, source="huggingface", id="no/such-model")


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_refusal_is_not_kept_as_no_data(api: Api, world: World, status: int) -> None:
    headers = {"Retry-After": "0", "RateLimit": None} if status == 429 else {}
    fault = Fault(path=f"/api/models/{REAL}.*", times=None, status=status, headers=headers)
    world.hub.faults.append(fault)
    answer = api.client.get("/api/llm/models/detail", params={"source": "huggingface", "id": REAL})
    assert answer.status_code >= 400
    world.hub.faults.clear()
    assert len(api.get("/api/llm/models/detail", source="huggingface", id=REAL)["files"]) >= 1


def test_a_header_that_cannot_be_read_is_an_estimate_and_asked_for_again(api: Api, world: World) -> None:
    world.hub.cdn.faults.append(Fault(times=1, status=503))
    asked = {"source": "huggingface", "id": REAL}
    bases = [api.get("/api/llm/models/detail", **asked)["files"][0]["fit"]["basis"] for _ in range(2)]
    assert bases == ["estimate", "header"]


def test_nothing_found_offers_a_looser_text(api: Api) -> None:
    answer = api.get("/api/llm/models/search", q="smollm2 sailing gguf")
    assert answer["results"] == []
    assert answer["looser"][0] == "smollm2 sailing"
    assert "looser" in api.get("/api/llm/models/search", q="smollm2")
