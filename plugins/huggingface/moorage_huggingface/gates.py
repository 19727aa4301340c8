"""What the Hub's refusals say of a gate. Pure.

Source: https://huggingface.co/docs/hub/models-gated, and the texts that the Hub answers with.
"""

from __future__ import annotations

import re

from moorage import Gate
from moorage_huggingface.config import HUB, origin

_PAGE = re.compile(r"https?://[^\s\"'<>]+")
# "Your request to access model … has been rejected by the repo's authors."
_REFUSED = ("rejected", "has been refused")


def page(id: str, endpoint: str = HUB, said: str = "") -> str:
    """Where access to a model is asked for.

    A mirror only copies: accounts, licences and the tokens themselves are the real Hub's, so its page it is. A hub of
    one's own names its page in its refusal, and what is on the same host as the endpoint is believed.
    """
    own = origin(endpoint)
    for found in _PAGE.finditer(said):
        address = found[0].rstrip(".,;)")
        try:
            known = origin(address) in (own, origin(HUB))
        except ValueError:  # no port, no host: the text is anybody's
            continue
        if known and address.endswith(f"/{id}"):
            return address
    return f"{HUB}/{id}"


def closed(status: int, said: str, url: str) -> Gate:
    """The gate behind a 401 or 403; a licence not accepted and a request not yet granted look the same."""
    if status == 401:
        return Gate(state="sign-in", url=url)
    refused = any(words in said.lower() for words in _REFUSED)
    return Gate(state="refused" if refused else "accept-licence", url=url)
