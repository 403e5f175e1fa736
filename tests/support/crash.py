"""The crash kit: sessions that are played out from a seed, and the oracle that knows what must be found of them.

What a session asks and is answered follows from its seed alone, so that an oracle can judge what another process left
behind. Whoever acted tells the oracle: that a question has left, how many bytes of an answer its caller was given, that
it was told the end. Whatever happens to processes and disks then, a reader must find all of that, and nothing that the
seed does not say.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from playhead.core.events import Ending
from tests.journal.peers import ANSWER, HEAD, FakeAsking, FakeCaller, FakeWorld, Session, connection, exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playhead.sessions.model import Recording
    from tests.support.disk import Disk

AT_ONCE = 4  # exchanges under way together
ENDINGS = (Ending.COMPLETE, Ending.COMPLETE, Ending.COMPLETE, Ending.CLOSED, Ending.CUT, Ending.RESET)


@dataclass(frozen=True)
class Scripted:
    """One exchange as the seed says it."""

    number: int
    body: bytes
    chunks: tuple[bytes, ...]
    ending: Ending

    @property
    def answer(self) -> bytes:
        return b"".join(self.chunks)


def script(seed: int, count: int) -> dict[int, Scripted]:
    """The exchanges of a session by number. Bodies grow like an agent's, answers are from a few bytes to some KB."""
    dice = random.Random(seed)
    said: list[bytes] = []
    found = {}
    for number in range(1, count + 1):
        said.append(b'{"role":"user","content":"%s"}' % dice.randbytes(dice.choice((5, 40, 400))).hex().encode())
        body = b'{"model":"m%d","messages":[%s]}' % (number, b",".join(said[-8:]))
        # each read ends so that nothing of it could begin a secret: such a tail is withheld until the next read
        reads = [
            b"%s.\n" % dice.randbytes(dice.choice((1, 9, 80, 700))).hex().encode() for _ in range(dice.randint(1, 6))
        ]
        head = ANSWER % sum(map(len, reads))
        found[number] = Scripted(number, body, (head, *reads), dice.choice(ENDINGS))
    return found


@dataclass
class Acknowledged:
    """What the outside has seen of a session so far."""

    left: set[int] = field(default_factory=set)  # questions that reached the world
    given: dict[int, int] = field(default_factory=dict)  # bytes of answers that callers were given
    ended: set[int] = field(default_factory=set)  # exchanges whose end they were told

    def take(self, what: str, number: int, size: int = 0) -> None:
        """One thing more: `left`, `given` (so many bytes in all) or `ended`."""
        if what == "left":
            self.left.add(number)
        elif what == "given":
            self.given[number] = size
        else:
            self.ended.add(number)

    def copy(self) -> Acknowledged:
        return Acknowledged(set(self.left), dict(self.given), set(self.ended))

    def missing(self, recording: Recording) -> list[str]:
        """What was seen and is not in the recording."""
        there = {e.number: e for e in recording.exchanges}
        found = [f"the intent of {n}" for n in sorted(self.left - set(there))]
        for number, size in self.given.items():
            kept = len(there[number].answer) if number in there else 0
            if kept < size:
                found.append(f"{size - kept} of {size} bytes given for {number}")
        return found + [f"the end of {n}" for n in sorted(self.ended) if n not in there or there[n].ending is None]


def invented(recording: Recording, seed: int, count: int) -> list[str]:
    """What is in the recording and was never said. Where damage is named, an answer may lack reads in its middle."""
    known = script(seed, count)
    found = []
    for each in recording.exchanges:
        said = known.get(each.number)
        if said is None:
            found.append(f"exchange {each.number}")
            continue
        if each.asked_order >= 0 and (each.body, each.head) != (said.body, HEAD % len(said.body)):
            found.append(f"the question of {each.number}")
        if recording.damage:
            reads = iter(said.chunks)
            if not all(chunk.data in reads for chunk in each.chunks if chunk.data):
                found.append(f"the answer of {each.number}")
            continue
        if not said.answer.startswith(each.answer):
            found.append(f"the answer of {each.number}")
        if each.ending is not None and (each.ending, each.answer) != (said.ending, said.answer):
            found.append(f"the end of {each.number}")
    return found


class _World(FakeWorld):
    def __init__(self, tell: Callable[[str, int, int], None]) -> None:
        super().__init__()
        self.by_number: dict[int, FakeAsking] = {}
        self._tell = tell

    def ask(self, exchange: Any, head: bytes, answering: Any) -> FakeAsking:
        self._tell("left", exchange.number, 0)
        asking = self.by_number[exchange.number] = super().ask(exchange, head, answering)
        return asking


class _Caller(FakeCaller):
    def __init__(self, number: int, tell: Callable[[str, int, int], None]) -> None:
        super().__init__()
        self._number, self._tell, self._size = number, tell, 0

    def deliver(self, data: bytes) -> None:
        super().deliver(data)
        self._size += len(data)
        self._tell("given", self._number, self._size)

    def finish(self, how: Ending, detail: str = "") -> None:
        super().finish(how)
        self._tell("ended", self._number, 0)


class Played:
    """A session that is played out from its seed, act by act. `tell(what, number, size)` hears what the outside sees.
    On a disk of ours syncs are slow: they begin at once and end when the dice say so, or when nothing else can go on."""

    def __init__(
        self,
        root: Path,
        seed: int,
        count: int,
        tell: Callable[[str, int, int], None],
        *,
        durability: str = "write",
        disk: Disk | None = None,
    ) -> None:
        self.seed, self.count = seed, count
        self._tell, self._dice = tell, random.Random(f"{seed} acts")
        self._may_sync = threading.Semaphore(0)
        self._is_slow = disk is not None
        if disk is not None:
            disk.before_sync = lambda: self._may_sync.acquire(timeout=60)  # type: ignore[assignment, return-value]
        self.session = Session(root, durability=durability, **({"disk": disk} if disk is not None else {}))
        self.world = self.session.world = self.session.recorder.world = _World(tell)
        self.callers: list[_Caller] = []

    def acts(self) -> Iterator[None]:
        """Play on; stops after each act."""
        todo = list(script(self.seed, self.count).values())[::-1]
        under_way: dict[int, tuple[Scripted, list[bytes]]] = {}
        while todo or under_way:
            if todo and len(under_way) < AT_ONCE and (not under_way or self._dice.random() < 0.3):
                said = todo.pop()
                self._ask(said)
                under_way[said.number] = (said, list(said.chunks[::-1]))
            else:
                self._go_on(under_way)
            if self._dice.random() < 0.3:
                self._let_sync()
            while not self.session.loop.idle:
                self.session.loop.step()
            yield
        while not self.session.writer.settled:
            self._let_sync()
            self.session.loop.step()
            yield

    def end(self) -> None:
        """Close in order."""
        self._may_sync.release(1000)
        self.session.close()

    def _ask(self, said: Scripted) -> None:
        caller = _Caller(said.number, self._tell)
        self.callers.append(caller)
        turn = self.session.recorder.begin(
            exchange(said.number, connection(said.number)), HEAD % len(said.body), caller
        )
        half = self._dice.randint(0, len(said.body))
        for part in (said.body[:half], said.body[half:]):
            if part:
                turn.feed(part)
        turn.end()

    def _go_on(self, under_way: dict[int, tuple[Scripted, list[bytes]]]) -> None:
        asked = [number for number in under_way if number in self.world.by_number]
        if not asked:  # every intent waits for a sync
            self._let_sync()
            self.session.loop.step()
            return
        number = self._dice.choice(asked)
        said, left = under_way[number]
        answering = self.world.by_number[number].answering
        if left:
            data = left.pop()
            ends = not left and said.ending is Ending.COMPLETE
            answering.answered(data, last=ends)
        else:
            ends = True
            answering.ended(said.ending, "so it was")
        if ends:
            del under_way[number]

    def _let_sync(self) -> None:
        if self._is_slow:
            self._may_sync.release()
