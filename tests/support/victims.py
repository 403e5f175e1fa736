"""Kills real processes at random moments while they record or seal, and asks the oracle what is left.

    python -m tests.support.victims COUNT [--seed N] [--durability write|fsync|off] [--sealing] [--store DIR]

Each victim is forked from this process, plays a session (see tests.support.crash) on a real disk, and says through a
pipe what the outside has seen *after* it has seen it. It is killed with SIGKILL when it has said so many things, drawn
uniformly, and a moment later; with --sealing at a moment of the time that sealing takes. Prints one JSON line: how many were killed under way, and what was missing or invented.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from playhead.journal.store import Store
from playhead.sessions.reader import read_recording
from tests.journal.peers import ID
from tests.support.crash import Acknowledged, Played, invented

COUNT = 12
THINGS = 60  # about as many as a victim says before it ends
MOMENT_S = 0.003


@dataclass
class Toll:
    """What the killing came to."""

    killed: int = 0  # under way; the others had ended before
    acknowledged: int = 0  # things that the victims had seen
    missing: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    sealed: int = 0  # sessions found sealed
    torn: int = 0  # sessions found in parts and sealed afterwards


def live(root: Path, seed: int, durability: str, tell: int, *, sealing: bool) -> None:
    """The whole life of a victim. With `sealing`, its first byte says that it begins to seal."""

    def say(what: str, number: int, size: int) -> None:
        os.write(tell, b"%s %d %d\n" % (what.encode(), number, size))

    played = Played(root, seed, COUNT, say, durability=durability)
    if not sealing:
        os.write(tell, b"begun 0 0\n")
    for _ in played.acts():
        pass
    played.end()
    if sealing:
        os.write(tell, b"begun 0 0\n")
    played.session.store.seal(ID)


def one(
    root: Path, seed: int, durability: str, said_before: int, after_s: float | None, *, sealing: bool
) -> tuple[Acknowledged, bool, float]:
    """Let one victim live, and kill it so long after it has said so many things (None: never). What it had seen,
    whether it was killed, and how long it lived from then."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(ours)
            live(root, seed, durability, theirs, sealing=sealing)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    handle = os.pidfd_open(pid)
    said = b""
    while (b"begun" not in said or said.count(b"\n") < said_before) and (data := os.read(ours, 4096)):
        said += data
    began = time.perf_counter()
    if after_s is not None and not select.select([handle], [], [], after_s)[0]:
        os.kill(pid, signal.SIGKILL)
    while data := os.read(ours, 65536):
        said += data
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - began
    os.close(handle)
    os.close(ours)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"a victim failed by itself: {seed=}")
    seen = Acknowledged()
    for line in said.split(b"\n")[:-1]:
        what, number, size = line.decode().split()
        if what != "begun":
            seen.take(what, int(number), int(size))
    return seen, os.WIFSIGNALED(status), took


def kill(count: int, seed: int, durability: str, store: Path, *, sealing: bool) -> Toll:
    """So many victims, one after the other."""
    dice, toll = random.Random(seed), Toll()
    whole_s = one(store / "whole", seed, durability, 0, None, sealing=sealing)[2]
    for number in range(count):
        root = store / str(number)
        mine = dice.randrange(2**32)
        things = 0 if sealing else dice.randint(0, THINGS)
        after_s = dice.uniform(0, whole_s if sealing else MOMENT_S)
        seen, was_killed, took = one(root, mine, durability, things, after_s, sealing=sealing)
        whole_s = whole_s * 1.2 if was_killed else took  # the machine is busy now and idle then
        toll.killed += was_killed
        toll.acknowledged += len(seen.left) + len(seen.given) + len(seen.ended)
        judge(Store(root), mine, seen, toll)
        shutil.rmtree(root)
    return toll


def judge(store: Store, seed: int, seen: Acknowledged, toll: Toll) -> None:
    """Read what is left, seal it if it is in parts, and read it again: the same must be found both times."""
    for _ in range(2):
        recording = read_recording(store.path(ID))
        toll.missing += seen.missing(recording)
        toll.invented += invented(recording, seed, COUNT)
        if recording.sealed:
            toll.sealed += 1
            return
        toll.torn += 1
        store.seal(ID)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--durability", default="write")
    parser.add_argument("--sealing", action="store_true")
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.store) as name:
        toll = kill(arguments.count, arguments.seed, arguments.durability, Path(name), sealing=arguments.sealing)
    print(json.dumps({"seed": arguments.seed, **toll.__dict__}))
    sys.exit(bool(toll.missing or toll.invented))


if __name__ == "__main__":
    main()
