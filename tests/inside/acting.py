"""Programs that act on what they are answered and note it where no kill and no power cut reaches; and the oracle.

What a tool answers and a clock says follows from the seed, the lane and a number, so the oracle knows what may stand in a
segment. A program notes in its ledger, after the fact: that the work of a tool ran (the question had left), how much each
lane had read when it was asked, and that a lane acts on an answer. All of that must then be in the segment, and nothing
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import playhead
from playhead.capture.boundary import active, executors, locks, loops, queues, threads
from playhead.capture.boundary.encode import Unreadable, read, read_raised
from playhead.core import compact
from playhead.core.events import EventKind
from playhead.journal.records import read_segment
from playhead.player.agent import Script

if TYPE_CHECKING:
    from playhead.journal.agent import AgentRecorder

BOUNDARIES = (threads, locks, queues, executors, loops)
WIDE = 32
LANES = WIDE + 1
STEPS = 40
CELLS = LANES * STEPS
ACTED, RAN, READ, NEEDED = 0, CELLS, 2 * CELLS, 2 * CELLS + LANES
COUNT = NEEDED + LANES * LANES
"""Cells of a ledger."""
CHANGING, HARMLESS = 2, 1

Acting = Callable[[], None]


def said(seed: int, lane: int, number: int) -> str:
    """The answer to that question."""
    dice = random.Random(f"{seed} {lane} {number}")
    return f"answer {lane} {number} " + "so it is. " * dice.choice((0, 1, 5, 60))


def raises(seed: int, lane: int, number: int) -> bool:
    """Whether it is answered with an error."""
    return (seed + 7 * lane + number) % 9 == 0


class Ledger:
    """What the outside has seen, in `cells` of 32 bits, each written by one lane. `hear` is called after each note."""

    def __init__(self, cells: Any, hear: Acting = lambda: None) -> None:
        self.cells = cells
        self.hear = hear

    def acts(self, lane: int, number: int) -> None:
        """That lane acts on that answer."""
        self.cells[ACTED + lane * STEPS + number] = 1
        self.hear()

    def has_read(self, lane: int) -> None:
        """It has read one thing more."""
        self.cells[READ + lane] += 1

    def runs(self, lane: int, number: int, needed: list[int], weight: int) -> None:
        """The work of that question runs, on the strength of all that lanes had read."""
        row = NEEDED + lane * LANES
        if weight == CHANGING:
            for other, count in enumerate(needed):
                self.cells[row + other] = count
        self.cells[RAN + lane * STEPS + number] = weight
        self.hear()


class Program:
    """A program of one kind, on a recorder."""

    def __init__(self, seed: int, ledger: Ledger) -> None:
        self.seed = seed
        self.ledger = ledger
        self._needed: dict[int, list[int]] = {}
        self._lock = threading.Lock()
        self.look_up = playhead.tool(effect="read")(self._look_up)
        self.charge = playhead.tool(effect="write")(self._charge)
        self.fetch = playhead.tool(self._fetch)
        self.follow = playhead.tool(effect="read")(self._follow)

    def run(self, kind: str, tape: AgentRecorder) -> None:
        """Play it, in this thread, to its end."""
        active.begin(tape)
        try:
            getattr(self, kind)()
        finally:
            active.end()
            tape.close()

    # -- the real work

    def _answer(self, lane: int, number: int, weight: int) -> str:
        self.ledger.runs(lane, number, self._needed[lane], weight)
        if raises(self.seed, lane, number):
            raise LookupError(said(self.seed, lane, number))
        return said(self.seed, lane, number)

    def _look_up(self, lane: int, number: int) -> str:
        return self._answer(lane, number, HARMLESS)

    def _charge(self, lane: int, number: int) -> str:
        return self._answer(lane, number, CHANGING)

    async def _fetch(self, lane: int, number: int) -> str:
        answer = None if raises(self.seed, lane, number) else self._answer(lane, number, CHANGING)
        for _ in range((lane + number) % 3):
            await asyncio.sleep(0)
        return answer if answer is not None else self._answer(lane, number, CHANGING)

    async def _follow(self, lane: int, numbers: list[int]) -> AsyncIterator[str]:
        for number in numbers:
            await asyncio.sleep(0)
            yield said(self.seed, lane, number)

    # -- the lanes

    def _reads(self, lane: int, dice: random.Random) -> None:
        for _ in range(dice.choice((0, 1, 3))):
            count = self.ledger.cells[READ + lane]
            active.read("clock", lambda count=count: f"{lane}:{count}")
            self.ledger.has_read(lane)
        self._needed[lane] = list(self.ledger.cells[READ : READ + LANES])

    def _works(self, lane: int, steps: int) -> None:
        dice = random.Random(f"{self.seed} {lane}")
        for number in range(steps):
            self._reads(lane, dice)
            ask = dice.choice((self.look_up, self.charge))
            if dice.random() < 0.2:
                with self._lock:
                    self._asks(ask, lane, number)
            else:
                self._asks(ask, lane, number)

    def _asks(self, ask: Any, lane: int, number: int) -> None:
        with contextlib.suppress(LookupError):
            ask(lane, number)
        self.ledger.acts(lane, number)

    async def _works_too(self, lane: int, steps: int) -> None:
        dice = random.Random(f"{self.seed} {lane}")
        for number in range(steps):
            self._reads(lane, dice)
            with contextlib.suppress(LookupError):
                await self.fetch(lane, number)
            self.ledger.acts(lane, number)
            if dice.random() < 0.3:
                await asyncio.sleep(0.0002)

    async def _follows(self, lane: int, steps: int) -> None:
        self._needed[lane] = []
        number = 0
        async for _ in self.follow(lane, list(range(steps))):
            self.ledger.acts(lane, number)
            number += 1

    # -- the kinds

    def alone(self) -> None:
        """One thread, one call after another."""
        self._works(0, STEPS)

    def crowd(self) -> None:
        """32 threads."""
        crowd = [threading.Thread(target=self._works, args=(lane, 3)) for lane in range(WIDE)]
        for each in crowd:
            each.start()
        for each in crowd:
            each.join()

    def tasks(self) -> None:
        """32 tasks."""

        async def main() -> None:
            await asyncio.gather(*[self._works_too(lane, 3) for lane in range(WIDE)])

        asyncio.run(main())

    def mixed(self) -> None:
        """A loop with tasks, streams and threads of an executor, beside two threads."""
        beside = [threading.Thread(target=self._works, args=(lane, 5)) for lane in range(2)]

        async def main() -> None:
            await asyncio.gather(
                *[self._works_too(lane, 4) for lane in range(2, 9)],
                *[self._follows(lane, 6) for lane in range(9, 13)],
                *[asyncio.to_thread(self._works, lane, 3) for lane in range(13, 17)],
            )

        for each in beside:
            each.start()
        asyncio.run(main())
        for each in beside:
            each.join()


KINDS = ("alone", "crowd", "tasks", "mixed")


@dataclass
class Verdict:
    """What an oracle found, and how much it had to look for."""

    acted: int = 0
    missing: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)


def judge(seed: int, cells: Any, data: bytes, *, only_changing: bool = False) -> Verdict:
    """Compare what had been noted with the segment that is left. What stands behind damage counts for nothing. A power cut
    may take questions that change nothing (`only_changing`)."""
    verdict = Verdict()
    contents = read_segment(data, "agent-0")
    events = [event for place, event in enumerate(contents.events) if event.seq == place]
    asked: set[tuple[int, int]] = set()
    told: set[tuple[int, int]] = set()
    values = [0] * LANES
    for event in events:
        if event.kind is EventKind.ASK:
            _asked(event, asked, verdict)
        elif event.kind is EventKind.TOLD:
            _told(seed, event, told, verdict)
        elif event.kind is EventKind.VALUES:
            _read(event, values, verdict)
    Script(events)
    for lane in range(LANES):
        for number in range(STEPS):
            at = lane * STEPS + number
            if cells[ACTED + at]:
                verdict.acted += 1
                if (lane, number) not in told:
                    verdict.missing.append(f"answer {number} of lane {lane}, acted on")
            weight = cells[RAN + at]
            if weight and (lane, number) not in asked and not (only_changing and weight == HARMLESS):
                verdict.missing.append(f"question {number} of lane {lane}, which ran")
        for other in range(LANES):
            if (needed := cells[NEEDED + lane * LANES + other]) > values[other]:
                verdict.missing.append(
                    f"lane {lane} asked when {needed} of lane {other} were read, {values[other]} left"
                )
    return verdict


def _asked(event: Any, asked: set[tuple[int, int]], verdict: Verdict) -> None:
    arguments = compact.load(event.body)
    if event.meta["kind"] != "tool" or "number" not in arguments:
        return
    key = (arguments["lane"], arguments["number"])
    if key in asked:
        verdict.invented.append(f"question {key} twice")
    asked.add(key)


def _told(seed: int, event: Any, told: set[tuple[int, int]], verdict: Verdict) -> None:
    is_raised = bool(event.meta.get("raised"))
    try:
        text = str(read_raised(event.body)) if is_raised else read(event.body)
    except Unreadable as why:
        verdict.invented.append(f"an answer that cannot be read: {why}")
        return
    if not isinstance(text, str) or not text.startswith("answer "):
        return  # of an executor's item, the end of a stream
    lane, number = map(int, text.split(maxsplit=3)[1:3])
    if text != said(seed, lane, number) or (lane, number) in told:
        verdict.invented.append(f"answer {lane} {number}")
    told.add((lane, number))


def _read(event: Any, values: list[int], verdict: Verdict) -> None:
    for _, found in compact.load(event.body):
        for kind, value in zip(found[::2], found[1::2], strict=True):
            if kind != "clock":
                continue
            lane, number = map(int, value.split(":"))
            if number != values[lane]:
                verdict.invented.append(f"read {number} of lane {lane} where {values[lane]} was due")
            values[lane] = number + 1
