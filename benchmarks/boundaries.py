"""What boundaries inside a Python agent cost: `python benchmarks/boundaries.py`, with the Python whose cost is asked for.

Each is measured bare, on a recorder that writes to disk, and on a player of what was written, in turns, in CPU time of the
thread: the recorder's includes writing. Prints the least and the median of many turns, in nanoseconds a call.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
os.environ["PLAYHEAD_SEED"] = "00" * 16

from playhead.capture.boundary import active, chance, clock, dates
from playhead.capture.boundary.patches import Patches
from playhead.journal.agent import AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from playhead.player.agent import AgentPlayer, Script

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = 30
CALLS = 5000
_cpu_ns = time.thread_time_ns

READS = {
    "time.time()": "time.time()",
    "time.monotonic_ns()": "time.monotonic_ns()",
    "datetime.now()": "datetime.datetime.now()",
    "random.random()": "random.random()",
    "os.urandom(16)": "os.urandom(16)",
}


def loop(statement: str) -> Callable[[], None]:
    """That statement many times, as the agent's own code."""
    space = {"time": time, "datetime": dt, "random": random, "os": os}
    exec(compile(f"def run():\n for _ in range({CALLS}): {statement}", "agent.py", "exec"), space)
    return space["run"]


def spent(run: Callable[[], None]) -> float:
    """CPU nanoseconds a call."""
    before = _cpu_ns()
    run()
    return (_cpu_ns() - before) / CALLS


@contextlib.contextmanager
def installed():
    """The boundaries in place."""
    patches = Patches()
    for each in (clock, dates, chance):
        each.install(patches, lambda name, patch: patch(sys.modules[name]) if name in sys.modules else None)
    try:
        yield
    finally:
        patches.undo()


def measure(statement: str, folder: Path) -> dict[str, list[float]]:
    """Turns of bare, record and replay."""
    run = loop(statement)
    found: dict[str, list[float]] = {"bare": [], "record": [], "replay": []}
    for turn in range(TURNS):
        found["bare"].append(spent(run))
        path = folder / f"{turn}.seg"
        with installed():
            recorder = AgentRecorder(SegmentWriter(path, path.stem, playhead="x"), lambda: None)

            def record(tape: AgentRecorder = recorder) -> None:
                active.begin(tape)
                run()
                active.end()
                tape.close()

            found["record"].append(spent(record))
            events = read_segment(path.read_bytes(), path.stem).events
            active.begin(AgentPlayer(Script(events), lambda: None, lambda _facts: None))
            found["replay"].append(spent(run))
            active.end()
        path.unlink()
    return found


def main() -> None:
    """Print the table."""
    print(f"Python {sys.version.split()[0]}, ns of CPU a call: least (median) of {TURNS} turns of {CALLS}")
    with tempfile.TemporaryDirectory() as folder:
        for name, statement in READS.items():
            figures = measure(statement, Path(folder))
            cells = [f"{way} {min(of):6.0f} ({statistics.median(of):6.0f})" for way, of in figures.items()]
            print(f"{name:22}", "   ".join(cells))


if __name__ == "__main__":
    main()
