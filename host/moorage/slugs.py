"""Short names for addresses: lower-case ASCII words joined by hyphens, unique among those taken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection


def slugify(name: str, taken: Collection[str], fallback: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or fallback
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    return slug
