"""From the Hub's JSON to Moorage's models. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pydantic import SecretStr

from moorage import Credential, FilePart, Gate, ModelDetail, ModelFile, ModelHit, ProviderModel, ServedBy
from moorage_huggingface.quantization import bits, group_shards, quantization, role
from moorage_huggingface.wire import HubModel, RouterModel, TreeEntry

SOURCE = "huggingface"
# llama.cpp's order of choice for a file that nobody named.
PULL_FIRST = ("Q4_K_M", "Q8_0")


def hit(model: HubModel, hub: str, router: RouterModel | None = None) -> ModelHit:
    """One result; `router` adds prices where they are known already."""
    fields = _hit_fields(model, hub)
    if model.inference_provider_mapping is not None or router is not None:
        fields["served_by"] = served_by(model, router)
    return ModelHit.model_validate(fields)


def _hit_fields(model: HubModel, hub: str) -> dict[str, object]:
    gguf, tensors = model.gguf, model.safetensors
    return {
        "source": SOURCE,
        "id": model.id,
        "author": model.author or (model.id.partition("/")[0] if "/" in model.id else None),
        "downloads": model.downloads,
        "likes": model.likes,
        "tags": tuple(model.tags),
        "has_gguf": "gguf" in model.tags or gguf is not None,
        "gated": model.gated,
        "license": _licence(model.tags),
        "parameters": (gguf.total if gguf else None) or (tensors.total if tensors else None),
        "context_length": gguf.context_length if gguf else None,
        "task": model.pipeline_tag,
        "updated_at": model.last_modified,
        "created_at": model.created_at,
        "revision": model.sha,
        "url": f"{hub}/{model.id}",
    }


def _licence(tags: Iterable[str]) -> str | None:
    return next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None)


def detail(
    model: HubModel,
    *,
    revision: str,
    files: tuple[ModelFile, ...],
    hub: str,
    gate: Gate,
    served: tuple[ServedBy, ...],
    token: SecretStr | None,
    notice: str | None = None,
    partial: bool = False,
) -> ModelDetail:
    """Everything about one model; `token` is bound to the Hub's origin."""
    return ModelDetail.model_validate(
        {
            **_hit_fields(model, hub),
            "revision": revision,
            "private": model.private,
            "gate": gate,
            "files": files,
            "served_by": served,
            "ollama_name": ollama_name(model.id, files),
            "architecture": model.gguf.architecture if model.gguf else None,
            "calls_tools": model.gguf.calls_tools if model.gguf else None,
            "partial": partial,
            "notice": notice,
            "credential": Credential(value=token, origins=(hub,)) if token is not None else None,
        }
    )


def model_files(tree: Sequence[TreeEntry], url_of: Callable[[str], str]) -> tuple[ModelFile, ...]:
    """The GGUF files, shards as one, and what belongs to them: models first, then by size."""
    entries = {entry.path: entry for entry in tree if _belongs(entry)}
    files = []
    for paths in group_shards(sorted(entries)):
        parts = tuple(_part(entries[path], url_of) for path in paths)
        files.append(
            ModelFile(
                name=paths[0],
                size=sum(part.size for part in parts),
                sha256=parts[0].sha256 if len(parts) == 1 else None,
                quantization=quantization(paths[0]),
                shards=tuple(paths) if len(paths) > 1 else (),
                role=role(paths[0]),
                parts=parts,
            )
        )
    return tuple(sorted(files, key=_order))


def worth_keeping(tree: Sequence[TreeEntry]) -> tuple[TreeEntry, ...]:
    """What a detail is made of; where no file belongs into it, one that shows whether files may be had."""
    found = [entry for entry in tree if _belongs(entry)]
    # Small files such as README.md may be open where the weights are not.
    return tuple(found or sorted((e for e in tree if e.type == "file"), key=lambda e: e.lfs is None)[:1])


def _belongs(entry: TreeEntry) -> bool:
    name = entry.path.rpartition("/")[2].lower()
    return entry.type == "file" and (name.endswith(".gguf") or "imatrix" in name)


def _order(file: ModelFile) -> tuple[int, int, str]:
    return ("model", "projector", "other").index(file.role), file.size, file.name


def _part(entry: TreeEntry, url_of: Callable[[str], str]) -> FilePart:
    return FilePart(
        name=entry.path,
        size=entry.lfs.size if entry.lfs else entry.size,
        sha256=entry.lfs.oid.lower() if entry.lfs else None,
        url=url_of(entry.path),
    )


def ollama_name(id: str, files: Sequence[ModelFile]) -> str | None:
    """What `ollama run` takes for the file that most would choose; None where Ollama cannot pull it.

    Ollama pulls by the label of a real file, and no shards (https://huggingface.co/docs/hub/ollama).
    """
    labels = [file.quantization for file in files if file.role == "model" and not file.shards and file.quantization]
    if not labels or "/" not in id:
        return None
    usual = next((wanted for wanted in PULL_FIRST if wanted in labels), None)
    # Else the smallest that is not cut to the bone.
    labels.sort(key=bits)
    label = usual or next((each for each in labels if bits(each) >= 4), labels[-1])
    return f"hf.co/{id}:{label}"


def served_by(model: HubModel, router: RouterModel | None) -> tuple[ServedBy, ...]:
    """The Hub's mapping joined with what the router knows of prices and abilities."""
    known = {entry.provider: entry for entry in router.providers} if router else {}
    mapping = model.inference_provider_mapping or ()
    mapped = {entry.provider: entry.status for entry in mapping if entry.provider}
    found = []
    for provider in sorted({*mapped, *known}):
        entry = known.get(provider)
        pricing = entry.pricing if entry else None
        found.append(
            ServedBy(
                provider=provider,
                status=(entry.status if entry else None) or mapped.get(provider),
                context_length=entry.context_length if entry else None,
                input_price=pricing.input if pricing else None,
                output_price=pricing.output if pricing else None,
                tools=entry.supports_tools if entry else None,
            )
        )
    return tuple(found)


def provider_model(model: RouterModel) -> ProviderModel:
    """`capabilities` is None where the endpoint says nothing about them, as those of one's own do."""
    live = [entry for entry in model.providers if entry.status != "error"]
    lengths = [entry.context_length for entry in live if entry.context_length]
    can = ["completion"]
    can += ["tools"] if any(entry.supports_tools for entry in live) else []
    can += ["vision"] if "image" in model.architecture.input_modalities else []
    return ProviderModel(
        name=model.id,
        context_length=max(lengths, default=model.max_model_len),
        capabilities=tuple(can) if model.providers else None,
    )
