"""The tape as boundaries inside the agent's own process see it: which lane asks, what it asks, in which order answers come.

Twin of `core.tape`, which is for bytes on the wire. Capture finds out what the program is about to read; the tape says
what it reads. A recorder lets the world answer and writes it down, a player answers from the recording.

    boundary --value---------------> tape      a clock read: one value in its lane, no order between lanes
    boundary --ask-----------------> tape      a question: the intent is written, or compared with the recorded one
    boundary --settle--------------> tape      a thread has (or needs) the answer: in order, blocking
    boundary --completed--> next --> deliver   an event loop has (or needs) it: one delivery at a time, in order

A *key* is (path of the lane, ordinal): what the program does in one lane is counted from 1, so keys do not depend on how
lanes were scheduled. The *order* is the keys in which answers, timers, joins and locks were let go, over all lanes.
Standard library only: this runs inside the user's agent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    Then = Callable[[], Callable[[], object] | None]
    """Tells an event loop of something; what it returns, unless None, is called once a crowd has been told: it wakes the
    loop, which would take the interpreter from whoever tells."""
else:
    Protocol = object

Key = tuple[str, int]
"""(path of the lane, ordinal)."""

Scalar = str | int | float | bool | None
"""What a value boundary may read: anything that JSON keeps as it is."""


REQUEST = "http"
"""The kind of a call that is a request, of which the wire has the content; what its answer is read in are others."""

NAME_LENGTH = 1000
"""Characters of the name of a call that are recorded."""

SIGNAL = "signal"
"""Kind of the value that says where a handler of signals ran: `NUMBER ASKED`, the signal and how much the lane had asked by
then, and WITHIN when it ran in the real work of what was asked last. What follows in the lane is the handler's own."""

WITHIN = " within"

RAISED = "raised"
"""In the place of such a value: the handler raised, in the real work of a call, so that what came of the call tells of it."""

handlers: dict[int, Any] = {}
"""By signal, the handlers of this process that a tape knows; `again(number)` runs one where a replay has it."""

REFUSED = "x-playhead-divergence"
"""The header by which the player at the wire says that an answer is none of the recording's."""


class Lane:
    """One thread of control inside a process: the main thread, a thread, a task, an item of an executor.

    `path` names it by descent: `0` is the main thread, `0/t2` the second task made there, `0/t2/h1` a thread that one
    started, `/x` an executor's item. `asked` counts what it did in order, `children` by kind what it started. Only the
    lane itself counts, so nothing here needs a lock. `thread` is the ident of its thread, 0 before it runs.
    """

    __slots__ = ("asked", "children", "drawn", "number", "path", "read", "thread", "values")

    def __init__(self, path: str, thread: int = 0) -> None:
        self.path = path
        self.thread = thread
        self.asked = 0
        self.read = 0  # place of the next value in `values`, while a player tells them
        self.values: list[Any] = []  # kind, value, kind, value, ...: read and not yet written, or to be told
        self.drawn = 0  # random draws so far
        self.number = 0  # in its segment; 0 until something is written of it
        self.children: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Lane({self.path})"

    @property
    def is_stranger(self) -> bool:
        """Whether it is that of a thread that a library keeps for itself, or that nobody announced."""
        return self.path[self.path.rfind("/") + 1] in "?b"

    def next_key(self) -> Key:
        """The key of what this lane does now."""
        self.asked += 1
        return self.path, self.asked

    def child_path(self, kind: str) -> str:
        """The path of the next lane of that kind (`t`, `h`, `x`, `p`, `f`) which this one starts."""
        count = self.children[kind] = self.children.get(kind, 0) + 1
        return f"{self.path}/{kind}{count}"


def lane_mark(process: str, path: str) -> int:
    """A lane of a run in 64 bits: BLAKE2b (RFC 7693) over `process:path`, little-endian; never 0."""
    from hashlib import blake2b  # here: an agent without a network needs none

    return int.from_bytes(blake2b(f"{process}:{path}".encode(), digest_size=8).digest(), "little") or 1


class Outcome:
    """How a call came out: what it returned or raised, as `capture.boundary.encode` writes it."""

    __slots__ = ("body", "raised")

    def __init__(self, raised: bool, body: bytes) -> None:  # noqa: FBT001
        self.raised = raised
        self.body = body

    def __repr__(self) -> str:
        return f"Outcome(raised={self.raised}, body={self.body!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and (self.raised, self.body) == (other.raised, other.body)

    def __hash__(self) -> int:
        return hash((self.raised, self.body))


class Call:
    """One question of a lane.

    `kind` is the boundary (`tool`, `input`, `subprocess`, ...), `name` what is asked for, `arguments` its arguments as
    canonical JSON. `effect` is what a tool declared: `pure`, `read`, `write`, `irreversible` or "". `is_passed` marks
    one whose answer does not stand in this segment (HTTP, which the engine records and answers): only its place in the
    order does.
    """

    __slots__ = ("arguments", "effect", "is_passed", "key", "kind", "lane", "name", "number")

    def __init__(
        self, lane: Lane, kind: str, name: str, arguments: bytes = b"", *, effect: str = "", is_passed: bool = False
    ) -> None:
        self.lane = lane
        self.key = lane.next_key()
        self.kind = kind
        self.name = name
        self.arguments = arguments
        self.effect = effect
        self.is_passed = is_passed
        self.number = 0  # in its segment, from 1, given by the recorder

    def __repr__(self) -> str:
        return f"Call({self.kind} {self.name} at {self.key[0]}#{self.key[1]})"


class Station(Protocol):
    """An event loop that takes deliveries."""

    def wake(self) -> None:
        """Make the loop look for deliveries soon; callable from any thread."""

    def hand_over(self, deliver: Callable[[], None]) -> None:
        """Deliver as soon as can be, outside of any order: the tape has ended and the loop has not."""


class Rests(Protocol):
    """Which threads of the agent run, and which rest: a player lets an act happen when all others have come to rest, and
    knows that none can happen when all rest and none can move."""

    def start(
        self, can_start: Callable[[], bool] | None = None, *, is_daemon: bool = False, is_known: bool = True
    ) -> Any:
        """A thread is about to be started, or an item of an executor, which begins by itself if `can_start`. `is_known`
        unless it runs a library's code only. Returns what `begin` and `end` take; its `is_over` says whether it ended."""

    def begin(self, started: Any) -> None:
        """It runs: called in it."""

    def end(self, started: Any) -> None:
        """It does nothing more, or never began."""

    def rest(self, can_move: Callable[[], bool] | None = None) -> None:
        """This thread cannot go on before another has done something, unless `can_move`."""

    def go_on(self) -> None:
        """This thread runs again."""

    def leave_out(self) -> None:
        """This thread goes where nobody sees what it does, and comes back by itself."""

    def look_on(self) -> None:
        """What this thread waits for may come from where nobody sees: have somebody look whether it ever does."""

    def wait(self, attempt: Callable[[float], bool], can_move: Callable[[], bool]) -> None:
        """Rest until an attempt, which takes so many seconds at most, succeeds. Raises Diverged."""

    def stay(self) -> None:
        """Raises Diverged when the program has left the tape."""

    def keeps_process(self) -> bool:
        """Whether a thread is there for which the interpreter waits at its end."""


class BoundaryTape(Protocol):
    """What a lane reads, and when. All methods may be called from any thread."""

    live: bool
    """Whether the world is asked: true while recording."""

    @property
    def rests(self) -> Rests | None:
        """Who wants to know which threads run; None while recording."""

    diverged: Diverged | None
    """The first divergence of this process."""

    def lane(self, path: str) -> Lane:
        """A lane that begins."""

    def value(self, lane: Lane, kind: str, read: Callable[[], Any]) -> Any:
        """A Scalar that the lane reads; `read` asks the world for it. Raises Diverged."""

    def is_next(self, lane: Lane, kind: str) -> bool:
        """Whether a player has a value of that kind next for the lane; a recorder has none."""

    def ask(self, call: Call, then: Then | None = None) -> bool:
        """The lane is about to ask: returns, True, when the question may leave. With `then`, which an event loop gives, it
        does not wait: False says that it may not yet, and `then` is called, in any thread, once it may. Raises Diverged
        when the recording has another question in its place."""

    def settle(self, call: Call, outcome: Outcome | None) -> Outcome:
        """A thread's call: with an outcome of the world, written before this returns; without, the recorded one, once it
        is its turn. Raises Diverged."""

    def foretold(self, call: Call) -> Outcome | None:
        """The recorded outcome of a call that was asked, before its turn; None while recording, and when there is none."""

    def refuse(self, call: Call, why: str, *, seen: str = "") -> BaseException:
        """The error to raise for a call whose recorded outcome cannot be given; or, with what is `seen` in its place, is
        not what there is now."""

    def turn(self, key: Key, kind: str, lock: Any = None) -> None:
        """A thread's act that has an order and no answer: note it, or wait for its turn. A `lock` is acquired as a part
        of it: before it is noted, or before the next act may happen. Raises Diverged."""

    def foreseen(self, key: Key) -> bool:
        """Whether that act can come: false only in a replay whose recording does not have it."""

    def completed(
        self,
        call: Call | None,
        key: Key,
        outcome: Outcome | None,
        deliver: Callable[[Outcome | None], None],
        station: Station,
    ) -> None:
        """Something an event loop waits for is there: an answer of the world, a timer (no call), or, without an outcome,
        a question that the tape is to answer. `deliver` is returned by `next` when it may happen."""

    def next(self, station: Station, turn: Key | None = None) -> Callable[[], None] | None:
        """The delivery that may happen now on that loop, none of whose agent code is ready to run; None = not yet. `turn`
        names a turn of a loop that does not come to rest: the delivery is made there in every run. Raises Diverged."""

    def idle(self, station: Station) -> None:
        """The agent has nothing to run on that loop and waits for deliveries only. Raises Diverged when none can come."""

    def withdraw(self, key: Key) -> bool:
        """Nobody waits for that completion any more. False when the recording has it delivered all the same."""

    def interrupted(self, lane: Lane) -> bool:
        """A signal came in a replay: run the handler that ran just here, else return False."""

    def mark(self, lane: Lane, what: str, name: str, number: int, body: Callable[[], bytes]) -> int:
        """The lane says where it is: it begins (`enter`, number 0) or ends (`leave`, `fail`) the step of that name. No
        boundary: nothing is compared. Returns the number of the step in this process."""

    def leaving(self, lane: Lane) -> None:
        """The lane is about to send bytes out of the process by a way that others record: what it has read so far is
        written, and its name."""

    def clean(self, data: bytes) -> bytes:
        """`data` without its secrets, as it would be written; the same object when it has none."""

    def close(self) -> None:
        """The process ends."""


class Diverged(BaseException):
    """The program has left the tape: nothing further can be answered. Not an Exception, so that an agent's own error
    handling does not take it for a fault of a tool. `facts` are JSON: what was asked, and what the tape has there."""

    def __init__(self, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts

    def __reduce__(self) -> tuple[type[Diverged], tuple[str, dict[str, Any]]]:
        return type(self), (str(self), self.facts)  # a worker's, which a pool hands on to who waits
