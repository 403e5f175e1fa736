"""Kills agents at random moments while they ask, are answered and act, and asks the oracle what is left.

    python -m tests.inside.kills COUNT [--seed N] [--durability write|fsync|off] [--kind alone] [--fault late|unread]

Each victim is forked from this process, which is warm, plays one of the programs of `tests.inside.acting` on a real
recorder, boundaries and disk, and notes what it acts on in memory that it shares with us. It is killed with SIGKILL: by
itself at a system call of the recorder (before, within or behind it), by itself just when it has acted, or by us at a
moment of its life. `--fault` breaks the recorder, to see that this is noticed: `late` gives an answer before it is
written, `unread` asks before what was read is. Prints one JSON line. Exit code 1: something is missing or invented.
"""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import os
import random
import select
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.disk import SystemDisk
from playhead.journal.segment import SegmentWriter
from tests.inside.acting import BOUNDARIES, COUNT, KINDS, Ledger, Program, judge
from tests.support.boundaries import installed

if TYPE_CHECKING:
    from playhead.core.boundary import Call, Outcome

WAYS = ("call", "act", "moment")
LIMIT_S = 60
REPORT_EVERY = 500
_REDACTOR = Redactor()


@dataclass
class Toll:
    """What the killing came to."""

    killed: int = 0  # under way; the others had ended before
    acted: int = 0  # answers on which victims had acted
    by: dict[str, int] = field(default_factory=dict)  # killed, by way and kind
    missing: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    ms: float = 0.0  # a victim


class DyingDisk(SystemDisk):
    """The real disk, whose process dies at one of its calls: before it, in the middle of what it writes, or behind it."""

    def __init__(self, at: int, where: float) -> None:
        self.calls = 0
        self._at, self._where = at, where

    def write(self, fd: int, data: bytes, /) -> int:  # type: ignore[override]
        self._comes()
        if self.calls == self._at and self._where < 0.66:
            os.write(fd, data[: int(len(data) * self._where)])
            _die()
        taken = os.write(fd, data)
        self._went()
        return taken

    def sync(self, fd: int, /) -> None:  # type: ignore[override]
        self._comes()
        os.fdatasync(fd)
        self._went()

    def _comes(self) -> None:
        self.calls += 1
        if self.calls == self._at and self._where < 0.33:
            _die()

    def _went(self) -> None:
        if self.calls >= self._at > 0:
            _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Late(AgentRecorder):
    """A recorder that writes an answer after it has given it: before whatever it writes next."""

    _owed: tuple[Any, ...] = ()

    def _told(self, call: Call, outcome: Outcome, flags: int = 0) -> None:
        self._pay()
        self._owed = call, outcome, flags

    def ask(self, call: Call, then: Any = None) -> bool:
        with self._mutex:
            self._pay()
        return super().ask(call, then)

    def close(self) -> None:
        with self._mutex:
            self._pay()
        super().close()

    def _pay(self) -> None:
        owed, self._owed = self._owed, ()
        if owed:
            super()._told(*owed)


class Unread(AgentRecorder):
    """A recorder that writes what was read behind the question that was asked on the strength of it."""

    def _flush(self) -> None:
        if self._calls % 8 == 0:
            super()._flush()


RECORDERS: dict[str, type[AgentRecorder]] = {"": AgentRecorder, "late": Late, "unread": Unread}


class Kills:
    """Victims in a folder, one after another."""

    def __init__(self, folder: Path, *, durability: str = "write", fault: str = "") -> None:
        self._path = folder / "agent-0.seg"
        self._durability = durability
        self._recorder = RECORDERS[fault]
        self._memory = mmap.mmap(-1, 4 * COUNT)
        self._cells = memoryview(self._memory).cast("I")
        self._shared = mmap.mmap(-1, 16)
        self._notes = memoryview(self._shared).cast("Q")  # system calls, acts
        self._lives: dict[str, tuple[int, int, float]] = {}  # by kind: system calls, acts, seconds

    def close(self) -> None:
        """Give the memory back."""
        for view in (self._cells, self._notes):
            view.release()
        self._memory.close()
        self._shared.close()

    def warm(self) -> None:
        """Live once in this process: what victims load is loaded, and need not be in each of them."""
        for kind in KINDS:
            self._live(0, kind, "", 0, 0.0)
            self._path.unlink()

    def kill(self, dice: random.Random, kind: str, way: str, toll: Toll) -> None:
        """One victim more."""
        if kind not in self._lives:
            began = time.perf_counter()
            self._one(dice.randrange(1 << 32), kind, "", 0, 0.0, toll)
            self._lives[kind] = self._notes[0], self._notes[1], time.perf_counter() - began
        calls, acts, seconds = self._lives[kind]
        at = dice.randint(1, calls if way == "call" else acts)
        self._one(dice.randrange(1 << 32), kind, way, at, dice.random(), toll, after_s=dice.uniform(0, seconds))

    def _one(
        self, seed: int, kind: str, way: str, at: int, where: float, toll: Toll, *, after_s: float = LIMIT_S
    ) -> None:
        self._memory[:] = bytes(4 * COUNT)
        self._shared[:] = bytes(16)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self._live(seed, kind, way, at, where)
                code = 0
            finally:
                os._exit(code)
        handle = os.pidfd_open(pid)
        try:
            is_over = select.select([handle], [], [], after_s if way == "moment" else LIMIT_S)[0]
            if not is_over:
                os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        finally:
            os.close(handle)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError(f"a victim failed by itself: {seed=} {kind=}")
        if not is_over and way != "moment":
            raise RuntimeError(f"a victim hangs: {seed=} {kind=} {way=} {at=} {where=}")
        was_killed = os.WIFSIGNALED(status)
        toll.killed += was_killed
        if was_killed:
            toll.by[f"{way} {kind}"] = toll.by.get(f"{way} {kind}", 0) + 1
        data = self._path.read_bytes() if self._path.exists() else b""
        verdict = judge(seed, self._cells, data)
        toll.acted += verdict.acted
        toll.missing += [f"{each} ({seed=} {kind} {way} {at})" for each in verdict.missing[:3]]
        toll.invented += [f"{each} ({seed=} {kind} {way} {at})" for each in verdict.invented[:3]]
        self._path.unlink(missing_ok=True)

    def _live(self, seed: int, kind: str, way: str, at: int, where: float) -> None:
        """The whole life of a victim."""
        disk = DyingDisk(at if way == "call" else 0, where)
        notes = self._notes

        def acted() -> None:
            notes[1] += 1
            if way == "act" and notes[1] >= at:
                _die()

        writer = SegmentWriter(
            self._path, "agent-0", durability=self._durability, playhead="x", by_hand=True, disk=disk
        )
        tape = self._recorder(writer, lambda: _REDACTOR)
        Program(seed, Ledger(self._cells, acted)).run(kind, tape)
        notes[0] = disk.calls


def kill(
    folder: Path, count: int, seed: int, *, durability: str = "write", fault: str = "", kinds: tuple[str, ...] = KINDS
) -> Toll:
    """So many victims: the kinds and ways in turn."""
    dice, toll = random.Random(seed), Toll()
    kills = Kills(folder, durability=durability, fault=fault)
    began = time.perf_counter()
    with installed(*BOUNDARIES):
        kills.warm()
        gc.freeze()
        for number in range(count):
            kills.kill(dice, kinds[number % len(kinds)], WAYS[number // len(kinds) % len(WAYS)], toll)
            if number % REPORT_EVERY == REPORT_EVERY - 1:
                found = f"{len(toll.missing)} missing, {len(toll.invented)} invented"
                print(
                    f"{number + 1} victims, {toll.killed} killed, {toll.acted} acts, {found}",
                    file=sys.stderr,
                    flush=True,
                )
    toll.ms = round((time.perf_counter() - began) / count * 1000, 1)
    kills.close()
    return toll


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--durability", default="write", choices=("write", "fsync", "off"))
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--fault", default="", choices=tuple(RECORDERS))
    options = parser.parse_args()
    kinds = tuple(options.kind or KINDS)
    with tempfile.TemporaryDirectory() as folder:
        toll = kill(
            Path(folder),
            options.count,
            options.seed,
            durability=options.durability,
            fault=options.fault,
            kinds=kinds,
        )
    print(json.dumps({"seed": options.seed, **toll.__dict__, "missing": toll.missing[:20]}))
    sys.exit(bool(toll.missing or toll.invented))


if __name__ == "__main__":
    main()
