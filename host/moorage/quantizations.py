"""What the quantisation of a file means for whoever has to choose one. Pure.

Source: the measurements of llama.cpp's `tools/quantize`, in words.
"""

from __future__ import annotations

import re

# What most people want first: small enough to run, good enough to use. Then what is nearest to it.
PREFERRED = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0", "Q4_1", "IQ4_XS", "IQ4_NL", "Q8_0", "Q6_K", "Q3_K_M", "F16", "BF16")

_WORDS = (
    (r"F32", "As it was trained, in double the size of F16 and no better to use."),
    (r"BF16|F16", "Not quantised: the full quality, in three to four times the size of Q4."),
    (r"Q8.*", "Hardly to be told from the original; nearly twice the size of Q4."),
    (r"Q6.*", "Very close to the original."),
    (r"Q5.*", "A little closer to the original than Q4, and a little larger."),
    (r"Q4_K_M", "The usual choice: small, with little loss."),
    (r"Q4_0_\d_\d", "Q4 packed for certain processors; newer engines do that by themselves."),
    (r"MXFP4.*|NVFP4", "Four bits, as some models are trained: no loss for those."),
    (r"Q4.*|IQ4.*", "Small, with little loss; about like Q4_K_M."),
    (r"Q3.*|IQ3.*", "Weaker answers; for where Q4 does not fit."),
    (r"Q2.*|IQ2.*", "Much weaker answers; for where nothing larger fits."),
    (r"TQ.*", "For models that were trained with three values per weight."),
    (r"Q1.*|IQ1.*", "Hardly usable; to see a very large model run at all."),
)


def guidance(label: str | None) -> str | None:
    """One sentence on a quantisation, None for one that is not known."""
    plain = (label or "").upper().removeprefix("UD-")
    sentence = next((words for pattern, words in _WORDS if re.fullmatch(pattern, plain)), None)
    if sentence is not None and (label or "").upper().startswith("UD-"):
        return f"{sentence} The layers that matter most are kept finer."
    return sentence


def preference(label: str | None) -> int:
    """The place of a quantisation in what most people want; the same last place for all that are not named there."""
    return PREFERRED.index(label or "") if label in PREFERRED else len(PREFERRED)
