"""What to try when nothing was found. Pure.

Sources want every word to be in the name of a model, so each word more finds less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from moorage.models import SearchQuery

MOST = 3
# Words that people add and names rarely have; a format is better said by its filter.
_FORMAT = re.compile(r"gguf", re.IGNORECASE)
_BESIDE = re.compile(r"(?:[ui]?q\d\w*|iq\d\w*|bf16|f16|fp16|model|models|quantized|quantised|quant|llm)", re.IGNORECASE)


def looser_texts(query: SearchQuery) -> tuple[str, ...]:
    """At most three shorter texts, the one that is nearest to what was asked first; none for a single word."""
    words = query.text.split()
    found: list[str] = []
    for candidate in _shorter(words):
        text = " ".join(candidate)
        if candidate and len(candidate) < len(words) and text not in found:
            found.append(text)
    return tuple(found[:MOST])


def _shorter(words: list[str]) -> Iterator[list[str]]:
    yield [word for word in words if not _FORMAT.fullmatch(word) and not _BESIDE.fullmatch(word)]
    yield words[:-1]
    yield words[1:]
    yield [max(words, key=len)] if words else []
