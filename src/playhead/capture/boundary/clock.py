"""Clock reads of the agent's own code: `time.time` and its kin.

On the tape a time is a count of nanoseconds, also of those that give seconds: an integer is written three times as fast as
a float, and CPython itself makes the seconds of it by this one division (`_PyTime_AsSecondsDouble` in Python/pytime.c).
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial

from playhead.capture.boundary import active, logged, patches
from playhead.core.clock import wall_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")

_BREAKDOWNS = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
"""Functions that read the clock when the argument with that index is left out."""

_LOGGING = "logging"
"""The module that reads the time of each line of a log."""

ALL = os.environ.get("PLAYHEAD_CLOCKS") == "all"
"""Whether reads of libraries are on the tape too."""

counts = patches.asks_for_any if ALL else patches.asks_for_agent
"""Whether the clock that is read belongs on the tape, by who reads it."""


def install(put: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Wrap the functions of `time` that read a clock."""
    localtime = time.localtime
    for name in CLOCKS:
        nanoseconds = getattr(time, f"{name}_ns", None)
        if nanoseconds is not None:  # thread_time: not on every system
            put.wrap(time, name, partial(_seconds, name, nanoseconds))
            put.wrap(time, f"{name}_ns", partial(_nanoseconds, f"{name}_ns"))
    for name, at in _BREAKDOWNS.items():
        # `ctime` takes seconds, `asctime` and `strftime` a broken-down time
        fill = localtime if name in ("asctime", "strftime") else _itself
        put.wrap(time, name, partial(_breakdown, name, at, wall_ns, fill))


known: Callable[[str], bool | None] = patches.is_foreign if ALL else patches.known.get
"""The same by the file of the caller, the short way for all but the first read of a file; None: ask `counts`."""


def _seconds(kind: str, nanoseconds: Callable[[], int], real: Callable[[], float]) -> Callable[[], float]:
    inside, current, whose_is, frame = active.inside.get, active.current, known, sys._getframe  # noqa: SLF001

    def read() -> float:
        tape = active.tape
        if tape is None or inside():
            return real()
        whose = whose_is(frame(1).f_code.co_filename)
        if whose or (whose is None and counts()):
            seconds: float = tape.value(current(), kind, nanoseconds) / 1e9
            return seconds
        if whose is None and frame(1).f_globals.get("__name__") == _LOGGING:
            return logged.time_ns(tape, nanoseconds) / 1e9
        return real()

    return read


def _nanoseconds(kind: str, real: Callable[[], int]) -> Callable[[], int]:
    inside, current, whose_is, frame = active.inside.get, active.current, known, sys._getframe  # noqa: SLF001

    def read() -> int:
        tape = active.tape
        if tape is None or inside():
            return real()
        whose = whose_is(frame(1).f_code.co_filename)
        if whose or (whose is None and counts()):
            count: int = tape.value(current(), kind, real)
            return count
        if whose is None and frame(1).f_globals.get("__name__") == _LOGGING:
            return logged.time_ns(tape, real)
        return real()

    return read


def _itself(seconds: float) -> float:
    return seconds


def _breakdown(
    kind: str, at: int, nanoseconds: Callable[[], int], fill: Callable[[float], Any], real: Callable[..., Any]
) -> Callable[..., Any]:
    def read(*arguments: Any) -> Any:
        tape = active.tape
        is_given = len(arguments) > at and (arguments[at] is not None or fill is not _itself)
        if is_given or len(arguments) < at or tape is None or active.inside.get() or not counts():
            return real(*arguments)
        return real(*arguments[:at], fill(tape.value(active.current(), kind, nanoseconds) / 1e9))

    return read
