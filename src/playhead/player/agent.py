"""Answers at the boundaries inside one process of the agent, from what that process once wrote.

What a lane asks is compared with what the recorded lane asked at the same place; an answer is given when all deliveries
that came before it in the recording have been made. Nothing is served to a question that differs in anything.
Standard library only: this runs inside the user's agent.
"""

from __future__ import annotations

import _thread
import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.core.boundary import Diverged, Lane, Outcome
from playhead.core.events import EventKind
from playhead.player.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playhead.core.boundary import Call, Key, Station
    from playhead.core.events import Event
    from playhead.core.redact import Redactor

REST_S = 10.0
"""How long a thread waits for its turn while others run and nothing moves, before the recorded act counts as missing."""

_PAIR = struct.Struct("<II")


class RecordedCall(NamedTuple):
    """A call as its segment has it. `outcome` is None when none was written."""

    number: int
    key: Key
    kind: str
    name: str
    arguments: bytes
    is_passed: bool
    outcome: Outcome | None


class Script:
    """What one process is to be told. `values` by path of the lane, kind and value in turn; `is_cut` when the process was
    killed: what follows is not known."""

    def __init__(self, events: Iterable[Event]) -> None:
        paths: dict[int, str] = {}
        asked: dict[int, RecordedCall] = {}
        told: list[Key] = []
        self.values: dict[str, list[Any]] = {}
        self.order: list[Key] = []
        self.is_cut = True
        for event in events:
            if event.kind is EventKind.LANE:
                paths[event.subject] = str(event.meta["key"])
            elif event.kind is EventKind.ASK:
                meta = event.meta
                key = (paths[meta["lane"]], int(meta["n"]))
                asked[event.subject] = RecordedCall(
                    event.subject, key, meta["kind"], meta["name"], event.body, bool(meta.get("passed")), None
                )
            elif event.kind is EventKind.TOLD:
                call = asked[event.subject]
                asked[event.subject] = call._replace(outcome=Outcome(bool(event.meta.get("raised")), event.body))
                told.append(call.key)
            elif event.kind is EventKind.VALUES:
                for lane, values in json.loads(event.body):
                    self.values.setdefault(paths[lane], []).extend(values)
            elif event.kind is EventKind.ORDER:
                self.order += [(paths[lane], ordinal) for lane, ordinal in _PAIR.iter_unpack(event.body)]
            elif event.kind is EventKind.CLOSED:
                self.is_cut = False
        self.calls = {call.key: call for call in asked.values()}
        if self.is_cut:  # the kill came between an answer's record and that of its delivery
            known = set(self.order)
            self.order += [key for key in told if key not in known]


class AgentPlayer:
    """The player among the boundary tapes. `report` takes facts as JSON objects; `others` says whether another thread of
    the agent could still move things."""

    live = False

    def __init__(
        self,
        script: Script,
        redactor: Callable[[], Redactor],
        report: Callable[[dict[str, Any]], None],
        others: Callable[[], bool] = lambda: False,
    ) -> None:
        self._script = script
        self._make_redactor = redactor
        self._redactor: Redactor | None = None
        self._report = report
        self.others = others
        self._mutex = _thread.RLock()
        self._position = 0
        self._places = {key: place for place, key in enumerate(script.order)}
        self._pending: dict[Key, _Pending] = {}
        self._unknown: list[_Pending] = []  # requests that were not recorded, which the wire has refused
        self._turns: dict[Key, Any] = {}
        self._asked: set[Key] = set()
        self._lanes: Lanes | None = None  # once a question is not the one that is due
        self._diverged: Diverged | None = None
        self.served = 0
        self._marks = 0

    def lane(self, path: str) -> Lane:
        lane = Lane(path)
        lane.values = self._script.values.get(path, lane.values)
        return lane

    def value(self, lane: Lane, kind: str, read: Callable[[], Any]) -> Any:  # noqa: ARG002  the world is not asked
        at = lane.read
        values = lane.values
        if at < len(values) and values[at] == kind:
            lane.read = at + 2
            return values[at + 1]
        if at >= len(values):
            raise self._leave("extra", lane.path, kind=kind, observed=f"a read of {kind}", expected="no further read")
        raise self._leave(
            "changed", lane.path, kind=kind, observed=f"a read of {kind}", expected=f"a read of {values[at]}"
        )

    def is_next(self, lane: Lane, kind: str) -> bool:
        return lane.values[lane.read : lane.read + 1] == [kind]

    def ask(self, call: Call) -> None:
        recorded = self._script.calls.get(call.key)
        if call.is_passed and (recorded is None or recorded.is_passed):
            self._asked.add(call.key)  # the wire says whether it is the recorded one
            return
        if recorded is None or not self._is_same(recorded, call):
            with self._mutex:
                self._find_elsewhere(call, recorded)
        self._asked.add(call.key)

    def settle(self, call: Call, outcome: Outcome | None) -> Outcome:
        recorded = self._script.calls.get(call.key)
        if recorded is None and outcome is not None:
            return outcome  # a request that was not recorded, which the wire has refused
        assert recorded is not None  # noqa: S101  it was asked
        self.turn(call.key, call.kind)
        if not recorded.is_passed:
            self.served += 1
            outcome = recorded.outcome
        if outcome is None:
            raise self._leave("exhausted", *call.key, kind=call.kind, name=call.name)
        return outcome

    def refuse(self, call: Call, why: str) -> Diverged:
        return self._leave("exhausted", *call.key, kind=call.kind, name=call.name, expected=f"no answer: {why}")

    def turn(self, key: Key, kind: str) -> None:
        place = self._places.get(key)
        with self._mutex:
            if place is None or place < self._position:
                raise self._leave("exhausted" if self._script.is_cut else "extra", *key, kind=kind)
            if place == self._position:
                self._advance()
                return
            mine = self._turns[key] = _thread.allocate_lock()
            mine.acquire()
        position = -1
        while not mine.acquire(timeout=REST_S if self.others() else 0.05):
            with self._mutex:
                if mine.locked() and position == self._position:
                    raise self._leave("missing", *key, kind=kind, **self._due())
                position = self._position
        with self._mutex:
            del self._turns[key]
            self._advance()

    def completed(
        self,
        call: Call | None,
        key: Key,
        outcome: Outcome | None,
        deliver: Callable[[Outcome | None], None],
        station: Station,
    ) -> None:
        recorded = self._script.calls.get(key)
        if recorded is not None and not recorded.is_passed:
            outcome = recorded.outcome
        with self._mutex:
            if call is not None and recorded is None:
                self._unknown.append(_Pending(deliver, outcome, station, is_call=False))
                station.wake()
                return
            self._pending[key] = _Pending(deliver, outcome, station, call is not None)
            is_due = self._is_due(key)
        if is_due:
            station.wake()

    def next(self, station: Station) -> Callable[[], None] | None:
        with self._mutex:
            for unknown in [each for each in self._unknown if each.station is station]:
                self._unknown.remove(unknown)
                return lambda: unknown.deliver(unknown.outcome)
            if self._position >= len(self._script.order):
                return None
            key = self._script.order[self._position]
            pending = self._pending.get(key)
            if pending is None or pending.station is not station:
                return None
            del self._pending[key]
            self.served += pending.is_call
            self._advance()
        return lambda: pending.deliver(pending.outcome)

    def withdraw(self, key: Key) -> None:
        with self._mutex:
            self._pending.pop(key, None)

    def mark(self, lane: Lane, what: str, name: str, number: int, body: Callable[[], bytes]) -> int:  # noqa: ARG002
        if not number:
            with self._mutex:
                self._marks += 1
                number = self._marks
        return number

    def leaving(self, lane: Lane) -> None:
        """Nothing is written in a replay."""

    def idle(self, station: Station) -> None:  # noqa: ARG002
        """A loop has nothing to run and waits for deliveries only. Raises Diverged when none can come."""
        with self._mutex:
            if self._turns or self.others():
                return
            if self._position < len(self._script.order) and self._script.order[self._position] in self._pending:
                return
            if self._pending:
                raise self._leave("missing", *next(iter(self._pending)), kind="wait", **self._due())

    def close(self) -> None:
        for call in self._lanes.missing() if self._lanes is not None else ():
            self._leave(
                "missing", *call.key, kind=call.kind, name=call.name, recorded=_told(call), observed="not asked"
            )
        unplayed = [
            {"lane": call.key[0], "n": call.key[1], "number": call.number, "kind": call.kind, "name": call.name}
            for call in self._script.calls.values()
            if call.key not in self._asked and not call.is_passed
        ]
        left = len(self._script.order) - self._position
        self._report(
            {
                "end": {
                    "served": self.served,
                    "unplayed": unplayed,
                    "left": left,
                    "marks": self._marks,
                    "cut": self._script.is_cut,
                }
            }
        )

    # -- the mutex is held

    def _is_due(self, key: Key) -> bool:
        return self._position < len(self._script.order) and self._script.order[self._position] == key

    def _advance(self) -> None:
        self._position += 1
        if self._position < len(self._script.order):
            key = self._script.order[self._position]
            if key in self._turns:
                self._turns[key].release()
            elif key in self._pending:
                self._pending[key].station.wake()

    def _is_same(self, recorded: RecordedCall, call: Call) -> bool:
        if call.is_passed or recorded.is_passed:
            return call.is_passed and recorded.is_passed  # the wire compares them
        return (recorded.kind, recorded.name) == (call.kind, call.name) and (
            recorded.arguments == call.arguments or recorded.arguments == self._clean(call.arguments)
        )

    def _find_elsewhere(self, call: Call, due: RecordedCall | None) -> None:
        """The question is not the one that is due in its lane. Go on with the lane where it stands; raises Diverged when
        it stands nowhere, or was passed over."""
        if self._lanes is None:
            self._lanes = Lanes(self._script.calls.values())
        asked: dict[str, Any] = {"kind": call.kind, "name": call.name, "arguments": _text(self._clean(call.arguments))}
        passed = self._lanes.passed(call.key[0], lambda recorded: self._is_same(recorded, call))
        if passed is not None:
            observed = f"{call.kind} {call.name} asked after a call that came later in the recording"
            raise self._leave("reordered", *call.key, **asked, recorded=_told(passed), observed=observed)
        found = self._lanes.further_on(call.key, lambda recorded: self._is_same(recorded, call))
        if found is None:
            is_changed = due is not None and (due.kind, due.name) == (call.kind, call.name)
            if due is not None:
                asked["recorded"] = _told(due)
            raise self._leave("changed" if is_changed else "extra", *call.key, **asked)
        path, ordinal = call.key
        self._lanes.pass_over(call.key, found.key)
        gone = {(path, each) for each in range(ordinal, found.key[1])}
        self._script.order = [key for key in self._script.order if key not in gone]
        self._places = {key: place for place, key in enumerate(self._script.order)}
        call.key = found.key
        call.lane.asked = found.key[1]
        self._position -= 1
        self._advance()  # what is due now may be waiting

    def _due(self) -> dict[str, Any]:
        if self._position >= len(self._script.order):
            return {"due": None, "waiting": self._outstanding()}
        key = self._script.order[self._position]
        call = self._script.calls.get(key)
        due: dict[str, Any] = {"lane": key[0], "n": key[1]}
        if call is not None:
            due |= _told(call)
        return {"due": due, "waiting": self._outstanding()}

    def _outstanding(self) -> list[str]:
        return [f"{path}#{ordinal}" for path, ordinal in [*self._pending, *self._turns]][:20]

    def _leave(self, kind_of: str, lane: str, ordinal: int = 0, **facts: Any) -> Diverged:
        """The error to raise; reported once for each."""
        facts = {"class": kind_of, "lane": lane, "n": ordinal, **facts}
        self._report({"divergence": facts})
        asked = " ".join(str(facts[name]) for name in ("kind", "name") if facts.get(name))
        return Diverged(f"playhead: {kind_of}: {asked} in lane {lane} is not what the recording has next", facts)

    def _clean(self, data: bytes) -> bytes:
        if len(data) < 8:
            return data
        if self._redactor is None:
            self._redactor = self._make_redactor()
        return self._redactor.message().body(data)


class _Pending(NamedTuple):
    deliver: Callable[[Outcome | None], None]
    outcome: Outcome | None
    station: Station
    is_call: bool


def _told(call: RecordedCall) -> dict[str, Any]:
    return {"number": call.number, "kind": call.kind, "name": call.name, "arguments": _text(call.arguments)}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
