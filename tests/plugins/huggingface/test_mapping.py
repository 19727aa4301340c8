"""From recorded and invented JSON of the Hub and the router to Moorage's models."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from moorage import Gate, ModelDetail, ServedBy
from moorage_huggingface import mapping
from moorage_huggingface.wire import HubModel, RouterModel, TreeEntry
from tests.plugins.huggingface.recordings import response

HUB = "https://hub.example"


def model(**fields: Any) -> HubModel:
    return HubModel.model_validate({"id": "acme/tiny-GGUF", **fields})


def tree(*entries: tuple[str, int] | tuple[str, int, str]) -> list[TreeEntry]:
    found = []
    for path, size, *sha in entries:
        lfs = {"lfs": {"oid": sha[0], "size": size, "pointerSize": 134}} if sha else {}
        found.append(TreeEntry.model_validate({"type": "file", "path": path, "size": size, "oid": "0" * 40, **lfs}))
    return found


def files(*entries: Any) -> tuple[Any, ...]:
    return mapping.model_files(tree(*entries), lambda path: f"{HUB}/{path}")


def described(model: HubModel, found: tuple[Any, ...] = (), token: SecretStr | None = None) -> ModelDetail:
    return mapping.detail(model, revision="abc", files=found, hub=HUB, gate=Gate(), served=(), token=token)


def test_what_the_hub_does_not_say_is_none() -> None:
    hit = mapping.hit(HubModel.model_validate({"id": "acme/bare"}), HUB)
    silent = (hit.downloads, hit.likes, hit.license, hit.parameters, hit.context_length, hit.task, hit.updated_at)
    assert {*silent, hit.created_at, hit.revision, hit.served_by} == {None}
    assert (hit.author, hit.gated, hit.has_gguf, hit.tags) == ("acme", False, False, ())


@pytest.mark.parametrize(("said", "ours"), [(None, False), (False, False), ("auto", "auto"), (True, "manual")])
def test_gated_words(said: Any, ours: Any) -> None:
    assert mapping.hit(model(gated=said), HUB).gated == ours


def test_gguf_counts_parameters_not_bytes() -> None:
    gguf = {"total": 3_000_000_000, "architecture": "llama", "context_length": 8192, "totalFileSize": 6_000_000_000}
    detail = described(model(gguf=gguf, tags=["gguf", "license:mit", 7]))
    assert (detail.parameters, detail.context_length, detail.architecture) == (3_000_000_000, 8192, "llama")
    assert (detail.license, detail.has_gguf) == ("mit", True)


@pytest.mark.parametrize(
    ("template", "calls"),
    [
        ("{%- if tools %}{{ tools | tojson }}{% endif %}", True),
        ("{% for message in messages %}{{ message.content }}{% endfor %}", False),
        ("{# a toolsmith wrote this #}", False),
        ("", None),
        (None, None),
        (["not", "a", "text"], None),
    ],
)
def test_a_chat_template_with_tools_calls_them(template: Any, calls: bool | None) -> None:
    assert described(model(gguf={"total": 1, "chat_template": template})).calls_tools is calls


def test_without_gguf_nothing_is_known_of_tools() -> None:
    assert described(model()).calls_tools is None


@pytest.mark.parametrize("private", [True, False])
def test_a_private_model_says_so(private: bool) -> None:
    assert described(model(private=private)).private is private


def test_shards_are_one_file_with_the_sum_of_their_sizes() -> None:
    (file,) = files(("Q4_K_M/m-00002-of-00002.gguf", 5, "B" * 64), ("Q4_K_M/m-00001-of-00002.gguf", 7, "a" * 64))
    assert (file.name, file.size, file.sha256) == ("Q4_K_M/m-00001-of-00002.gguf", 12, None)
    assert file.shards == ("Q4_K_M/m-00001-of-00002.gguf", "Q4_K_M/m-00002-of-00002.gguf")
    assert [(part.size, part.sha256) for part in file.parts] == [(7, "a" * 64), (5, "b" * 64)]
    assert file.quantization == "Q4_K_M"


def test_files_are_told_apart_and_in_order() -> None:
    found = files(
        ("README.md", 10),
        ("imatrix.dat", 3),
        ("m-imatrix.gguf", 2),
        ("mmproj-F16.gguf", 4),
        ("m-Q8_0.gguf", 80),
        ("m-IQ2_XS.gguf", 90),
        ("m-Q4_K_M.gguf", 41),
        ("m-Q4_0.gguf", 40),
        ("half-00001-of-00002.gguf", 1),
    )
    assert [(file.name, file.role) for file in found] == [
        ("m-Q4_0.gguf", "model"),
        ("m-Q4_K_M.gguf", "model"),
        ("m-Q8_0.gguf", "model"),
        ("m-IQ2_XS.gguf", "model"),
        ("mmproj-F16.gguf", "projector"),
        ("m-imatrix.gguf", "other"),
        ("imatrix.dat", "other"),
    ]


def test_the_name_for_ollama_goes_by_bits_not_by_size() -> None:
    """Sizes may lie, as those of an odd file do: what is cut to the bone stays out."""
    assert mapping.ollama_name("a/m", files(("m-Q6_K.gguf", 1), ("m-Q5_K_M.gguf", 2), ("m-Q2_K.gguf", 3))) == (
        "hf.co/a/m:Q5_K_M"
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["m-Q8_0.gguf", "m-Q4_K_M.gguf"], "hf.co/acme/m:Q4_K_M"),
        (["m-Q2_K.gguf", "m-Q8_0.gguf"], "hf.co/acme/m:Q8_0"),
        (["m-IQ2_XS.gguf", "m-Q5_K_M.gguf", "m-Q6_K.gguf"], "hf.co/acme/m:Q5_K_M"),
        (["m-IQ2_XS.gguf", "m-Q3_K_M.gguf"], "hf.co/acme/m:Q3_K_M"),
        (["m-UD-Q4_K_XL.gguf"], "hf.co/acme/m:UD-Q4_K_XL"),
        (["model.gguf"], None),
        (["mmproj-Q8_0.gguf"], None),
        (
            ["m-Q4_K_M-00001-of-00001.gguf", "m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"],
            "hf.co/acme/m:Q4_K_M",
        ),
        (["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"], None),
    ],
)
def test_ollama_name_is_the_label_of_a_real_whole_file(names: list[str], expected: str | None) -> None:
    assert mapping.ollama_name("acme/m", files(*((name, 1) for name in names))) == expected


def test_the_token_goes_with_the_detail_but_is_never_shown() -> None:
    detail = described(model(), token=SecretStr("hf_secret"))
    assert detail.credential is not None
    assert detail.credential.origins == (HUB,)
    assert "secret" not in detail.model_dump_json() + repr(detail)


def test_the_mapping_of_a_list_is_an_array() -> None:
    entry = {"provider": "novita", "status": "live", "providerId": "x", "task": "conversational"}
    assert mapping.served_by(model(inferenceProviderMapping=[entry]), None) == (
        ServedBy(provider="novita", status="live"),
    )


def test_prices_come_from_the_router() -> None:
    said = response("router/v1_models_deepseek-v4-pro.json")["body_json"]["data"][0]
    router = RouterModel.model_validate(said)
    hub = model(inferenceProviderMapping={"novita": {"status": "staging"}, "other": {"status": "error"}})
    served = {each.provider: each for each in mapping.served_by(hub, router)}
    assert served["novita"] == ServedBy(
        provider="novita", status="live", context_length=1_048_576, input_price=1.69, output_price=3.38, tools=True
    )
    assert served["other"] == ServedBy(provider="other", status="error")
    assert {entry["provider"] for entry in said["providers"]} <= set(served)
    offered = mapping.provider_model(router)
    assert offered.context_length == 1_048_576
    assert offered.capabilities == ("completion", "tools")


def test_an_endpoint_says_little_of_its_models() -> None:
    bare = mapping.provider_model(RouterModel.model_validate({"id": "tgi", "architecture": None, "providers": None}))
    assert (bare.name, bare.capabilities, bare.context_length) == ("tgi", None, None)
    vllm = mapping.provider_model(RouterModel.model_validate({"id": "m", "max_model_len": 4096}))
    assert vllm.context_length == 4096
    providers = [{"provider": "a", "status": "error", "context_length": 9, "supports_tools": True}, {"provider": "b"}]
    seeing = RouterModel.model_validate(
        {"id": "m", "providers": providers, "architecture": {"input_modalities": ["text", "image"]}}
    )
    assert mapping.provider_model(seeing).capabilities == ("completion", "vision")
    assert mapping.provider_model(seeing).context_length is None
