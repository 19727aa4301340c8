"""The child process: loads one model and speaks the chat completions format on a loopback port.

It reads one line of JSON from standard input, answers with one line on standard output, and ends when standard input
ends, which it does however the parent ends. Nothing secret is in its arguments.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def main() -> None:
    order = json.loads(sys.stdin.buffer.readline())
    # llama.cpp prints to standard output, which is ours for one line.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        server = _start(order)
    except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answer, flush=True)
        os._exit(1)
    print(json.dumps({"url": server.listening_address}), file=answer, flush=True)
    threading.Event().wait()


def _start(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.n_ctx = order["context_length"]
    params.n_parallel = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.cors_origins = ""
    params.ui = False
    params.use_jinja = True
    params.cache_ram_mib = 0  # its own cache of prompts takes up to 8 GiB
    params.fit_params = False  # it would change the context length that was asked for
    # The engine's threads wait for one another all the time. Where another program takes a core from one of them, all
    # wait for it: with every core in use a busy machine falls from 160 tokens/s to 1. So one core stays free.
    params.cpuparams.n_threads = order["threads"] or max(1, (os.cpu_count() or 2) - 1)
    return xllamacpp.Server(params)


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
