"""Answers at the boundaries inside one process of the agent, from what that process once wrote.

What a lane asks is compared with what the recorded lane asked at the same place; an answer is given when all deliveries
that came before it in the recording have been made. Nothing is served to a question that differs in anything.
Standard library only: this runs inside the user's agent.
"""

from __future__ import annotations

import _thread
import struct
from time import monotonic, process_time

from playhead.core import compact, numbers
from playhead.core.boundary import NAME_LENGTH, REQUEST, Diverged, Lane, Outcome
from playhead.core.events import EventKind
from playhead.player.interruptions import Interruptions
from playhead.player.lanes import Lanes, RecordedCall, first_behind
from playhead.player.rests import Rests
from playhead.player.told import in_words, text_of, told_due, told_of, waiting_for
from playhead.player.waiting import Pending, Turn, is_free

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from playhead.core.boundary import Call, Key, Station, Then
    from playhead.core.events import Event
    from playhead.core.redact import Redactor

MOST_LOOSE = 200
"""Timers that may fire behind the end of the recording, one at a time and 50 ms apart."""

REST_S = 10.0
"""How long nothing moves while some thread runs native code or is blocked outside the tape, before the recorded act
counts as missing. Computing is moving."""

RUN_ON_S = 0.05
"""How long a thread may run on before the others go on without it."""

_MAY_BE_LATE = frozenset("hb?")
"""Kinds of lanes for whose end nobody may wait: a daemon's, a library's, a stranger's."""

_PAIR = struct.Struct("<II")


class Script:
    """What one process is to be told. `values` by path of the lane, kind and value in turn; `is_cut` when the process was
    killed: what follows is not known. `unsure` are answers that were written and whose delivery was not, each with how
    many deliveries had been made when it was written: the kill came in between, or it was withdrawn before."""

    def __init__(self, events: Iterable[Event]) -> None:
        paths: dict[int, str] = {}
        asked: dict[int, RecordedCall] = {}
        told: dict[Key, int] = {}
        self.unsure: dict[Key, int] = {}
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
                    event.subject, key, meta["kind"], meta["name"], event.body, is_passed=bool(meta.get("passed"))
                )
            elif event.kind is EventKind.TOLD:
                call = asked[event.subject]
                call.outcome = Outcome(bool(event.meta.get("raised")), event.body)
                told[call.key] = len(self.order)
                self.order += [call.key] if event.flags & numbers.AS_TOLD else []
            elif event.kind is EventKind.VALUES:
                for lane, values in compact.load(event.body):
                    self.values.setdefault(paths[lane], []).extend(values)
            elif event.kind is EventKind.ORDER:
                self.order += [(paths[lane], ordinal) for lane, ordinal in _PAIR.iter_unpack(event.body)]
            elif event.kind is EventKind.CLOSED:
                self.is_cut = False
        self.lanes = frozenset(paths.values())
        self.calls = {call.key: call for call in asked.values()}
        if self.is_cut:
            known = set(self.order)
            self.unsure = {key: count for key, count in told.items() if key not in known}
            self.order += self.unsure


class AgentPlayer:
    """The player among the boundary tapes. `report` takes facts as JSON objects; `left` hears once that the program has
    left the tape: from then on every lane that asks is told so."""

    live = False

    def __init__(
        self,
        script: Script,
        redactor: Callable[[], Redactor],
        report: Callable[[dict[str, Any]], None],
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self._script = script
        self._make_redactor = redactor
        self._redactor: Redactor | None = None
        self._report = report
        self._has_left = left
        self._mutex = _thread.RLock()
        self._position = 0
        self._places = {key: place for place, key in enumerate(script.order)}
        self._pending: dict[Key, Pending] = {}
        self._loose = 0  # timers behind the end that fired
        self._unknown: list[Pending] = []  # requests that were not recorded, which the wire has refused
        self._turns: dict[Key, Turn] = {}
        self._for_good: list[Turn] = []  # daemons in what the end of the process cut off
        self._loops: dict[Station, int] = {}
        self._asked: set[Key] = set()
        self._lanes: Lanes | None = None  # once a question is not the one that is due
        self.diverged: Diverged | None = None
        self._is_watched = False
        self._signals = Interruptions()
        self.rests = Rests(self._mutex, self._let_go, self.stay, self._watch, self._signals.here)
        self.served = 0
        self._marks = 0
        self._is_over = False

    def lane(self, path: str) -> Lane:
        lane = Lane(path)
        lane.values = self._script.values.get(path, lane.values)
        self._signals.add(lane)
        return lane

    def value(self, lane: Lane, kind: str, read: Callable[[], Any]) -> Any:
        at = lane.read
        values = lane.values
        try:
            if values[at] == kind:
                lane.read = at + 2
                return values[at + 1]
        except IndexError:
            pass  # quicker than to ask how many there are, each time
        if self._signals.due(lane) is not None:
            self._signals.run(lane)
            return self.value(lane, kind, read)
        if at >= len(values):
            kind_of = "exhausted" if self._script.is_cut else "extra"
            raise self._leave(kind_of, lane.path, kind=kind, observed=f"a read of {kind}", expected="no further read")
        raise self._leave(
            "changed", lane.path, kind=kind, observed=f"a read of {kind}", expected=f"a read of {values[at]}"
        )

    def is_next(self, lane: Lane, kind: str) -> bool:
        return lane.values[lane.read : lane.read + 1] == [kind]

    def ask(self, call: Call, then: Then | None = None) -> bool:  # noqa: ARG002  nothing is written
        self.stay()
        if self._signals.lanes:
            call.key = self._signals.before(call.key)
        recorded = self._script.calls.get(call.key)
        if call.is_passed and (recorded is None or recorded.is_passed):
            self._asked.add(call.key)  # the wire says whether it is the recorded one
            self.rests.leave_out()
            return True
        if recorded is None or not self._is_same(recorded, call):
            with self._mutex:
                self._find_elsewhere(call, recorded)
        self._asked.add(call.key)
        return True

    def settle(self, call: Call, outcome: Outcome | None) -> Outcome:
        recorded = self._script.calls.get(call.key)
        self._see_to_place(call.key, call, recorded)
        if recorded is None and outcome is not None:
            return outcome  # a request that was not recorded, which the wire has refused
        assert recorded is not None  # noqa: S101  it was asked
        if self._script.is_cut and not recorded.is_passed and recorded.outcome is None:
            told = told_of(recorded)
            raise self._leave("exhausted", *call.key, **{**told, "number": 0}, recorded=told)
        try:
            if self._signals.lanes:
                self._signals.within(call.key)
        finally:
            self._take_turn(call.key, call.kind)
        if not recorded.is_passed:
            self.served += 1
            outcome = recorded.outcome
        if outcome is None:
            raise self._leave("exhausted", *call.key, kind=call.kind, name=call.name)
        return outcome

    def _before_and_meanwhile(self, key: Key) -> Key:
        """Run the handlers that ran before the lane waited for that, and while it did: what those did came before it. Returns
        the key that it has then."""
        path, ordinal = key = self._signals.before(key)
        if self._places.get((path, ordinal + 1), len(self._places)) < self._places.get(key, -1):
            self._signals.during(key)
        return key

    def interrupted(self, lane: Lane) -> bool:
        return self._signals.came(lane)

    def foretold(self, call: Call) -> Outcome | None:
        recorded = self._script.calls.get(call.key)
        return None if recorded is None else recorded.outcome

    def refuse(self, call: Call, why: str, *, seen: str = "") -> BaseException:
        if seen:
            return self._leave("changed", *call.key, kind=call.kind, name=call.name, expected=why, observed=seen)
        return self._leave("exhausted", *call.key, kind=call.kind, name=call.name, expected=f"no answer: {why}")

    def turn(self, key: Key, kind: str, lock: Any = None) -> None:
        if self._signals.lanes:
            key = self._before_and_meanwhile(key)
        call = self._script.calls.get(key)
        if call is not None:
            raise self._leave("changed", *key, kind=kind, recorded=told_of(call))
        self._take_turn(key, kind, lock)

    def _take_turn(self, key: Key, kind: str, lock: Any = None) -> None:
        mine = None
        with self._mutex:
            self.stay()
            place = self._places.get(key)
            if place is None and self._was_under_way(key):
                mine = Turn(kind)
                self._for_good.append(mine)
                self.rests.rest()
            elif place is None or place < self._position:
                raise self._leave("exhausted" if self._script.is_cut else "extra", *key, kind=kind)
            else:
                me = _thread.get_ident()
                self.rests.go_on(me)
                if place != self._position or not self.rests.is_quiet(me):
                    mine = self._turns[key] = Turn(kind)
                    self.rests.rest()
        if mine is not None:
            mine.wait()
            self.stay()
        # taken before the next act may happen: its maker may want the same lock
        if lock is not None and not lock.acquire(False):
            self.rests.wait(lambda seconds: bool(lock.acquire(True, seconds)), lambda: is_free(lock))
        with self._mutex:
            self._have_acted(key)

    def _was_under_way(self, key: Key) -> bool:
        """Whether a daemon asked for that, and the process ended before it was answered: so will it here."""
        call = self._script.calls.get(key)
        waits = call is not None and not call.is_passed and call.outcome is None and not self._script.is_cut
        return waits and self.rests.is_daemon(_thread.get_ident())

    def _have_acted(self, key: Key) -> None:  # noqa: ARG002  it was due
        self._advance()

    def foreseen(self, key: Key) -> bool:
        return key in self._places

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
            self.stay()
            self._see_to_place(key, call, recorded)
            if call is not None and recorded is None:
                self._unknown.append(Pending(deliver, outcome, station, is_call=False))
                station.wake()
                return
            self._pending[key] = Pending(deliver, outcome, station, is_call=call is not None)
            if self._is_due(key):
                station.wake()

    def next(self, station: Station, turn: Key | None = None) -> Callable[[], None] | None:
        with self._mutex:
            me = self._loops[station] = _thread.get_ident()
            self.rests.go_on(me)
            self.stay()
            for unknown in [each for each in self._unknown if each.station is station]:
                self._unknown.remove(unknown)
                return lambda: unknown.deliver(unknown.outcome)
            key = self._at(self._position)
            if turn is not None:
                if key is None or key[0] != turn[0]:
                    return None
                if key[1] < turn[1]:
                    raise self._leave("missing", *turn, kind="wait", **self._due())
                key = self._at(self._position + 1) if key[1] == turn[1] else None
            pending = self._pending.get(key) if key is not None else None
            if key is None or pending is None or pending.station is not station:
                return None
            if turn is None and not self.rests.is_quiet(me):
                return None  # a loop that does not come to rest has no other turn for it
            del self._pending[key]
            if turn is not None:
                self._advance()
            self.served += pending.is_call
            self._advance()
        return lambda: pending.deliver(pending.outcome)

    def _at(self, position: int) -> Key | None:
        return self._script.order[position] if position < len(self._script.order) else None

    def withdraw(self, key: Key) -> bool:
        with self._mutex:
            if self._places.get(key, -1) >= self._position and not self._is_over:
                if self._position <= self._script.unsure.get(key, self._position):
                    return False
                # deliveries are written before anything else is: this answer was there before the last one made, so
                # that it was withdrawn here is why it never was delivered
                self._strike_out({key})
            self._pending.pop(key, None)
        return True

    def mark(self, lane: Lane, what: str, name: str, number: int, body: Callable[[], bytes]) -> int:  # noqa: ARG002
        if not number:
            with self._mutex:
                self._marks += 1
                number = self._marks
        return number

    def leaving(self, lane: Lane) -> None:
        """The name of a lane that the recording has not is told, for what the wire says of it."""
        if not lane.number:
            lane.number = 1
            if lane.path not in self._script.lanes:
                self._report({"lane": lane.path})

    def idle(self, station: Station) -> None:
        """A loop has nothing to run and waits for deliveries only; it rests until it asks for the next. Raises Diverged
        when none can come."""
        with self._mutex:
            self.stay()
            self._loops[station] = _thread.get_ident()
            if self._goes_on_behind_the_end(station):
                return
            self.rests.rest(lambda: self._is_for(station))
            self.stay()

    def _goes_on_behind_the_end(self, station: Station) -> bool:
        """Everything recorded has been let go, and the loop still waits for timers: it looks again and again for what is not
        on the tape (a child that ends), and may look more often than it did. The newest timer fires, a bounded number
        of times; whatever the agent asks then is a divergence."""
        if self._position < len(self._script.order) or self._script.is_cut or self._turns or self._loose >= MOST_LOOSE:
            return False
        timers = [key for key, each in self._pending.items() if each.station is station]
        if not timers or any(each.is_call for each in self._pending.values()):
            return False
        self._loose += 1
        self._unknown.append(self._pending.pop(timers[-1]))
        return True

    def stay(self) -> None:
        """Raises Diverged when the program has left the tape."""
        if self.diverged is not None:
            raise Diverged(str(self.diverged), self.diverged.facts)

    def clean(self, data: bytes) -> bytes:
        with self._mutex:
            return self._clean(data)

    def close(self) -> None:
        self._is_over = True
        if self.diverged is None:
            self._tell_missing()
        unplayed = [
            {"lane": call.key[0], "n": call.key[1], "number": call.number, "kind": call.kind, "name": call.name}
            for call in self._script.calls.values()
            if call.key not in self._asked and not call.is_passed
        ]
        left = len(self._script.order) - self._position
        end = {
            "served": self.served,
            "unplayed": unplayed,
            "left": left,
            "marks": self._marks,
            "cut": self._script.is_cut,
        }
        self._report({"end": end})

    def _tell_missing(self) -> None:
        passed = self._lanes.missing() if self._lanes is not None else []
        left_out = [call for call in self._script.calls.values() if self._is_left_out(call) and call not in passed]
        for call in (*passed, *sorted(left_out, key=lambda each: each.number)[:1]):  # the rest follows from the first
            lane, ordinal = call.key
            told = told_of(call)
            facts = {"class": "missing", "lane": lane, "n": ordinal, "recorded": told, "observed": "not asked"}
            self._report({"divergence": facts | {"expected": f"{call.kind} {call.name} {told['arguments']}"}})

    def _is_left_out(self, call: RecordedCall) -> bool:
        """Whether the process ended without it, and would have asked it before. A daemon, or a library's thread, may not
        have come so far; of its own requests the wire tells."""
        if call.key in self._asked or call.is_passed or self._script.is_cut:
            return False
        return not self.rests.leaves_any() or not set(call.key[0]) & _MAY_BE_LATE

    # -- the mutex is held

    def _is_due(self, key: Key) -> bool:
        return self._position < len(self._script.order) and self._script.order[self._position] == key

    def _is_for(self, station: Station) -> bool:
        if any(each.station is station for each in self._unknown):
            return True
        if self._position >= len(self._script.order):
            return False
        pending = self._pending.get(self._script.order[self._position])
        return pending is not None and pending.station is station

    def _advance(self) -> None:
        self._position += 1
        if self._position == len(self._script.order):
            self._report({"played": True})  # a process that is then ended by another has left nothing out
        self._let_go()

    def _let_go(self) -> None:
        """Let the act happen that is due, if its maker waits for it and everybody else has come to rest."""
        if self.diverged is not None:
            return
        if self._position < len(self._script.order):
            key = self._script.order[self._position]
            turn = self._turns.get(key)
            if turn is not None:
                if self.rests.is_quiet(turn.ident):
                    del self._turns[key]
                    self.rests.go_on(turn.ident)
                    turn.let_go()
                return
            pending = self._pending.get(key)
            if pending is not None and self.rests.is_quiet(self._loops.get(pending.station, 0)):
                pending.station.wake()  # in vain where its thread waits for a turn of its own: then all are stuck
        if self.rests.is_stuck():
            self._miss()

    def _watch(self) -> None:
        """From the second thread on, somebody looks whether one of them runs on for long."""
        if not self._is_watched:
            self._is_watched = True
            # not a Thread: the agent may count those
            _thread.start_new_thread(self._look_on, ())

    def _look_on(self) -> None:
        pause = _thread.allocate_lock()
        pause.acquire()
        place = -1
        since = cpu = 0.0
        while not pause.acquire(timeout=RUN_ON_S):
            with self._mutex:
                if self.diverged is not None or self._is_over:
                    return
                if place != self._position or not (self._turns or self._pending):
                    place, since, cpu = self._position, monotonic(), process_time()
                    continue
                self.rests.leave_out_those_who_run()
                self._let_go()
                if monotonic() - since > REST_S:
                    if process_time() - cpu > REST_S / 10:
                        since, cpu = monotonic(), process_time()
                    else:
                        self._miss()

    def _miss(self) -> None:
        """Nothing will happen any more."""
        early = self._early()
        if early is not None:
            due, call = self._due(), self._script.calls.get(early)
            told = {"kind": self._turns[early].kind} if call is None else told_of(call)
            asked = {**told, "due": due["due"], "observed": f"asked before {told_due(due)} had its answer"}
            self._leave("reordered", *early, **asked, recorded=None if call is None else told)
            return
        lane, ordinal = next(iter([*self._pending, *self._turns]), ("0", 0))
        turn = self._turns.get((lane, ordinal))
        is_over = self._script.is_cut and self._position >= len(self._script.order)
        facts = {"kind": turn.kind if turn else "wait", **self._due()}
        self._leave("exhausted" if is_over else "missing", lane, ordinal, **facts)

    def _early(self) -> Key | None:
        """The act for which the very loop waits that would have to take what is due: it came before its place."""
        due = self._at(self._position)
        pending = self._pending.get(due) if due is not None else None
        if pending is None:
            return None
        ident = self._loops.get(pending.station)  # not known before it first came to rest
        return next((key for key, turn in self._turns.items() if ident in (None, turn.ident)), None)

    def _is_same(self, recorded: RecordedCall, call: Call) -> bool:
        if call.is_passed or recorded.is_passed:
            return call.is_passed and recorded.is_passed  # the wire compares them
        return (
            recorded.kind == call.kind
            and (recorded.name == call.name or recorded.name == self._name(call.name))
            and (recorded.arguments == call.arguments or recorded.arguments == self._clean(call.arguments))
        )

    def _see_to_place(self, key: Key, call: Call | None, recorded: RecordedCall | None) -> None:
        """A request that has been answered, so the wire knows it. Where its lane has none at this place, and passed one over
        before, that one has come too late: raises Diverged."""
        if self._lanes is None or call is None or not call.is_passed or call.kind != REQUEST:
            return  # how many pieces an answer is read in may follow from a request that is gone
        if recorded is not None and recorded.is_passed and recorded.kind == call.kind:
            return
        with self._mutex:
            passed = self._lanes.passed(key[0], lambda each: each.is_passed and each.kind == call.kind)
            if passed is not None and self.diverged is None:
                raise self._leave_late(key, {"kind": call.kind, "name": self._name(call.name)}, passed)

    def _leave_late(self, key: Key, asked: dict[str, Any], passed: RecordedCall) -> Diverged:
        """The error of a call that was passed over before."""
        observed = f"{asked['kind']} {asked['name']} asked after a call that came later in the recording"
        return self._leave("reordered", *key, **asked, recorded=told_of(passed), observed=observed)

    def _find_elsewhere(self, call: Call, due: RecordedCall | None) -> None:
        """The question is not the one that is due in its lane. Go on with the lane where it stands; raises Diverged when
        it stands nowhere, or was passed over."""
        if self._lanes is None:
            self._lanes = Lanes(self._script.calls.values())
        name = self._name(call.name)
        asked: dict[str, Any] = {"kind": call.kind, "name": name, "arguments": text_of(self._clean(call.arguments))}
        passed = self._lanes.passed(call.key[0], lambda recorded: self._is_same(recorded, call))
        if passed is not None:
            raise self._leave_late(call.key, asked, passed)
        found = self._lanes.further_on(call.key, lambda recorded: self._is_same(recorded, call))
        if found is None:
            is_changed = due is not None and (due.kind, due.name) == (call.kind, name)
            if due is not None:
                asked["recorded"] = told_of(due)
            kind_of = "exhausted" if self._is_behind_the_cut(call.key) else "changed" if is_changed else "extra"
            raise self._leave(kind_of, *call.key, **asked)
        path, ordinal = call.key
        self._lanes.pass_over(call.key, found.key)
        gone = {(path, each) for each in range(ordinal, found.key[1])}
        self._strike_out(gone)
        call.key = found.key
        call.lane.asked = found.key[1]
        self._position -= 1
        self._advance()  # what is due now may be waiting

    def _is_behind_the_cut(self, key: Key) -> bool:
        """Whether the process was killed before that lane had come so far."""
        if not self._script.is_cut:
            return False
        return not any(path == key[0] and n >= key[1] for path, n in [*self._script.calls, *self._script.order])

    def _strike_out(self, gone: set[Key]) -> None:
        """These deliveries will not be made."""
        self._script.order = [key for key in self._script.order if key not in gone]
        self._places = {key: place for place, key in enumerate(self._script.order)}

    def _due(self) -> dict[str, Any]:
        if self._position >= len(self._script.order):
            return {"due": None, "waiting": self._outstanding()}
        key = self._script.order[self._position]
        call = self._script.calls.get(key)
        due: dict[str, Any] = {"lane": key[0], "n": key[1]}
        if call is not None:
            due |= told_of(call)
        elif (following := first_behind(key, self._script.calls.values(), self._asked)) is not None:
            due["next"] = told_of(following)
        return {"due": due, "waiting": self._outstanding()}

    def _outstanding(self) -> list[str]:
        """Who waits, by what is waited for; a timer has no name but its place."""
        named: dict[Key, RecordedCall | Turn] = {**self._turns, **self._script.calls}
        return [waiting_for(key, named.get(key)) for key in [*self._pending, *self._turns][:20]]

    def _leave(self, kind_of: str, lane: str, ordinal: int = 0, **facts: Any) -> Diverged:
        """The error to raise. The first is reported, and ends the waiting of all lanes; what other lanes meet after it
        are its consequences."""
        with self._mutex:
            if self.diverged is None:
                facts = {"class": kind_of, "lane": lane, "n": ordinal, **facts}
                self._report({"divergence": facts})
                self.diverged = Diverged(in_words(facts), facts)
                for turn in [*self._turns.values(), *self._for_good]:
                    turn.let_go()
                for pending in self._pending.values():
                    pending.station.wake()
                self._has_left()
            return Diverged(str(self.diverged), self.diverged.facts)

    def _name(self, name: str) -> str:
        """A name as the recorder writes it: a path may hold a secret."""
        clean = self._clean(name.encode("utf-8", "surrogateescape"))
        return clean.decode("utf-8", "surrogateescape")[:NAME_LENGTH]

    def _clean(self, data: bytes) -> bytes:
        if len(data) < 8:
            return data
        if self._redactor is None:
            self._redactor = self._make_redactor()
        return self._redactor.forms(data)
