"""Clock reads of the agent's own code: `time.time` and its kin."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import Patches, asks_for_agent

if TYPE_CHECKING:
    from collections.abc import Callable

READS = (
    "time",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "process_time",
    "process_time_ns",
    "thread_time",
    "thread_time_ns",
)


def install(patches: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Wrap the functions of `time` that read a clock."""
    for name in READS:
        patches.wrap(time, name, partial(_reading, name))


def _reading(kind: str, real: Callable[[], Any]) -> Callable[[], Any]:
    def read() -> Any:
        tape = active.tape
        if tape is None or active.inside.get() or not asks_for_agent():
            return real()
        return tape.value(active.current(), kind, real)

    return read
