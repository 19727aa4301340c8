"""The one door to httpx and to the network."""

import sys

# httpx loads its own command line along, and with it rich and pygments: 30 ms and 4 MB of every start, for nothing.
# A module that is None here cannot be imported (https://docs.python.org/3/reference/import.html#the-module-cache),
# and httpx does without it.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # typeshed does not know None

# ruff: noqa: E402
from moorage.http.addresses import Purpose, check_url
from moorage.http.answers import Answer, Stream
from moorage.http.api_client import ApiClient, api_client
from moorage.http.client import HttpClient
from moorage.http.door import HttpDoor
from moorage.http.proxies import ProxySettings, split_proxy
from moorage.http.redact import RedactingFilter, redact
from moorage.http.scope import CallScope
from moorage.http.urls import origin

__all__ = [
    "Answer",
    "ApiClient",
    "CallScope",
    "HttpClient",
    "HttpDoor",
    "ProxySettings",
    "Purpose",
    "RedactingFilter",
    "Stream",
    "api_client",
    "check_url",
    "origin",
    "redact",
    "split_proxy",
]
