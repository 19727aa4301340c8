"""`make demo`: Moorage in a small world on loopback, so that everything can be tried without the internet.

The Hub, the router and the Ollama server are the test servers; the model that the built-in engine runs is real.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from moorage.cli.serve import run
from moorage.server import check_port
from moorage.settings import DEFAULT_PORT, load_settings
from tests.world import REAL, SERVED, TOKEN, world


def main() -> None:
    port = int(os.environ.get("MOORAGE_PORT", DEFAULT_PORT))
    check_port("127.0.0.1", port)
    with tempfile.TemporaryDirectory(prefix="moorage-demo-") as home, world() as places:
        os.environ.update(places.environment, HF_TOKEN=TOKEN)
        print("This is a demo: the Hub, the router and Ollama are test servers, and its data is removed at the end.")
        print(f"Try: install {REAL} on the built-in engine (a real model), or use {SERVED} through Hugging Face:")
        print("with an agent that has the tool current_time, ask it “What is the current time?” to see a tool call.")
        print(f"To use the command line with it: export MOORAGE_HOME={home}", flush=True)
        run(load_settings(home=Path(home), port=port), open_page=True)


if __name__ == "__main__":
    main()
