"""The child process: loads one model and speaks the chat completions format on a loopback port.

It reads one line of JSON from standard input (`path`, `context_length`, `threads`, `key`), answers with one line on
standard output (`{"ready": url}` or `{"error": text}`), and ends when standard input ends, which it does however the
parent ends. Nothing secret is in its arguments or its environment.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

LOG_LIMIT = 4 * 1024 * 1024
LOG_SECONDS = 30.0


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        return
    order = json.loads(line)
    # What the engine prints goes to the log; standard output is ours, for one line.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    end_with_parent()
    threading.Thread(target=_keep_log_short, daemon=True).start()
    try:
        server = _start(order)
    except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answer, flush=True)
        os._exit(1)
    print(json.dumps({"ready": server.listening_address}), file=answer, flush=True)
    threading.Event().wait()


def _start(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.n_ctx = order["context_length"]
    params.n_parallel = 1
    params.n_batch = 512  # it looks whether it should stop between two batches
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.cors_origins = ""
    params.ui = False
    params.use_jinja = True
    params.sse_ping_interval = 10  # a sign of life while it reads a long prompt
    params.cache_ram_mib = 0  # its own cache of prompts takes up to 8 GiB
    params.fit_params = False  # it would change the context length that was asked for
    # The engine's threads wait for one another all the time. Where another program takes a core from one of them, all
    # wait for it: with every core in use a busy machine falls from 160 tokens/s to 1. So one core stays free.
    params.cpuparams.n_threads = order["threads"] or max(1, (os.cpu_count() or 2) - 1)
    return xllamacpp.Server(params)


def end_with_parent() -> None:
    """End this process as soon as the parent has closed our standard input, or is gone and the system did.

    Linux's "death signal" will not do: it comes when the thread that started us ends, and that is the thread of one
    answer. A thread that waits for the end of input works everywhere, but not while the engine loads a model, since it
    holds the interpreter for all that time. So the kernel is asked to signal the end as well, where it can: what
    happens on SIGIO, when nobody has asked for anything else, is the end of the process.
    """
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_wait_for_end_of_input, daemon=True).start()


def _wait_for_end_of_input() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def _keep_log_short() -> None:
    """The engine writes some lines for each answer, for as long as it runs."""
    while True:
        time.sleep(LOG_SECONDS)
        with suppress(OSError):  # standard error may be no file
            if os.fstat(2).st_size > LOG_LIMIT:
                os.ftruncate(2, 0)


if __name__ == "__main__":
    main()
