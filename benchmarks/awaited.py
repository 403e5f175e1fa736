"""What an awaited call inside the agent costs: CPU a call, recorded, replayed and without a tape.

    python benchmarks/awaited.py [CALLS]

CPU time of this thread, least and median of several rounds that take turns: one call after another, 50 side by side, and
`asyncio.sleep` beside a sleep of the bare loop.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, loops
from playhead.capture.boundary.patches import Patches
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from playhead.player.agent import AgentPlayer, Script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 7
WIDE = 50


async def work() -> dict[str, int]:
    """A tool that does nothing."""
    return {"open": 1, "lines": 2}


async def one_after_another(calls: int) -> None:
    """Each waits for the one before."""
    for _ in range(calls):
        await loops.acall("tool", "look_up", b'{"order":"A-1","days":3}', work)


async def side_by_side(calls: int) -> None:
    """Fifty at a time."""
    for _ in range(calls // WIDE):
        await asyncio.gather(*[loops.acall("tool", "look_up", b'{"order":"A-1"}', work) for _ in range(WIDE)])


async def sleeps(calls: int) -> None:
    """Timers that fire at once."""
    for _ in range(calls):
        await asyncio.sleep(1e-9)


def cost(agent: Callable[[int], Awaitable[None]], calls: int) -> float:
    """Microseconds of CPU a call."""
    loop = asyncio.new_event_loop()
    started = time.thread_time_ns()
    loop.run_until_complete(agent(calls))
    spent = time.thread_time_ns() - started
    loop.close()
    return spent / calls / 1000


def on(tape: Any, agent: Callable[[int], Awaitable[None]], calls: int) -> float:
    """The cost on that tape."""
    patches = Patches()
    active.begin(tape)
    loops.install(patches, lambda name, patch: patch(sys.modules[name]) if name in sys.modules else None)
    try:
        return cost(agent, calls)
    finally:
        patches.undo()
        active.end()
        tape.close()


def main(calls: int) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        for agent in (one_after_another, side_by_side, sleeps):
            told: dict[str, list[float]] = {"recorded": [], "replayed": [], "bare": []}
            for number in range(ROUNDS):
                path = Path(folder) / f"agent-{agent.__name__}-{number}.seg"
                told["recorded"].append(on(AgentRecorder(SegmentWriter(path, path.stem), Redactor), agent, calls))
                script = Script(read_segment(path.read_bytes(), path.stem).events)
                told["replayed"].append(on(AgentPlayer(script, Redactor, lambda _facts: None), agent, calls))
                told["bare"].append(cost(agent, calls))
            for name, costs in told.items():
                least, median = min(costs), statistics.median(costs)
                print(f"{agent.__name__:<18} {name:<9} least {least:7.2f} us   median {median:7.2f} us")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
