"""A key of the environment that is not used says so, on the page and in the API."""

from __future__ import annotations

from tests.conftest import MakeHost
from tests.web.api.conftest import Api

TOKEN = "hf_token_of_the_environment_1234"
PATH = "/api/plugins/huggingface/config"


def test_a_key_that_is_not_used_says_so(make_host: MakeHost) -> None:
    api = Api(make_host(environment={"HF_TOKEN": TOKEN}))
    view = api.get(PATH)
    assert view["notices"] == []
    assert "is not used" not in api.call("GET", "/plugins").text
    view = api.put(PATH, {**view, "values": {**view["values"], "hubEndpoint": "http://127.0.0.1:65527"}})
    (notice,) = view["notices"]
    assert notice.startswith("HF_TOKEN is not used: it was not given for http://127.0.0.1:65527,")
    page = api.call("GET", "/plugins").text
    assert notice in page
    assert TOKEN not in page
    # The whole is sent back as it was given; what only tells is not changed by it.
    kept = api.put(PATH, view)
    assert kept["notices"] == view["notices"]
    assert list(api.fields("PUT", PATH, json={**kept, "notices": []})) == ["notices"]
