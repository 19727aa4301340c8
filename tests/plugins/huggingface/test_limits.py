"""Rate limits: read from every answer, shown, and obeyed without asking in vain."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from moorage import Allowance, ModelDetail, ModelRef, RateLimited, SearchPage, SearchQuery
from moorage_huggingface.limits import FIRST_PAUSE, LONGEST_PAUSE, Limits, Place
from moorage_huggingface.plugin import HuggingFacePlugin
from moorage_huggingface.rates import Rate, rates, retry_after
from tests.fakes.faults import Fault, rate_limited
from tests.fakes.hub import FakeHub
from tests.fakes.router import FakeRouter
from tests.plugins.huggingface.conftest import Clock, MakeContext

PLACE = Place.of("https://hub.example", None, "api")
TOKENS = "https://huggingface.co/settings/tokens"


class Asking:
    def __init__(self, plugin: HuggingFacePlugin, context: MakeContext) -> None:
        self.plugin, self.context = plugin, context

    def search(self, text: str = "tiny", **settings: Any) -> SearchPage:
        return self.plugin.search_models(SearchQuery(text=text), self.context(**settings))

    def detail(self, id: str = "acme/tiny-GGUF", **settings: Any) -> ModelDetail:
        return self.plugin.describe_model(ModelRef(source="huggingface", id=id), self.context(**settings))

    def refused(self, **settings: Any) -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            self.search(**settings)
        return caught.value


@pytest.fixture
def asking(plugin: HuggingFacePlugin, context: MakeContext) -> Asking:
    return Asking(plugin, context)


# Headers


@pytest.mark.parametrize(
    ("limit", "policy", "found"),
    [
        ('"api";r=489;t=189', '"fixed window";"api";q=500;w=300', [Rate("api", 489, 189.0, 500, 300.0)]),
        ('"api";r=999;t=295', "", [Rate("api", 999, 295.0)]),
        ('"api"; r=0; t=7', '"fixed window"; "api"; q=500', [Rate("api", 0, 7.0, 500)]),
        ('"resolvers";r=1;t=2', '"fixed window";"api";q=500;w=300', [Rate("resolvers", 1, 2.0)]),
        ('"api";r=1;t=2, "pages";r=3;t=4', "", [Rate("api", 1, 2.0), Rate("pages", 3, 4.0)]),
        ('"api";r=0;t=99999999', "", [Rate("api", 0, 3600.0)]),
        ("", '"fixed window";"api";q=500;w=300', []),
        ('"api";r=-1;t=2', "", []),
        ("limit=5", "", []),
    ],
)
def test_the_headers_of_the_hub(limit: str, policy: str, found: list[Rate]) -> None:
    assert list(rates({"ratelimit": limit, "ratelimit-policy": policy})) == found


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=30))
def test_any_header_is_read(limit: str, policy: str, after: str) -> None:
    for rate in rates({"ratelimit": limit, "ratelimit-policy": policy}):
        assert rate.resets_in >= 0
    seconds = retry_after({"retry-after": after})
    assert seconds is None or 0 <= seconds <= 3600


DIGITS = "0123456789²½٣१Ⅷ九.-+e "
ODD_DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Sun", "Xyz", ""]),
    st.integers(-1, 10**9),
    st.sampled_from(["Jan", "Dec", "Foo"]),
    st.integers(-1, 10**22),
    *[st.integers(-1, 100)] * 3,
    st.one_of(st.sampled_from(["GMT", "+0000", "-0000", ""]), st.integers(-(10**22), 10**22).map("{:+05d}".format)),
)
ODD_WAITS = st.one_of(
    st.text(DIGITS, max_size=20),
    ODD_DATES,
    st.sampled_from(["nan", "inf", "-inf", "1e999", "²", str(10**400), "9" * 5000, "1_000", "0x10", "."]),
)


@given(ODD_WAITS, ODD_WAITS)
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "²")
@example("Fri, 31 Dec 9999 23:59:59 -2359", str(10**400))
def test_no_wait_that_a_service_names_is_a_crash_or_for_ever(after: str, resets: str) -> None:
    headers = {"retry-after": after, "ratelimit": f'"api";r=0;t={resets}', "ratelimit-policy": f'"api";q={resets}'}
    seconds = retry_after(headers)
    assert seconds is None or 0 <= seconds <= 3600
    clock = Clock()
    limits = Limits(clock)
    limits.note(PLACE, 429, headers)
    clock.now += 3600
    limits.check(PLACE)


def test_asking_whose_a_token_is_has_a_limit_of_its_own(asking: Asking, hub: FakeHub) -> None:
    hub.whoami_quota = 1
    here = asking.context(token="hf_good")
    assert asking.plugin.check_key(here) is not None
    for _ in range(2):
        with pytest.raises(RateLimited):
            asking.plugin.check_key(here)
    assert len(hub.seen("GET", "/api/whoami-v2")) == 2
    assert asking.search(token="hf_good").results


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < (retry_after({"retry-after": later}) or 0) <= 100


# What is left


def test_a_search_says_what_is_left(asking: Asking, hub: FakeHub, clock: Clock) -> None:
    hub.quotas["api"] = 500
    assert asking.search().allowance == Allowance(remaining=499, limit=500, resets_in=300.0)
    clock.now += 100
    asking.detail()
    assert asking.search().allowance == Allowance(remaining=496, limit=500, resets_in=200.0)
    # Another token has its own; one that is not accepted counts for nobody.
    assert asking.search(token="hf_good").allowance == Allowance(remaining=499, limit=500, resets_in=200.0)
    assert asking.search(token="hf_unknown").allowance == Allowance(remaining=495, limit=500, resets_in=200.0)


def test_a_mirror_that_says_nothing_of_limits(asking: Asking, hub: FakeHub) -> None:
    hub.faults.append(Fault("/api/models", headers={"RateLimit": None, "RateLimit-Policy": None}))
    page = asking.search()
    assert (len(page.results), page.allowance) == (1, None)


# Nothing is left


def test_at_zero_no_call_is_made(asking: Asking, hub: FakeHub, clock: Clock) -> None:
    hub.quotas["api"] = 2
    asking.search()
    assert asking.search("served").allowance == Allowance(remaining=0, limit=2, resets_in=300.0)
    clock.now += 60
    for _ in range(3):
        error = asking.refused()
        assert error.retry_after == 240.0
    assert len(hub.requests) == 2
    assert str(error) == (
        "Hugging Face asks us to slow down: its limit of 2 requests in 5 minutes is used up. "
        "It takes requests again in 4 minutes."
    )
    for word in ("500", "1000", TOKENS, "Plugins page", "HF_TOKEN"):
        assert word in (error.hint or "")
    clock.now += 240.0
    assert asking.search().allowance == Allowance(remaining=1, limit=2, resets_in=300.0)


def test_a_token_is_the_way_out(asking: Asking, hub: FakeHub) -> None:
    hub.quotas["api"] = 1
    asking.search()
    asking.refused()
    assert asking.search(token="hf_good").allowance is not None
    limited = asking.refused(token="hf_good")
    assert limited.hint is None
    assert len(hub.requests) == 2


def test_each_origin_for_itself(asking: Asking, hub: FakeHub) -> None:
    hub.quotas["api"] = 1
    asking.search()
    asking.refused()
    with FakeHub() as mirror:
        assert asking.search(hub_endpoint=mirror.url).allowance is not None
    asking.refused()


def test_details_stop_too_and_what_is_kept_goes_on(asking: Asking, hub: FakeHub) -> None:
    hub.quotas["api"] = 3
    asking.detail()
    asking.search()
    with pytest.raises(RateLimited):
        asking.detail("acme/served")
    assert len(hub.requests) == 3
    sha = hub.repos["acme/tiny-GGUF"].sha
    ref = ModelRef(source="huggingface", id="acme/tiny-GGUF", revision=sha)
    assert len(asking.plugin.describe_model(ref, asking.context()).files) == 5


def test_files_have_a_limit_of_their_own(asking: Asking, hub: FakeHub, clock: Clock) -> None:
    hub.quotas["resolvers"] = 1
    assert asking.detail("acme/gated-granted", token="hf_good").gate.state == "open"
    for _ in range(2):
        detail = asking.detail("acme/gated-granted", token="hf_good")
        assert (detail.gate.state, detail.partial) == ("unknown", True)
        assert "limit of 1 requests" in (detail.notice or "")
    # The first was sent on to where the bytes are, and that answer says already that nothing is left.
    assert len(hub.seen("HEAD", ".*")) == 1
    assert asking.search(token="hf_good").results
    clock.now += 300
    assert asking.detail("acme/gated-granted", token="hf_good").gate.state == "open"


def test_a_bad_token_meets_the_limit_of_nobody(asking: Asking, hub: FakeHub) -> None:
    hub.quotas["api"] = 1
    asking.search()
    error = asking.refused(token="hf_unknown")
    assert "free account" in (error.hint or "")
    assert len(hub.requests) == 2


# Refusals


def test_a_window_that_is_used_up_says_so_itself(asking: Asking, hub: FakeHub, clock: Clock) -> None:
    hub.faults.append(rate_limited(seconds=57))
    assert asking.refused().retry_after == 57.0
    clock.now += 56.5
    assert asking.refused().retry_after == 0.5
    assert len(hub.requests) == 1
    clock.now += 0.5
    assert asking.search().results


def test_another_limit_waits_as_it_says(asking: Asking, hub: FakeHub, clock: Clock) -> None:
    """With requests left a 429 means some other limit, so the window's end is not what to wait for."""
    hub.faults.append(rate_limited(retry_after=9))
    error = asking.refused()
    assert (error.retry_after, str(error)) == (
        9.0,
        "Hugging Face asks us to slow down. It takes requests again in 9 s.",
    )
    clock.now += 8
    assert asking.refused().retry_after == 1.0
    clock.now += 1
    assert asking.search().results
    assert len(hub.requests) == 2


def test_without_a_time_the_pauses_grow(asking: Asking, hub: FakeHub, clock: Clock) -> None:
    hub.faults.append(rate_limited(times=8))
    pauses = []
    for _ in range(8):
        error = asking.refused()
        pauses.append(error.retry_after)
        assert error.retry_after is not None
        clock.now += error.retry_after
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert asking.search().results
    hub.faults.append(rate_limited())
    assert asking.refused().retry_after == FIRST_PAUSE
    assert len(hub.requests) == 10


def test_a_date_to_wait_for() -> None:
    clock = Clock()
    limits = Limits(clock)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    limits.note(PLACE, 429, {"retry-after": later})
    with pytest.raises(RateLimited) as caught:
        limits.check(PLACE)
    assert 90 < (caught.value.retry_after or 0) <= 100


def test_an_old_answer_does_not_open_what_is_closed() -> None:
    """Answers come in any order."""
    limits = Limits(Clock())
    limits.note(PLACE, 200, {"ratelimit": '"api";r=0;t=60'})
    limits.note(PLACE, 200, {"ratelimit": '"api";r=1;t=60'})
    with pytest.raises(RateLimited):
        limits.check(PLACE)


def test_no_pause_is_longer_than_it_need_be() -> None:
    clock = Clock()
    limits = Limits(clock)
    for _ in range(40):
        limits.note(PLACE, 429, {})
    with pytest.raises(RateLimited) as caught:
        limits.check(PLACE)
    assert caught.value.retry_after == LONGEST_PAUSE


def test_nothing_of_a_token_is_kept() -> None:
    place = Place.of("https://hub.example/x", SecretStr("hf_very_secret"), "api")
    assert "secret" not in repr(place)
    assert place != PLACE
    assert place == Place.of("https://hub.example", SecretStr("hf_very_secret"), "api")


def test_many_threads_at_once() -> None:
    limits = Limits(Clock())

    def work(number: int) -> None:
        place = Place.of(f"https://h{number}.example", None, "api")
        for left in range(500, 0, -1):
            limits.check(place)
            limits.note(place, 200, {"ratelimit": f'"api";r={left - 1};t=60'})
        with pytest.raises(RateLimited):
            limits.check(place)

    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_router_is_obeyed_as_well(asking: Asking, router: FakeRouter, clock: Clock) -> None:
    router.faults.append(rate_limited(retry_after=30))
    for _ in range(3):
        detail = asking.detail("acme/served")
        assert detail.partial
        assert "The router asks us to slow down" in (detail.notice or "")
    assert len(router.requests) == 1
    clock.now += 30
    assert not asking.detail("acme/served").partial
