"""What requests take on disk and in the recorder: `python benchmarks/storage.py [--seed N] [--quick] [--only TEXT]`.

Every run of agent_runs.py goes through the real recorder with default settings (redaction, encoding, segment) and is
sealed and read back. The answers are empty, so the whole sealed file, index and all, counts as request bytes. The floor
is zstd-19 with long-distance matching over what was new in each request, in one piece.

    size      sealed file over floor, beside its bound
    growth    stored bytes for each new byte, of the second half of the requests over the first half
    CPU       of the recorder's thread for a whole request, least disturbed of three rounds: median, mean and worst
    read      whole bodies in order from the sealed file, a step; each is let go before the next
    cold      one body at random, the file opened for it: median and worst of 20

Exits 1 when a body does not read back as it was sent, or a size is above its bound. Times depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from agent_runs import Bounded, Sent, run, runs

from playhead.core.events import EventKind
from playhead.core.memory import keep_freed_memory
from playhead.core.redact import Redactor
from playhead.core.tape import Connection, Exchange, Route, Target
from playhead.journal.frames import Kind
from playhead.journal.gate import OpenGate
from playhead.journal.recorder import Recorder
from playhead.journal.sealed import Sealed
from playhead.journal.segment import SegmentWriter
from playhead.journal.store import Store
from playhead.sessions.reader import read_exchange, read_recording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playhead.core.events import Ending
    from playhead.core.tape import Answering

SESSION = "7f3a2b9c41d0e655"
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\naccept: application/json\r\n"
    b"content-type: application/json\r\nuser-agent: OpenAI/Python 3.52.0\r\nauthorization: Bearer of-nobody\r\n"
    b"content-length: %d\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Nowhere:
    """A world that takes every question, and a caller that takes every answer."""

    answering: Answering

    def ask(self, _exchange: Exchange, _head: bytes, answering: Answering) -> Nowhere:
        self.answering = answering
        return self

    def feed(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def abort(self) -> None: ...

    def hold(self, *, holding: bool) -> None: ...

    def deliver(self, data: bytes) -> None: ...

    def finish(self, how: Ending) -> None: ...


def record(store: Store, sent: Iterable[Sent]) -> list[float]:
    """Record a run and seal it; the CPU seconds of each request."""
    folder = store.begin(SESSION)
    writer = SegmentWriter(folder / "engine.seg", "engine")
    header = {"id": SESSION, "created_ns": 1, "command": ["python", "agent.py"], "cwd": "/", "name": ""}
    writer.append(EventKind.SESSION, 0, json.dumps(header).encode())
    world = Nowhere()
    recorder = Recorder(writer, world, OpenGate(), redactor=Redactor(), lane_of=lambda _: 1, trouble=sys.exit)
    connection = Connection(1, ("127.0.0.1", 40_000), Route.PROXY)
    times = []
    for number, (body, _) in enumerate(sent, 1):
        began = time.thread_time()
        exchange = Exchange(number, connection, Target("https", "api.openai.com", 443), number, number > 1)
        turn = recorder.begin(exchange, HEAD % len(body), world)
        turn.feed(body)
        turn.end()
        times.append(time.thread_time() - began)
        world.answering.answered(ANSWER, last=True)
    writer.append(EventKind.EXIT, 0, meta={"code": 0})
    writer.close()
    store.seal(SESSION)
    return times


def halves(path: Path, middle: int) -> float:
    """What the requests behind the middle one brought to the sealed file, over what those up to it did."""
    sealed = Sealed(path)
    at = next(r.start for r in sealed.requests(0).values() if r.number == middle + 1)
    first = second = 0.0
    for frame in sealed.file.frames[Kind.ASKED]:
        before = min(max(at - frame.start, 0), frame.raw) / frame.raw
        first += frame.stored * before
        second += frame.stored * (1 - before)
    sealed.close()
    return second / first


def floor(sent: Iterable[Sent]) -> int:
    """Bytes of what is new, as small as zstd makes it."""
    new = b"".join(fresh for _, fresh in sent)
    settings = zstandard.ZstdCompressionParameters.from_level(19, window_log=27, enable_ldm=True)
    return len(zstandard.ZstdCompressor(compression_params=settings).compress(new))


class Measured(NamedTuple):
    """What one run took."""

    times_floor: float
    growth: float
    cpu: list[float]
    read: float
    cold: list[float]
    exact: bool


def measure(case: Bounded, seed: int, *, rounds: int = 3) -> Measured:
    """Record, seal, read back. The run is made anew each time: all its bodies together would fill the memory."""
    steps = case.options["steps"]
    dice = random.Random(seed)
    sampled = [steps - 1, *(dice.randrange(steps) for _ in range(19))]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        store = Store.open(root / "0")
        cpu = record(store, run(seed, **case.options))
        for number in range(1, rounds):
            again = record(Store.open(root / str(number)), run(seed, **case.options))
            cpu = list(map(min, cpu, again))
        path = store.path(SESSION)
        size = path.stat().st_size
        growth = halves(path, steps // 2)
        fresh = [len(new) for _, new in run(seed, **case.options)]
        growth *= sum(fresh[: steps // 2]) / sum(fresh[steps // 2 :])
        recording = read_recording(path)
        read: list[float] = []
        exact = len(recording.exchanges) == steps
        bodies = {}
        for at, (exchange, (body, _)) in enumerate(zip(recording.exchanges, run(seed, **case.options), strict=True)):
            began = time.thread_time()
            found = exchange.body
            read.append(time.thread_time() - began)
            exact = exact and found == body
            del found  # as a replay does: the next one then goes on in its memory
            if at in sampled:
                bodies[at] = body
        cold = []
        for at in sampled:
            began = time.perf_counter()
            found = read_exchange(path, at + 1).body
            cold.append(time.perf_counter() - began)
            exact = exact and found == bodies[at]
    times_floor = size / floor(run(seed, **case.options))
    return Measured(times_floor, growth, sorted(cpu), statistics.mean(read), cold, exact)


def report(case: Bounded, seed: int) -> bool:
    """Print the line of one run; whether it is exact and within its bound."""
    found = measure(case, seed)
    sound = found.exact and found.times_floor <= case.bound
    p50, mean = statistics.median(found.cpu) * 1e3, statistics.mean(found.cpu) * 1e3
    print(
        f"{case.name:36} {found.times_floor:5.2f}x <= {case.bound:3.1f}x  {found.growth:6.2f}"
        f"  {p50:6.3f} {mean:6.3f} {found.cpu[-1] * 1e3:7.3f}  {found.read * 1e3:6.3f}  {statistics.median(found.cold) * 1e3:5.1f} {max(found.cold) * 1e3:5.1f}"
        f"  {'' if found.exact else 'NOT EXACT'}",
        flush=True,
    )
    return sound


def main() -> int:
    """Print one line a run."""
    keep_freed_memory()  # as the engine does
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="leave out the runs of 1,000 steps")
    parser.add_argument("--only", default="", help="runs whose name holds this")
    options = parser.parse_args()
    print(f"{'':36} {'size':>14}  growth  CPU p50   mean   worst    read  cold  worst (ms)")
    sound = [report(case, options.seed) for case in runs(long=not options.quick) if options.only in case.name]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
