"""Ollama's texts, as seen in its source and issues, become kinds the host can act on."""

from __future__ import annotations

import pytest

from moorage import (
    AuthFailed,
    BadAnswer,
    DiskFull,
    Gated,
    MoorageError,
    NotFound,
    RateLimited,
    RemoteError,
    Unreachable,
    Unsupported,
)
from moorage_ollama.failures import import_error, pull_error, use_error
from moorage_ollama.rules import Damaged, Interrupted

NAME = "hf.co/org/m-GGUF:Q4_K_M"
SIGNED = "https://us.aws.cdn.hf.co/401/gated-GGUF/429?X-Amz-Signature=deadbeef&Expires=1"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write /root/.ollama/models/blobs/sha256-1-partial: no space left on device", DiskFull),
        ("digest mismatch, file must be downloaded again: want sha256:aa, got sha256:bb", Damaged),
        ('pull model manifest: Get "https://hf.co/v2/m": dial tcp: lookup hf.co: no such host', Unreachable),
        (f'max retries exceeded: Get "{SIGNED}": dial tcp [2a03::25de]:443: i/o timeout', Unreachable),
        (f'Get "{SIGNED}": net/http: TLS handshake timeout', Unreachable),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", Unreachable),
        ('pull model manifest: 429: {"error":"We had to rate limit your IP"}', RateLimited),
        ('pull model manifest: 400: {"error":"The specified tag is a sharded GGUF. Ollama does not"}', Unsupported),
        ('pull model manifest: 400: {"error":"This repository only contains sharded GGUF files."}', Unsupported),
        ('pull model manifest: 400: {"error":"The specified tag is not a valid quantization scheme."}', NotFound),
        ('pull model manifest: 400: {"error":"The specified tag is not available in the repository."}', NotFound),
        ('pull model manifest: 400: {"error":"Repository is not GGUF or is not compatible with"}', Unsupported),
        ("pull model manifest: 401: Invalid username or password.", AuthFailed),
        ("pull model manifest: 403: Access to model org/m is restricted. GatedRepo", Gated),
        ("pull model manifest: file does not exist", NotFound),
        ("pull model manifest: 412: The model you are pulling requires a newer version of Ollama.", Unsupported),
        (f'Head "{SIGNED}": blocked redirect to a different host', Unsupported),
        ("unexpected status code 302", Unsupported),
        ("http: no Location header in response", Unsupported),
        ("this model requires MLX support, but the MLX runtime is not available", Unsupported),
        ("invalid model name", Unsupported),
        ("context canceled", Interrupted),
        ("max retries exceeded: EOF", Interrupted),
        ("max retries exceeded: unexpected EOF", Interrupted),
        ("read tcp 10.0.0.2:5->1.2.3.4:443: read: connection reset by peer", Interrupted),
        ("context deadline exceeded", Interrupted),
        ("pull model manifest: 503: upstream", Interrupted),
        ("open /models/x: permission denied", RemoteError),
        ("something nobody has seen", RemoteError),
    ],
)  # fmt: skip
def test_the_end_of_a_pull(text: str, kind: type[MoorageError]) -> None:
    error = pull_error(text, NAME)
    assert type(error) is kind
    assert "Signature" not in f"{error}{error.hint}"


def test_only_a_break_is_taken_up_by_ourselves() -> None:
    assert issubclass(Interrupted, Unreachable)
    assert Interrupted.retryable
    assert issubclass(Damaged, BadAnswer)
    assert not Damaged.retryable


def test_a_digit_in_a_digest_or_an_address_means_nothing() -> None:
    error = pull_error(f'max retries exceeded: Get "{SIGNED}": EOF sha256:401ab429', NAME)
    assert type(error) is Interrupted


def test_gated_says_where_and_whose_key_counts() -> None:
    error = pull_error("403: gated repo", NAME)
    assert isinstance(error, Gated)
    assert error.url == "https://huggingface.co/org/m-GGUF"
    assert "id_ed25519.pub" in (error.hint or "")


def test_it_is_the_server_that_cannot_reach_the_hub() -> None:
    error = pull_error("dial tcp 1.2.3.4:443: i/o timeout", NAME)
    assert "The Ollama server cannot reach the Hub" in str(error)
    assert "HTTPS_PROXY" in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write /models/blobs/sha256-1: no space left on device", DiskFull),
        ('digest mismatch, expected "sha256:aa", got "sha256:bb"', Damaged),
        ('exec: "llama-quantize": executable file not found in $PATH', Unsupported),
        ("fork/exec /usr/lib/ollama/llama-quantize: no such file or directory", Unsupported),
        ("invalid split GGUF: missing m-00002-of-00003.gguf", Unsupported),
        ("neither 'from' or 'files' was specified", Unsupported),
        ("path or Modelfile are required", Unsupported),
        ("supplied file was not in GGUF format", Unsupported),
        ("unknown type", Unsupported),
        ("invalid file magic", Unsupported),
        ("no files provided to convert", Unsupported),
        ('unsupported architecture "Brand-New"', Unsupported),
        ("invalid model name", Unsupported),
        ("open /models/blobs/sha256-1: no such file or directory", Interrupted),
        ("blob not found for m.gguf (digest sha256:1): file does not exist", Interrupted),
        ("open C:\\models\\blobs\\sha256-1: The system cannot find the file specified.", Interrupted),
        ("context canceled", Interrupted),
        ("unexpected EOF", Interrupted),
        ("open /models/x: permission denied", RemoteError),
        ("llama-quantize: signal: killed", RemoteError),
        ("something nobody has seen", RemoteError),
    ],
)
def test_the_end_of_an_import(text: str, kind: type[MoorageError]) -> None:
    error = import_error(text, NAME)
    assert type(error) is kind
    assert error.hint or kind is RemoteError


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("registry.ollama.ai/library/tiny:latest does not support tools", Unsupported),
        ('"tiny" does not support thinking', Unsupported),
        ('"nomic" does not support chat', Unsupported),
        ("model 'tiny:latest' not found", NotFound),
        ('model "tiny:latest" not found, try pulling it first', NotFound),
        ("server busy, please try again.  maximum pending requests exceeded", RateLimited),
        ("model requires more system memory (9.1 GiB) than is available (3.0 GiB)", Unsupported),
        ("unable to load model: /models/blobs/sha256-1", Unsupported),
        ("the input length exceeds the context length", Unsupported),
        ("llama runner process has terminated: exit status 2", Unreachable),
        ("unauthorized", AuthFailed),
        ("an error was encountered while running the model", RemoteError),
    ],
)
def test_using_a_model(text: str, kind: type[MoorageError]) -> None:
    error = use_error(text, "tiny")
    assert type(error) is kind
