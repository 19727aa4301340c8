"""The catalog of static suggestions."""

from __future__ import annotations

from moorage.models import CatalogView
from moorage_web.current import host
from moorage_web.operations import Routes

api = Routes("catalog")


@api.get("/api/llm/catalog", answer=CatalogView)
def catalog() -> CatalogView:
    """Suggestions by provider type, and who broke the policy."""
    return host().catalog.view()
