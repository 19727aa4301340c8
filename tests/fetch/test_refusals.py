"""What a source's refusal means, and how long it asks us to wait: whatever stands in its headers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.errors import AuthFailed, Gated, MoorageError
from moorage.fetch.answers import LONGEST_WAIT, check, retry_after
from moorage.models import FilePart

PART = FilePart(name="m.gguf", size=10, url="https://hub.example/acme/m/resolve/abc/m.gguf")


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    url: str = PART.url


def refusal(status: int, **headers: str) -> MoorageError:
    with pytest.raises(MoorageError) as caught:
        check(Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}), PART, 0, None)
    return caught.value


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (401, "Access to model acme/m is restricted. Please log in.", "sign in first"),
        (403, "You are not in the authorized list.", "not accepted yet"),
        (403, "", "not accepted yet"),
        (403, "Your request to access model acme/m has been rejected by the repo's authors.", "refused your account"),
        (403, "Your request HAS BEEN REFUSED.", "refused your account"),
    ],
)
def test_a_gate(status: int, said: str, words: str) -> None:
    error = refusal(status, x_error_code="GatedRepo", x_error_message=said)
    assert isinstance(error, Gated)
    assert words in str(error)
    assert error.url == "https://hub.example/acme/m"
    assert error.url in (error.hint or "")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("code", ["", "NotGatedAtAll", "RepoNotFound"])
def test_no_gate_where_none_is_named(status: int, code: str) -> None:
    """As of a server of files with a password: it has no licence to accept."""
    error = refusal(status, x_error_code=code)
    assert type(error) is AuthFailed
    assert "gated" not in str(error)
    assert "key" in (error.hint or "")
    assert ("may do" in (error.hint or "")) is (status == 403)


def test_what_was_disabled_says_so() -> None:
    error = refusal(403, x_error_message="Access to this resource is disabled.")
    assert type(error) is AuthFailed
    assert "Access to this resource is disabled" in str(error)


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
    st.text("0123456789²½٣१Ⅷ九.-+e ", max_size=20),
    st.text(max_size=20),
    ODD_DATES,
    st.sampled_from(["nan", "inf", "-inf", "1e999", "²", str(10**400), "9" * 5000, "1_000", "0x10", "."]),
)


@given(ODD_WAITS, ODD_WAITS)
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "²")
@example("Fri, 31 Dec 9999 23:59:59 -2359", "1")
@example("Mon, 01 Jan 0001 00:00:00 +2359", "1")
@example("", str(10**400))
def test_a_wait_is_bounded_and_never_a_crash(after: str, resets: str) -> None:
    seconds = retry_after({"retry-after": after, "ratelimit": f'"api";r=0;t={resets}'})
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        ("9" * 15, LONGEST_WAIT),
        (str(10**400), None),
        ("²", None),
        ("٣", None),
        ("-1", None),
    ],
)
def test_seconds_to_wait(after: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": after}) == seconds
