"""Installs: a durable record for each, a plan before, a queue, and a runner.

`service.py` is `host.installs`. `planner.py` decides what would be done; `queue.py` is what keeps the records and says
what runs next (`stored_queue.py` in the document store); `runner.py` is who does them, `run.py` one of them, `proof.py`
its end. `rules.py` says what `when` means at a moment, `updates.py` looks for newer revisions, `timeline.py` writes
down what happened.
"""

from moorage.installs.service import Installs as Installs
