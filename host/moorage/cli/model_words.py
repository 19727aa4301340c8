"""A model in words: where it is served, where it can be installed, and what its gate wants."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.text import Text

from moorage.cli.tables import size, table
from moorage.models import Gate

VERDICTS = {"fits": "fits", "tight": "tight", "too-big": "too big", "unknown": "not known"}


def fit_text(fit: Any) -> str:
    """Such as `fits, 1.2 of 15.6 GiB`; memory is counted in powers of two."""
    if not fit:
        return ""
    if fit["needs"] is None:
        return VERDICTS[fit["verdict"]]
    of = f" of {fit['has'] / 1024**3:.1f}" if fit["has"] else ""
    about = "" if fit["basis"] == "header" else "about "
    return f"{VERDICTS[fit['verdict']]}, {about}{fit['needs'] / 1024**3:.1f}{of} GiB"


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
    served = served_text(detail["servedBy"])
    lines = [f"{detail['id']} at {detail['revision'][:12]}. Licence: {detail['license'] or 'not said'}."]
    lines += filter(None, (gate_text(detail["gate"]), detail["notice"]))
    lines.append(f"Use through the API: {served}." if served else "Use through the API: no provider serves it.")
    lines += ["Install here:", *(f"  {choice_text(choice)}" for choice in detail["targets"])]
    files = table(
        ("file", "quantisation", "size", "fit", ""),
        (
            (
                file["name"],
                file["quantization"],
                size(file["size"]),
                fit_text(file["fit"]),
                " ".join(filter(None, ("Recommended." if file["recommended"] else "", file["guidance"]))),
            )
            for file in detail["files"]
            if file["role"] == "model"
        ),
        right=("size",),
        whole="file",
        empty="It has no GGUF file, so it cannot be installed. Another author may have one: moorage search --gguf",
    )
    return Group(Text("\n".join(lines)), files)
