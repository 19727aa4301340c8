"""What programs that know nothing of Moorage may speak to."""

from __future__ import annotations

from moorage.models.base import Model, Time


class GatewayModel(Model):
    """An agent or a provider's model under one name; `owner` is `agent` or the provider type."""

    id: str
    owner: str
    description: str
    created_at: Time
