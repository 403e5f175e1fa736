"""The power fails while an agent acts, on a disk in memory: what `--durability` promises inside a Python process."""

from __future__ import annotations

import random
import threading
import time
from array import array
from typing import TYPE_CHECKING

from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.segment import SegmentWriter
from tests.inside.acting import COUNT, KINDS, Ledger, Program, judge
from tests.support.disk import Disk

if TYPE_CHECKING:
    from pathlib import Path

_REDACTOR = Redactor()


def cut_again_and_again(
    folder: Path, seed: int, kind: str, *, durability: str = "fsync", often: float = 0.08
) -> tuple[int, int]:
    """Play a program and cut the power just when it has acted, again and again; how many cuts there were, and how many of
    them lost something that it had acted on, or asked. Nothing may ever be invented."""
    dice = random.Random(seed)
    disk = Disk()
    disk.before_sync = lambda: time.sleep(0.0003)  # as long as a device takes
    name = str(folder / f"agent-{seed}-{kind}.seg")
    taking = threading.RLock()
    cells = array("I", bytes(4 * COUNT))
    cuts: list[tuple[array[int], bytes | None]] = []

    def acted() -> None:
        if dice.random() < often:
            with taking:
                noted = array("I", cells)  # before the disk: others act meanwhile
                cuts.extend((noted, disk.power_cut(dice).get(name)) for _ in range(3))

    writer = SegmentWriter(name, "agent-0", durability=durability, playhead="x", by_hand=True, disk=disk)
    Program(seed, Ledger(cells, acted)).run(kind, AgentRecorder(writer, lambda: _REDACTOR))
    lost = 0
    for noted, data in cuts:
        verdict = judge(seed, noted, data or b"", only_changing=True)
        assert verdict.invented == [], f"{seed=} {kind=}"
        lost += bool(verdict.missing)
    whole = judge(seed, cells, bytes(disk.files[name].data))
    assert (whole.missing, whole.invented) == ([], []), f"{seed=} {kind=}"
    return len(cuts), lost


def in_all(folder: Path, programs: int, *, durability: str = "fsync") -> tuple[int, int]:
    """The same for so many programs, the kinds in turn."""
    seed = random.randrange(1 << 30)
    print(f"{seed=}")
    made = lost = 0
    for number in range(programs):
        found = cut_again_and_again(folder, seed + number, KINDS[number % len(KINDS)], durability=durability)
        made, lost = made + found[0], lost + found[1]
    return made, lost
