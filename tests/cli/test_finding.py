"""Finding a model on the command line: what the page and the API say."""

from __future__ import annotations

from tests.fakes.faults import Fault
from tests.process import Commands
from tests.world import REAL, SERVED, World

GATED = "northwind/Breeze-1B-GGUF"


def test_where_each_result_can_run(moorage: Commands) -> None:
    answer = moorage.json("search", "--gguf", "--where")
    assert [hit["id"] for hit in answer["results"]] == [detail["id"] for detail in answer["details"]]
    told = moorage("search", "--gguf", "--where", "smollm2").out
    assert told.splitlines()[0] == REAL
    assert "API: no provider serves it" in told
    assert "Built-in engine: Q4_1, 98.4 MB, fits," in told

    served = moorage("search", "pilot", "--where").out
    assert "API: groq, novita, together; from $0.05 in, $0.09 out per million tokens; context 131,072; tools" in served
    assert "It has no GGUF file" in served
    assert "groq, novita, together" in moorage("search", "pilot").out


def test_filters_are_those_of_the_page(moorage: Commands) -> None:
    def found(*options: str) -> list[str]:
        return [hit["id"] for hit in moorage.json("search", *options)["results"]]

    assert found("--served-by", "all") == [SERVED]
    assert found("--served-by", "groq", "--max-parameters", "9B") == [SERVED]
    assert found("smollm2", "--gguf", "--max-parameters", "4B", "--app", "ollama") == [REAL]
    assert found("--gated", "--gguf") == [GATED]
    assert found("--gguf", "--max-parameters", "4B", "--served-by", "all") == []


def test_nothing_found_offers_a_shorter_text(moorage: Commands) -> None:
    done = moorage("search", "smollm2", "sailing", "gguf")
    assert "No model matches" in done.out
    assert "Shorter: smollm2 sailing" in done.err


def test_a_detail_that_cannot_be_had_hurts_no_other(moorage: Commands, world: World) -> None:
    world.hub.faults.append(Fault(path=f"/api/models/{REAL}/.*", times=None, status=503))
    told = moorage("search", "--gguf", "--where").out
    block = told.partition(REAL)[2].splitlines()[1]
    assert "The Hub has a problem" in block
    assert "Skiff-360M" in told


def test_a_model_in_words(moorage: Commands) -> None:
    gated = moorage("models", "show", GATED).out
    assert "its licence is not accepted yet" in gated
    assert f"https://huggingface.co/{GATED}" in gated
    assert "The usual choice" in gated
    short, long = (
        moorage.json("models", "show", REAL, "--target", "builtin", "--context-length", length)["files"][0]["fit"]
        for length in ("512", "8192")
    )
    assert short["needs"] < long["needs"]
    assert moorage("models", "show", REAL, "--target", "nowhere", ok=False).code == 4


def test_what_the_key_may_do(moorage: Commands) -> None:
    told = moorage("plugins", "check-key", "huggingface").out
    assert told.startswith("demo, a key of the kind read")
    assert "Read public models: yes" in told
    assert "Change models: no" in told
    checks = {check["check"]: check for check in moorage.json("doctor")["checks"]}
    assert checks["key huggingface"] == {"check": "key huggingface", "ok": True, "detail": "demo, read"}
    assert moorage("plugins", "check-key", "ollama", ok=False).code != 0


def test_few_requests_left_are_told(moorage: Commands, world: World) -> None:
    world.hub.quotas["api"] = 20
    for _ in range(18):
        last = moorage("search", "skiff").err
    assert "requests are left" in last
    refused = moorage("search", "pilot", ok=False)
    for _ in range(3):
        refused = moorage("search", "pilot", ok=False)
    assert refused.code != 0
    assert "asks us to slow down" in refused.err
