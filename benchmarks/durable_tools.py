"""How many events a second an agent makes durable: 32 threads, and 32 tasks, that call tools under `--durability fsync`.

    python benchmarks/durable_tools.py [--rounds N] [--seconds S] [--folder DIR] [--wide N]

An event is a record of the segment that was on the device when whatever waited for it went on: the question (ASK) and the
answer (TOLD) of every call, and what was read before it (VALUES); records of lanes and of the order are not counted. Tools
answer at once and do nothing, so that nothing but recording, writing and syncing is measured. A tool that changes
something waits for two syncs, one that only reads for one. `one sync for each` is the same program with a sync for every
record, as a recorder without a group commit makes it; `no sync` says what is left without a disk. Ways take turns within a
round; the sync of this disk alone is measured in each round, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import playhead
from playhead.capture.boundary import active, locks, loops, queues, threads
from playhead.capture.boundary.patches import Patches
from playhead.core import numbers
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.disk import SystemDisk
from playhead.journal.segment import SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTED = (numbers.ASK, numbers.TOLD, numbers.VALUES)


class CountingWriter(SegmentWriter):
    """Counts what is written."""

    events = 0

    def append(self, kind: int, *arguments: Any, **more: Any) -> int:  # type: ignore[override]
        self.events += kind in COUNTED
        return super().append(kind, *arguments, **more)


class CountingDisk(SystemDisk):
    """Counts its syncs."""

    def __init__(self) -> None:
        self.syncs = 0

    def sync(self, fd: int, /) -> None:  # type: ignore[override]
        os.fdatasync(fd)
        self.syncs += 1


@playhead.tool(effect="write")
def charge(order: str, cents: int) -> dict[str, Any]:
    """A tool that changes something."""
    return {"order": order, "cents": cents, "done": True}


@playhead.tool(effect="read")
def look_up(order: str, cents: int) -> dict[str, Any]:
    """A tool that changes nothing."""
    return {"order": order, "cents": cents, "open": True}


@playhead.tool(effect="write")
async def acharge(order: str, cents: int) -> dict[str, Any]:
    """The same, awaited."""
    return {"order": order, "cents": cents, "done": True}


@playhead.tool(effect="read")
async def alook_up(order: str, cents: int) -> dict[str, Any]:
    """The same, awaited."""
    return {"order": order, "cents": cents, "open": True}


def in_threads(call: Callable[..., Any], wide: int, until: float) -> int:
    """Calls that so many threads make until then."""
    made = [0] * wide

    def work(mine: int) -> None:
        while time.monotonic() < until:
            call(f"order {mine}", made[mine])
            made[mine] += 1

    crowd = [threading.Thread(target=work, args=(mine,)) for mine in range(wide)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    return sum(made)


def in_tasks(call: Callable[..., Any], wide: int, until: float) -> int:
    """Calls that so many tasks make until then."""
    made = [0] * wide

    async def work(mine: int) -> None:
        while time.monotonic() < until:
            await call(f"order {mine}", made[mine])
            made[mine] += 1

    async def main() -> None:
        await asyncio.gather(*[work(mine) for mine in range(wide)])

    asyncio.run(main())
    return sum(made)


PROGRAMS: dict[str, tuple[Callable[..., int], Callable[..., Any]]] = {
    "threads, a tool that changes": (in_threads, charge),
    "threads, a tool that reads": (in_threads, look_up),
    "tasks, a tool that changes": (in_tasks, acharge),
    "tasks, a tool that reads": (in_tasks, alook_up),
}
WAYS = ("group commit", "one sync for each", "no sync")


def measure(folder: Path, name: str, way: str, wide: int, seconds: float) -> tuple[float, float, float, float]:
    """Events a second, calls a second, events a sync, and us of this process's CPU an event."""
    run, call = PROGRAMS[name]
    disk = CountingDisk()
    path = folder / "agent-0.seg"
    durability = "write" if way == "no sync" else "fsync"
    writer = CountingWriter(path, path.stem, durability=durability, by_hand=way == "group commit", disk=disk)
    tape = AgentRecorder(writer, Redactor)
    active.begin(tape)
    try:
        began, cpu, syncs, events = time.monotonic(), time.process_time(), disk.syncs, writer.events
        calls = run(call, wide, began + seconds)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        events, syncs = writer.events - events, disk.syncs - syncs
    finally:
        active.end()
        tape.close()
        path.unlink()
    return events / took, calls / took, events / max(syncs, 1), cpu / max(events, 1) * 1e6


def one_sync(folder: Path) -> float:
    """Milliseconds of a sync behind a small write, here and now: median of 40."""
    took = []
    fd = os.open(folder / "alone", os.O_WRONLY | os.O_CREAT, 0o600)
    for _ in range(40):
        os.write(fd, b"x" * 200)
        began = time.perf_counter()
        os.fdatasync(fd)
        took.append(time.perf_counter() - began)
    os.close(fd)
    return median(took) * 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="of each measurement")
    parser.add_argument("--wide", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    patches = Patches()
    for module in (threads, locks, queues, loops):
        module.install(patches, lambda name, patch: patch(sys.modules[name]) if name in sys.modules else None)
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    syncs = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number in range(options.rounds):
            syncs.append(one_sync(Path(folder)))
            for name in PROGRAMS:
                for way in WAYS[number % 3 :] + WAYS[: number % 3]:
                    row = measure(Path(folder), name, way, options.wide, options.seconds)
                    found.setdefault((name, way), []).append(row)
    patches.undo()
    print(f"{options.wide} at a time, Python {sys.version.split()[0]}, median (best) of {options.rounds} rounds")
    print(f"one sync alone: {median(syncs):.2f} ms ({min(syncs):.2f}); load {os.getloadavg()[0]:.1f}")
    for (name, way), rows in found.items():
        events, calls, shared, cpu = zip(*rows, strict=True)
        shares = f"{median(shared):5.1f} events a sync" if way != "no sync" else ""
        print(
            f"{name:30} {way:18} {median(events):7.0f} ({max(events):7.0f}) events/s {median(calls):6.0f} calls/s "
            f"{median(cpu):6.1f} us CPU an event  {shares}"
        )


if __name__ == "__main__":
    main()
