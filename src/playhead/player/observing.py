"""A replay in mode `observe` inside one process of the agent: it collects divergences and goes on where it can.

An answer is given to the question that was recorded, in everything equal, wherever it stands: at its place, further on in
its lane, passed over in its lane, then in other lanes. A question that was not recorded fails with an ordinary exception,
as a tool's would. An act without a recorded place happens once nothing else can, and a recorded act that nothing can bring
is passed over. What was asked is aligned with what was recorded when the process ends. Standard library only.
"""

from __future__ import annotations

from playhead.core.boundary import Outcome
from playhead.player.agent import AgentPlayer
from playhead.player.alignment import Asked, differences
from playhead.player.told import missing_act, text_of, told_of
from playhead.player.waiting import Pending, is_free

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.core.boundary import Call, Key, Lane, Station, Then
    from playhead.player.lanes import RecordedCall

WINDOW = 64
"""Values of a lane among which the next one of the kind that is read is looked for."""

MOST_LATE = 10_000
"""Timers without a recorded place that may fire: a program may wait for ever for what does not come."""

WITHOUT_ANSWER = ("sleep",)
"""Kinds of calls that wait and are told nothing: one that was not recorded ends at once."""

NOTHING = Outcome(raised=False, body=b"null")
"""The outcome of one of them."""

_Signature = tuple[str, str, bytes]


class AgentObserver(AgentPlayer):
    """The player that does not stop at a divergence, but where nobody can go on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._by_signature: dict[_Signature, list[RecordedCall]] = {}
        self._requests: dict[tuple[str, str, str], list[RecordedCall]] = {}  # of each lane and kind: the wire's
        for call in sorted(self._script.calls.values(), key=lambda each: each.number):
            if call.is_passed:
                self._requests.setdefault((call.key[0], call.kind, call.name), []).append(call)
            else:
                self._by_signature.setdefault((call.kind, call.name, call.arguments), []).append(call)
        self._heard: dict[str, list[Asked]] = {}
        self._late: list[tuple[Key, Any]] = []  # acts of event loops without a recorded place
        self._fired = 0
        self._misread: set[str] = set()
        self._has_differed = False
        self._questions = 0
        self._act: dict[str, Any] | None = None  # the first without a name that differed
        self._is_told = False

    # -- values

    def value(self, lane: Lane, kind: str, read: Callable[[], Any]) -> Any:
        at, values = lane.read, lane.values
        if values[at : at + 1] == [kind]:
            lane.read = at + 2
            return values[at + 1]
        if self._signals.due(lane) is not None:
            self._signals.run(lane)
            return self.value(lane, kind, read)
        if lane.path not in self._misread:
            self._misread.add(lane.path)
            expected = f"a read of {values[at]}" if at < len(values) else "no further read"
            kind_of = "changed" if at < len(values) else "extra"
            self._note(kind_of, lane.path, 0, kind=kind, observed=f"a read of {kind}", expected=expected)
        for place in range(at, min(len(values), at + 2 * WINDOW), 2):
            if values[place] == kind:
                lane.read = place + 2
                return values[place + 1]
        return read()

    # -- calls

    def ask(self, call: Call, then: Then | None = None) -> bool:  # noqa: ARG002  nothing is written
        self.stay()
        if self._signals.lanes:
            call.key = self._signals.before(call.key)
        with self._mutex:
            if call.is_passed:
                self._go_to_passed(call)
                self.rests.leave_out()
                return True
            signature = (call.kind, self._name(call.name), self._clean(call.arguments))
            path, ordinal = call.key
            facts = {"n": ordinal, "kind": call.kind, "name": signature[1], "arguments": text_of(signature[2])}
            facts["at"] = self._now()
            self._heard.setdefault(path, []).append(Asked(signature[:2], signature, facts))
            found = self._find(signature, call.key)
            if found is None and call.kind in WITHOUT_ANSWER:
                self._has_differed = True
                call.lane.asked = ordinal - 1
                call.key = path, -1
                return True
            if found is None:
                raise self._fail(call, signature, facts)
            self._asked.add(found.key)
            if found.outcome is None and not self._was_under_way(found.key):
                raise self.refuse(call, "the recording was cut off there")
            self._go_to(call, found)
        return True

    def _go_to(self, call: Call, found: RecordedCall) -> None:
        """The lane goes on where that call stands, when it stands further on; one from elsewhere takes no place."""
        path, ordinal = call.key
        if found.key == call.key:
            return
        self._has_differed = True
        if found.key[0] == path and found.key[1] > ordinal:
            self._drop({(path, each) for each in range(ordinal, found.key[1])})
            call.lane.asked = found.key[1]
        else:
            call.lane.asked = ordinal - 1
        call.key = found.key

    def _go_to_passed(self, call: Call) -> None:
        """A request, which the wire compares: the lane goes on at its next one; without one it takes no place."""
        path, ordinal = call.key
        name = self._name(call.name)
        facts = {"n": ordinal, "kind": call.kind, "name": name, "arguments": "", "passed": True, "at": self._now()}
        self._heard.setdefault(path, []).append(Asked((call.kind, name), (call.kind, name, b""), facts))
        found = next(
            (
                each
                for each in self._requests.get((path, call.kind, self._name(call.name)), ())
                if each.key[1] >= ordinal and each.key not in self._asked
            ),
            None,
        )
        if found is None:
            self._has_differed = True
            call.lane.asked = ordinal - 1
            call.key = path, -1
            return
        self._asked.add(found.key)
        self._go_to(call, found)

    def _find(self, signature: _Signature, key: Key) -> RecordedCall | None:
        """The recorded call of just that question that was not asked yet."""
        unused = [call for call in self._by_signature.get(signature, ()) if call.key not in self._asked]
        path, ordinal = key
        own = [call for call in unused if call.key[0] == path]
        further = [call for call in own if call.key[1] >= ordinal]
        return next(iter([*further, *own, *unused]), None)

    def _now(self) -> int:
        """How many questions there were."""
        self._questions += 1
        return self._questions

    def _fail(self, call: Call, signature: _Signature, facts: dict[str, Any]) -> Exception:
        """The error of a question that was not recorded. One to whom the recording has another in its place takes it."""
        from playhead.errors import Diverged as NotRecorded

        self._has_differed = True
        due = self._script.calls.get(call.key)
        if due is not None:
            facts["due"] = told_of(due)
        if due is None or (due.kind, due.name) != signature[:2]:
            call.lane.asked -= 1
        else:
            self._drop({call.key})
        asked = f"{call.kind} {signature[1]}"
        return NotRecorded(
            f"The recording has no answer to this {asked}.",
            code="not-recorded",
            where=f"lane {call.key[0]}",
            expected="" if due is None else f"{due.kind} {due.name} {text_of(due.arguments)}"[:500],
            seen=f"{asked} {text_of(signature[2])}"[:500],
            todo="handle it as a failure of the call, or run without --mode observe to stop here",
        )

    def _drop(self, keys: set[Key]) -> None:
        """Those have no place in the order any more."""
        before = sum(key in keys for key in self._script.order[: self._position])
        self._strike_out(keys)
        self._position -= before
        self._let_go()

    def refuse(self, call: Call, why: str, *, seen: str = "") -> BaseException:
        from playhead.errors import Diverged as NotRecorded

        expected = why if seen else f"no answer: {why}"
        facts = {"kind": call.kind, "name": call.name, "expected": expected, "observed": seen or None}
        self._note("changed" if seen else "exhausted", *call.key, **facts)
        return NotRecorded(
            f"The recorded answer to this {call.kind} {call.name} cannot be given.",
            code="not-recorded",
            where=f"lane {call.key[0]}",
            expected=why,
            seen=seen,
            todo="return plain data from it, a dataclass or a model",
        )

    def settle(self, call: Call, outcome: Outcome | None) -> Outcome:
        if call.key[1] < 0 and outcome is None:
            return NOTHING
        return super().settle(call, outcome)

    # -- order

    def turn(self, key: Key, kind: str, lock: Any = None) -> None:
        if self._signals.lanes:
            key = self._before_and_meanwhile(key)
        self._take_turn(key, kind, lock)

    def _take_turn(self, key: Key, kind: str, lock: Any = None) -> None:
        with self._mutex:
            self.stay()
            is_placed = (self._is_placed(key) and key not in self._turns) or self._was_under_way(key)
        if is_placed:
            super()._take_turn(key, kind, lock)
            return
        self._note_extra(key, kind)
        if lock is not None and not lock.acquire(False):
            self.rests.wait(lambda seconds: bool(lock.acquire(True, seconds)), lambda: is_free(lock))

    def _have_acted(self, key: Key) -> None:
        """Others may have gone on meanwhile, when its maker seemed to be stuck."""
        if self._is_placed(key):
            self._position = self._places[key] + 1
        self._let_go()

    def _is_placed(self, key: Key) -> bool:
        """Whether the recorded order still has it before it."""
        return self._places.get(key, -1) >= self._position

    def foreseen(self, key: Key) -> bool:
        return self._has_differed or super().foreseen(key)

    def completed(
        self,
        call: Call | None,
        key: Key,
        outcome: Outcome | None,
        deliver: Callable[[Outcome | None], None],
        station: Station,
    ) -> None:
        with self._mutex:
            self.stay()
            recorded = self._script.calls.get(key)
            is_own = (call is None) == (recorded is None)  # the key of an act may be that of a recorded call
            if is_own and self._is_placed(key) and key not in self._pending:
                super().completed(call, key, outcome, deliver, station)
                return
            self._has_differed = True
            if call is None:
                self._late.append((key, Pending(deliver, None, station, is_call=False)))
                self._let_go()
                return
            if recorded is not None and not recorded.is_passed:
                outcome = recorded.outcome
                self.served += 1
            elif not call.is_passed:
                outcome = NOTHING
            self._unknown.append(Pending(deliver, outcome, station, is_call=False))
            station.wake()

    def withdraw(self, key: Key) -> bool:
        with self._mutex:
            self._late = [each for each in self._late if each[0] != key]
            recorded = self._script.calls.get(key)
            outcome = None if recorded is None else recorded.outcome
            if self._has_differed and outcome is not None and not outcome.raised:
                self._pending.pop(key, None)  # nobody cancelled it then
                self._drop({key})
                return True
        return super().withdraw(key)

    def next(self, station: Station, turn: Key | None = None) -> Callable[[], None] | None:
        if turn is not None:
            with self._mutex:
                key = self._at(self._position)
                if key is not None and key[0] == turn[0] and key[1] < turn[1]:
                    self._advance()  # a turn of a loop that went by
        return super().next(station, turn)

    def _miss(self) -> None:
        """What is due will not come: go on with the next act that waits, else with one that has no place."""
        if self._early() is not None:
            self._has_differed = True
            pending = self._pending.pop(self._script.order[self._position])
            self.served += pending.is_call
            self._unknown.append(pending)  # once its loop runs again
            self._advance()
            return
        waiting = [self._places[key] for key in (*self._pending, *self._turns) if self._is_placed(key)]
        if waiting:
            due = self._script.order[self._position]
            self._has_differed = True
            self._act = self._act or missing_act(due)
            self._position = min(waiting)
            self._let_go()
        elif self._late and self._fired < MOST_LATE:
            self._note_extra(self._late[-1][0], "timer")
            self._fired += 1
            _, pending = self._late.pop()  # the newest: an older one may be a time-out that never came
            self._unknown.append(pending)
            pending.station.wake()
        else:
            super()._miss()

    # -- the end

    def _note_extra(self, key: Key, what: str) -> None:
        """A lock, a turn or a timer more: what it comes of is told at the end, or if nothing is, the first such act."""
        self._has_differed = True
        facts = {"class": "extra", "lane": key[0], "n": key[1], "kind": what, "observed": "not in the recorded order"}
        self._act = self._act or facts

    def _note(self, kind_of: str, lane: str, ordinal: int, /, **facts: Any) -> None:
        self._has_differed = self._is_told = True
        self._report({"divergence": {"class": kind_of, "lane": lane, "n": ordinal, **facts}})

    def _tell_missing(self) -> None:
        # the lane where something else was asked first comes first: what others did not come to may follow from it
        for divergences in sorted(self._differing().values(), key=_first_asked):
            for facts in divergences:
                facts.pop("at", None)
                self._is_told = True
                self._report({"divergence": facts})
        if self._act is not None and not self._is_told:
            self._report({"divergence": self._act})

    def _differing(self) -> dict[str, list[dict[str, Any]]]:
        """What each lane asked otherwise than recorded, as reports."""
        recorded: dict[str, list[Asked]] = {}
        for call in sorted(self._script.calls.values(), key=lambda each: each.number):
            facts = told_of(call) | {"n": call.key[1]}
            signature = (call.kind, call.name, call.arguments)
            if call.is_passed:  # the wire compares what it asks; its place among the others is seen here alone
                signature = (call.kind, call.name, b"")
                facts |= {"arguments": "", "passed": True}
            recorded.setdefault(call.key[0], []).append(Asked(signature[:2], signature, facts))
        found: dict[str, list[dict[str, Any]]] = {}
        for kind_of, lane, one, other in differences(recorded, self._heard):
            mine = other.facts if other is not None else one.facts if one is not None else {}
            if mine.pop("passed", False) and kind_of != "reordered":
                continue  # the wire says it
            facts = {**mine} if other is not None else {"n": mine["n"]}
            if one is not None:
                facts["recorded"] = {name: value for name, value in one.facts.items() if name not in ("n", "passed")}
            if other is None:
                facts |= {"observed": "not asked", "expected": f"{mine['kind']} {mine['name']} {mine['arguments']}"}
            elif kind_of == "reordered":
                facts |= {"observed": f"{mine['kind']} {mine['name']} asked in another place than the recording has it"}
            found.setdefault(lane, []).append({"class": kind_of, "lane": lane, **facts})
        return found


def _first_asked(divergences: list[dict[str, Any]]) -> float:
    """When a lane first asked what differs; behind all others if it only left something out."""
    return min((facts["at"] for facts in divergences if "at" in facts), default=float("inf"))
