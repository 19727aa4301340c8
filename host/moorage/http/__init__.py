"""The one door to httpx and to the network."""

from moorage.http.addresses import Purpose, check_url
from moorage.http.answers import Answer, Stream
from moorage.http.api_client import ApiClient, api_client
from moorage.http.client import HttpClient
from moorage.http.door import HttpDoor
from moorage.http.proxies import ProxySettings
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
]
