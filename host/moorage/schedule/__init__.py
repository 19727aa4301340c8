"""When things happen: hours of the day in a time zone, a timer, and what recurs.

`hours.py` is pure; `timer.py` wakes whoever asked for a moment and holds nothing that matters; `recurring.py` keeps
what comes again and again, and sees that each time counts once.
"""

from moorage.schedule.hours import Span as Span
from moorage.schedule.hours import span_at as span_at
from moorage.schedule.recurring import Recurring as Recurring
from moorage.schedule.timer import SchedulerTimer as SchedulerTimer
from moorage.schedule.timer import Timer as Timer
