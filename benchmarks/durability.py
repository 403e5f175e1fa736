"""What each durability costs: answers a second and added latency of concurrent callers, on this disk and on a slow one.

    python benchmarks/durability.py [--rounds N] [--seconds S] [--folder DIR] [--slow-ms MS]

A recorder with redaction on an event loop, callers that ask again as soon as they are answered, and a world that
answers at once, so that nothing but writing and syncing is measured. The ways alternate in each round; read the ratios.

    write       nobody waits for the device
    fsync       group commit: a question waits for the sync of its intent, its answer for that of its records
    answers     the same, but a question leaves before its intent is durable (not offered: see docs/decisions)
    each        one sync for each record, on the loop, as a naive recorder does it
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from playhead.core.redact import Redactor
from playhead.core.tape import Connection, Exchange, Route, Target
from playhead.journal import recorder as recorders
from playhead.journal.disk import SystemDisk
from playhead.journal.gate import OpenGate
from playhead.journal.segment import SegmentWriter

CALLERS = (1, 8, 32)
WAYS = ("write", "fsync", "answers", "each")
TARGET = Target("https", "api.openai.com", 443)
BODY = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"some words " * 250)
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nContent-Length: %d\r\n\r\n" % len(BODY)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1200\r\n\r\n" + b"a" * 1200


class SlowDisk(SystemDisk):
    """The real disk, with syncs that take so much longer."""

    def __init__(self, more_s: float) -> None:
        self._more_s = more_s
        self.syncs = 0

    def sync(self, fd: int, /) -> None:  # type: ignore[override]
        os.fdatasync(fd)
        self.syncs += 1
        if self._more_s:
            time.sleep(self._more_s)


class World:
    """Answers on the next turn of the loop after the question is whole."""

    def ask(self, _exchange: Exchange, _head: bytes, answering: Any) -> Any:
        return _Asking(answering)


class _Asking:
    def __init__(self, answering: Any) -> None:
        self._answering = answering

    def feed(self, data: bytes) -> None:
        pass

    def end(self) -> None:
        asyncio.get_running_loop().call_soon(lambda: self._answering.answered(ANSWER, last=True))

    def abort(self) -> None:
        pass

    def hold(self, *, holding: bool) -> None:
        pass


class Caller:
    """Asks again and again until the time is over, and notes how long each answer took."""

    def __init__(self, number: int, recorder: recorders.Recorder, until: float) -> None:
        self._connection = Connection(number, ("127.0.0.1", 40_000 + number), Route.PROXY, lane=1)
        self._recorder, self._until = recorder, until
        self.took_s: list[float] = []
        self.over = asyncio.get_running_loop().create_future()
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        number = self._recorder.exchanges + 1
        turn = self._recorder.begin(Exchange(number, self._connection, TARGET, 1, True), HEAD, self)
        turn.feed(BODY)
        turn.end()

    def deliver(self, data: bytes) -> None:
        pass

    def finish(self, _how: object) -> None:
        now = time.perf_counter()
        self.took_s.append(now - self._began)
        if now < self._until:
            asyncio.get_running_loop().call_soon(self._ask)
        else:
            self.over.set_result(None)

    def hold(self, *, holding: bool) -> None:
        pass


async def measure(folder: Path, way: str, callers: int, seconds: float, slow_s: float) -> tuple[float, float, float]:
    """Answers a second, median latency in ms, answers per sync."""
    loop = asyncio.get_running_loop()
    disk = SlowDisk(slow_s)
    writer = SegmentWriter(
        folder / f"{way}.seg", "engine", durability="write" if way == "write" else "fsync",
        resume=None if way == "each" else loop.call_soon_threadsafe, disk=disk,
    )  # fmt: skip
    recorder = recorders.Recorder(writer, World(), OpenGate(), redactor=Redactor(), lane_of=lambda _: 1, trouble=print)
    real = recorders.AskedWhenDurable
    if way == "answers":
        recorders.AskedWhenDurable = lambda world, exchange, head, answering, _: world.ask(exchange, head, answering)  # type: ignore[assignment, misc]
    began = time.perf_counter()
    try:
        crowd = [Caller(n + 1, recorder, began + seconds) for n in range(callers)]
        await asyncio.gather(*(caller.over for caller in crowd))
    finally:
        recorders.AskedWhenDurable = real  # type: ignore[misc]
    took = time.perf_counter() - began
    times = [t for caller in crowd for t in caller.took_s]
    syncs = disk.syncs
    writer.close()
    (folder / f"{way}.seg").unlink()
    return len(times) / took, median(times) * 1000, len(times) / max(syncs, 1)


def run(folder: Path, rounds: int, seconds: float, slow_s: float) -> None:
    """All ways for each crowd, alternating, and a line for each."""
    try:
        import uvloop
    except ImportError:
        go = asyncio.run
    else:
        go = uvloop.run
    for callers in CALLERS:
        found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
        for number in range(rounds):
            for way in WAYS[number % 2 :] + WAYS[: number % 2]:
                found[way].append(go(measure(folder, way, callers, seconds, slow_s)))
        for way in WAYS:
            rate, latency, shared = (median(column) for column in zip(*found[way], strict=True))
            against_write = [mine[1] - base[1] for mine, base in zip(found[way], found["write"], strict=True)]
            against_each = [mine[0] / naive[0] for mine, naive in zip(found[way], found["each"], strict=True)]
            print(
                f"{callers:3d} callers  {way:8s} {rate:8.0f} answers/s  p50 {latency:7.3f} ms "
                f"({median(against_write):+7.3f} against write)  x{median(against_each):5.2f} of each "
                f"[{min(against_each):.2f}-{max(against_each):.2f}]"
                + (f"  {shared:5.2f} answers a sync" if way != "write" else "")
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--slow-ms", type=float, default=5.0, help="what a sync of the slow disk takes more")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        print("this disk")
        run(folder, arguments.rounds, arguments.seconds, 0)
        print(f"a disk whose syncs take {arguments.slow_ms:g} ms more")
        run(folder, max(arguments.rounds // 2, 1), arguments.seconds, arguments.slow_ms / 1000)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
