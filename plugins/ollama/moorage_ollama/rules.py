"""Ollama's texts and what they mean, the first that fits counts.

Ollama has texts, not codes. Source: routes.go, images.go and download.go of ollama/ollama, the Hub's registry, and the
issues of both.
"""

from __future__ import annotations

from dataclasses import dataclass

from moorage import (
    AuthFailed,
    BadAnswer,
    DiskFull,
    Gated,
    NotFound,
    RateLimited,
    RemoteError,
    Unreachable,
    Unsupported,
)


class Interrupted(Unreachable):
    """A pull or an import broke off; the next one goes on with what the server has."""


class Damaged(BadAnswer):
    """A file did not reach the server as what its digest promised, and is gone there."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which error a text means; `{text}` in the sentences is the server's own text, `{name}` the model's name."""

    pattern: str
    error: type[RemoteError]
    message: str
    hint: str | None = None


_SSH = (
    "A Hub token is of no use to Ollama. Add the public key of the Ollama server's user (~/.ollama/id_ed25519.pub, for "
    "the Linux service /usr/share/ollama/.ollama/id_ed25519.pub) at huggingface.co/settings/keys, then retry."
)
_NETWORK = (
    "The server itself needs a way out: check its network, its clock and, behind a proxy, HTTPS_PROXY in the "
    "environment of the Ollama server."
)
PULL_RULES = (
    Rule(
        r"no space left on device|ENOSPC|disk quota exceeded|not enough (?:disk )?space",
        DiskFull,
        "The disk of the Ollama server is full.",
        "Make room there and retry; what has arrived is kept while that server runs.",
    ),
    Rule(
        r"digest mismatch",
        Damaged,
        "What the Ollama server downloaded is damaged, and it threw the file away.",
        "A proxy, VPN or virus scanner that changes downloads is the usual cause, bad memory a rare one. A retry "
        "downloads everything again.",
    ),
    Rule(
        r"blocked redirect|unexpected status code 30\d|no Location header",
        Unsupported,
        "This version of Ollama does not follow the Hub to where its files are: {text}",
        "Update Ollama on that machine and retry.",
    ),
    Rule(
        r"dial tcp|i/o timeout|TLS handshake|x509|no such host|proxyconnect|network is unreachable|lookup \S+ on",
        Unreachable,
        "The Ollama server cannot reach the Hub: {text}",
        _NETWORK,
    ),
    Rule(
        r"\b429\b|rate limit",
        RateLimited,
        "The Hub asks the Ollama server to wait: too many downloads from its address.",
        "Try again in some minutes.",
    ),
    Rule(
        r"sharded GGUF",
        Unsupported,
        "{name} comes in several parts, which Ollama cannot pull from the Hub.",
        "Leave the road open, or choose import: Moorage then hands the parts to the server itself.",
    ),
    Rule(
        r"not a valid quantization scheme|is not available in the repository",
        NotFound,
        "The Hub does not know the file that {name} names.",
        "The repository may have changed: search again and choose another file.",
    ),
    Rule(
        r"not GGUF or is not compatible",
        Unsupported,
        "The Hub says that {name} is no model for Ollama.",
        "Choose a repository with GGUF files.",
    ),
    Rule(r"gated|restricted|awaiting", Gated, "The Hub does not give {name} to the Ollama server: it is gated.", _SSH),
    Rule(
        r"\b40[13]\b|invalid username or password|unauthorized",
        AuthFailed,
        "The Hub does not give {name} to the Ollama server: it is private or gated, or does not exist.",
        _SSH,
    ),
    Rule(
        r"newer version of Ollama",
        Unsupported,
        "{name} needs a newer Ollama.",
        "Update Ollama on that machine and retry.",
    ),
    Rule(
        r"MLX",
        Unsupported,
        "{name} is a model for Apple's MLX, which this server cannot run.",
        "Choose a GGUF file.",
    ),
    Rule(
        r"file does not exist|not found|\b404\b",
        NotFound,
        "There is no {name} for the Ollama server to pull.",
        "The repository or file may have been renamed or removed: search again.",
    ),
    Rule(
        r"invalid model name",
        Unsupported,
        "Ollama does not take {name} as the name of a model.",
        "Choose another file, or install it with the built-in engine.",
    ),
    Rule(
        r"context canceled",
        Interrupted,
        "The Ollama server was still ending an earlier pull of this model.",
        "Retry in a minute.",
    ),
    Rule(
        r"max retries exceeded|EOF|connection reset|deadline exceeded|stalled|broken pipe|unexpected status code 5"
        r"|\b50[0234]\b",
        Interrupted,
        "The Ollama server's download broke off: {text}",
        "Retry: it goes on where it stopped. If it ends with EOF each time, restart the Ollama server first.",
    ),
    Rule(
        r"permission denied|read-only file system|input/output error",
        RemoteError,
        "The Ollama server cannot write its models: {text}",
        "Check its models folder (OLLAMA_MODELS) and the disk below it.",
    ),
)
_TOO_OLD = "Update Ollama on that machine and retry; what was downloaded is kept."
_OTHER_FILE = "Choose another file or repository. If this one is new, updating Ollama on that machine may help."
IMPORT_RULES = (
    Rule(
        r"no space left on device|ENOSPC|disk quota exceeded|not enough (?:disk )?space",
        DiskFull,
        "The disk of the Ollama server is full.",
        "Make room there and retry; what was downloaded is kept here.",
    ),
    Rule(
        r"digest mismatch",
        Damaged,
        "What reached the Ollama server is not the file that was sent.",
        "A proxy on the way that changes uploads is the usual cause, bad memory or a bad disk a rare one.",
    ),
    Rule(
        r"llama-quantize.*(?:not found|no such file)|(?:not found|no such file).*llama-quantize",
        Unsupported,
        "This Ollama server lacks the program that joins the parts of {name}: {text}",
        "Install Ollama anew on that machine, or choose a file that comes in one part.",
    ),
    Rule(
        r"invalid split|missing split|split GGUF|shard",
        Unsupported,
        "The Ollama server cannot join the parts of {name}: {text}",
        "Choose a file that comes in one part, or another repository.",
    ),
    Rule(
        r"neither 'from' or 'files'|modelfile",
        Unsupported,
        "This Ollama server is too old to be handed files.",
        _TOO_OLD,
    ),
    Rule(
        r"not in GGUF format|unknown type|no files provided|invalid file magic|is a LoRA adapter|mixed model file",
        Unsupported,
        "The Ollama server cannot take {name} as a model: {text}",
        _OTHER_FILE,
    ),
    Rule(
        r"unsupported (?:model )?architecture|unknown (?:model )?architecture|newer version of Ollama",
        Unsupported,
        "{name} needs a newer Ollama: {text}",
        _TOO_OLD,
    ),
    Rule(
        r"invalid model name",
        Unsupported,
        "Ollama does not take {name} as the name of a model.",
        "Choose another file, or install it with the built-in engine.",
    ),
    Rule(
        r"permission denied|read-only file system|input/output error",
        RemoteError,
        "The Ollama server cannot write its models: {text}",
        "Check its models folder (OLLAMA_MODELS) and the disk below it.",
    ),
    Rule(
        r"out of memory|cannot allocate memory|signal: killed",
        RemoteError,
        "The Ollama server had not enough memory to read {name}: {text}",
        "End what else uses the memory there and retry, or choose a smaller file.",
    ),
    Rule(
        r"blobs?\b.*(?:no such file|not found|cannot find)|blob not found|file does not exist",
        Interrupted,
        "The Ollama server no longer has a file that was handed over to it.",
        "Retry: it is handed over again.",
    ),
    Rule(
        r"context canceled|EOF|connection reset|deadline exceeded|broken pipe|server closed",
        Interrupted,
        "The import into the Ollama server broke off: {text}",
        "Retry; what was downloaded is kept here.",
    ),
)
USE_RULES = (
    Rule(
        r"does not support tools",
        Unsupported,
        "{name} cannot call tools on this Ollama server.",
        "Choose a model with the tools badge, or take the tools away from the agent. A model that was pulled long ago "
        "may gain them when it is installed again.",
    ),
    Rule(
        r"does not support thinking|invalid think value|think value",
        Unsupported,
        "{name} does not take this setting of thinking: {text}",
        "Leave the thinking option of the agent empty.",
    ),
    Rule(
        r"does not support chat",
        Unsupported,
        "{name} is not a model to chat with.",
        "Choose one with the completion badge.",
    ),
    Rule(
        r"context (?:length|window|size)|prompt (?:is )?too long|input length",
        Unsupported,
        "The conversation is longer than {name} can take: {text}",
        "Raise the context length in the agent's options, or begin a new conversation.",
    ),
    Rule(
        r"model '?\"?[^'\"]+'?\"? not found|file does not exist|try pulling it first",
        NotFound,
        "{name} is not installed on this Ollama server.",
        "Install it on the Local models page, or choose one that is there.",
    ),
    Rule(
        r"server busy|maximum pending requests",
        RateLimited,
        "The Ollama server has too many requests waiting.",
        "Try again in a moment.",
    ),
    Rule(
        r"more system memory|out of memory|insufficient memory|cudaMalloc|failed to allocate|memory layout",
        Unsupported,
        "The Ollama server has not enough memory for {name}: {text}",
        "Lower the context length, choose a smaller quantisation, or end what else uses the memory there.",
    ),
    Rule(
        r"unable to load model|error loading model|unknown model architecture|unsupported (?:model )?architecture"
        r"|failed to load",
        Unsupported,
        "The Ollama server cannot load {name}: {text}",
        "Its architecture may be newer than this Ollama: update Ollama on that machine, or choose another file.",
    ),
    Rule(
        r"unauthorized|sign ?in",
        AuthFailed,
        "{name} runs in Ollama's cloud, and this server is not signed in to it.",
        "Run `ollama signin` on that machine.",
    ),
    Rule(
        r"runner process|llama-server|timed out waiting|request canceled|EOF",
        Unreachable,
        "The Ollama server stopped running {name}: {text}",
        "Try again; if it stays like this, see the log of the Ollama server.",
    ),
)
