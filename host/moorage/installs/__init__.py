"""Installs: a durable record for each, a plan before, a queue, and a runner.

`service.py` is `host.installs`; `planner.py` decides what would be done; `queue.py` keeps the records and says what
runs next; `runner.py` does one install; `schedule.py` wakes what was asked for later.
"""

from moorage.installs.service import Installs as Installs
