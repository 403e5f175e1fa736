"""What a tool inside the agent costs: CPU a call, recorded, replayed and without a tape.

    python benchmarks/tools.py [CALLS]

CPU time of this thread, least and median of several rounds, recording and replay taking turns; the first line says how fast
the machine is just now.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import playhead
from playhead.capture.boundary import active
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from playhead.player.agent import AgentPlayer, Script

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7


def look_up_order(order: str, days: int = 1) -> dict[str, Any]:
    """A tool that does nothing."""
    return {"order": order, "days": days, "open": True, "lines": [{"sku": "A-1", "count": 2}]}


TOOL = playhead.tool(effect="read")(look_up_order)


def cost(call: Callable[..., Any], calls: int) -> float:
    """Microseconds of CPU a call."""
    started = time.thread_time_ns()
    for number in range(calls):
        call(f"order {number}", days=3)
    return (time.thread_time_ns() - started) / calls / 1000


def clock() -> float:
    """Microseconds of a clock read, to tell a slow machine from a slow boundary."""
    started = time.thread_time_ns()
    for _ in range(100_000):
        time.time()
    return (time.thread_time_ns() - started) / 100_000 / 1000


def on(tape: Any, calls: int) -> float:
    """The cost on that tape."""
    active.begin(tape)
    try:
        return cost(TOOL, calls)
    finally:
        active.end()
        tape.close()


def shown(name: str, costs: list[float]) -> str:
    """One line of the answer."""
    return f"{name:<28} least {min(costs):7.2f} us   median {statistics.median(costs):7.2f} us"


def main(calls: int) -> None:
    """Measure, and print."""
    told: dict[str, list[float]] = {
        "tool recorded": [],
        "tool replayed": [],
        "tool without a tape": [],
        "the function": [],
    }
    clocks = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            clocks.append(clock())
            path = Path(folder) / f"agent-{number}.seg"
            told["tool recorded"].append(on(AgentRecorder(SegmentWriter(path, path.stem), Redactor), calls))
            script = Script(read_segment(path.read_bytes(), path.stem).events)
            told["tool replayed"].append(on(AgentPlayer(script, Redactor, lambda _facts: None), calls))
            told["tool without a tape"].append(cost(TOOL, 20 * calls))
            told["the function"].append(cost(look_up_order, 20 * calls))
    print(shown("time.time()", clocks))
    for name, costs in told.items():
        print(shown(name, costs))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
