"""The clock of the sanitizer, which tests that stop or move the time do not stop.

freezegun replaces `time.perf_counter` in every module that has it under any name; a `partial` is another object.
https://github.com/spulec/freezegun/blob/master/freezegun/api.py, `freeze_time.start`
"""

from functools import partial
from time import perf_counter as _perf_counter

perf_counter = partial(_perf_counter)
del _perf_counter
