"""A model in words: where it is served, where it can be installed, and what its gate wants."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.text import Text

from moorage.cli.tables import plain, size, table
from moorage.models import Gate

VERDICTS = {"fits": "fits", "tight": "tight", "too-big": "too big", "unknown": "not known"}


def fit_text(fit: Any) -> str:
    """Such as `fits, 1.2 of 15.6 GiB`; memory is counted in powers of two."""
    if not fit:
        return ""
    if fit["needs"] is None:
        return VERDICTS[fit["verdict"]]
    of = f" of {_gib(fit['has'])}" if fit["has"] else ""
    gpu = f" and {_gib(fit['gpu'])} of its GPU" if fit["gpu"] else ""
    about = "" if fit["basis"] == "header" else "about "
    return f"{VERDICTS[fit['verdict']]}, {about}{_gib(fit['needs'])}{of} GiB{gpu}"


def _gib(amount: int) -> str:
    return f"{amount / 1024**3:.1f}"


def gate_text(gate: Any) -> str:
    """What stands before the files and what to do, nothing for an open gate."""
    words = Gate(state=gate["state"], url=gate["url"])
    return f"{words.message} {words.hint}" if words.message else ""


def served_text(served: Any) -> str:
    """The inference providers in a line, the cheapest price, the longest context, and whether tools are known."""
    live = [item for item in served or () if item["status"] in (None, "live")]
    if not live:
        return ""
    parts = [", ".join(item["provider"] for item in live)]
    priced = [item for item in live if item["inputPrice"] is not None and item["outputPrice"] is not None]
    if priced:
        best = min(priced, key=lambda item: item["inputPrice"] + item["outputPrice"])
        parts.append(f"from {dollars(best['inputPrice'])} in, {dollars(best['outputPrice'])} out per million tokens")
    lengths = [item["contextLength"] for item in live if item["contextLength"]]
    parts += [f"context {max(lengths):,}"] if lengths else []
    parts += ["tools"] if any(item["tools"] for item in live) else []
    return "; ".join(parts)


def dollars(price: float) -> str:
    """Cents where they tell enough: $0.05, $12.00, and $0.004 where they would not."""
    return f"${price:.2f}" if price >= 0.095 or round(price * 100, 6).is_integer() else f"${price:.2g}"


def choice_text(choice: Any) -> str:
    """What one target would take, or why not."""
    if choice["file"] is None:
        return f"{choice['name']}: {choice['reason']}"
    what = f"{choice['quantization'] or choice['file']}, {size(choice['size'])}, {fit_text(choice['fit'])}"
    return f"{choice['name']}: {what}" + (f". {choice['reason']}" if choice["reason"] else "")


def detail_text(detail: Any) -> Any:
    """Everything about one model, as `moorage models show` prints it."""
    lines = [f"{detail['id']} at {detail['revision'][:12]}. Licence: {detail['license'] or 'not said'}."]
    lines += filter(None, (gate_text(detail["gate"]), detail["notice"]))
    parts: list[Any] = [Text(plain("\n".join(lines)))]
    if detail["servedBy"]:
        parts += [Text("Use through the API, prices per million tokens:"), _providers(detail["servedBy"])]
    else:
        parts.append(Text("Use through the API: no provider serves it."))
    choices = [f"  {choice_text(choice)}" for choice in detail["targets"]]
    return Group(*parts, Text(plain("\n".join(["Install here:", *choices]))), _files(detail["files"]))


def _providers(served: Any) -> Any:
    rows = (
        (
            item["provider"],
            item["status"],
            None if item["inputPrice"] is None else dollars(item["inputPrice"]),
            None if item["outputPrice"] is None else dollars(item["outputPrice"]),
            item["contextLength"],
            {True: "yes", False: "no"}.get(item["tools"]),
        )
        for item in served
    )
    columns = ("provider", "status", "in", "out", "context", "tools")
    return table(columns, rows, right=("in", "out", "context"), whole="provider", empty="")


def _files(files: Any) -> Any:
    rows = (
        (
            file["name"],
            file["quantization"],
            size(file["size"]),
            fit_text(file["fit"]),
            " ".join(filter(None, ("Recommended." if file["recommended"] else "", file["guidance"], _road(file)))),
        )
        for file in files
        if file["role"] == "model"
    )
    return table(
        ("file", "quantisation", "size", "fit", ""),
        rows,
        right=("size",),
        whole="file",
        empty="It has no GGUF file, so it cannot be installed. Another author may have one: moorage search --gguf",
    )


def _road(file: Any) -> str:
    return f"Imported: {file['roadReason']}" if file["roadReason"] else ""
