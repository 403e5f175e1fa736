"""The player: answers live requests from a script, in the order the agent once saw the answers, and from nothing else.

A request is given to a recorded exchange only if their fingerprints are equal. Answers are let go one completion at a
time, each only when the client's process tree has come to rest after the one before, wherever the two could race.
Whatever does not fit is a divergence: it is refused, reported once, and never answered from the tape.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from playhead.core.clock import monotonic_ns
from playhead.core.events import RESETTING, Ending
from playhead.core.tape import Bound
from playhead.core.websocket import CLOSE
from playhead.player.beforehand import Beforehand
from playhead.player.leaving import await_leaving
from playhead.player.ranks import Arrival, rank
from playhead.player.script import Group, process_of
from playhead.player.talk import Said, refusal
from playhead.player.turn import PlayedTurn

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.tape import Caller, Exchange, Rest
    from playhead.matching.divergence import Divergence
    from playhead.matching.fingerprint import Canonical
    from playhead.player.script import Delivery, Part, Script
    from playhead.player.talk import Hearing

MISSING_AFTER_S = 10.0
REST_BOUND = Bound(cpu_s=5.0, wall_s=30.0)
LOOK_S = 0.1
ASSIGN_SHORT_AFTER_S = 1.0  # at rest: how long an incomplete group of equals is waited for
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Judge(Protocol):
    """Knows what requests mean: makes match keys, and words for what does not match."""

    def canonical(self, exchange: Exchange, head: bytes, body: bytes) -> Canonical:
        """The match key of a live request."""

    def begins(self, part: Part, exchange: Exchange, head: bytes, body: bytes) -> bool:
        """Whether a live request, as far as it has come, is how the recorded one of `part`, never completed, began."""

    def divergence(
        self, canonical: Canonical, lane: str, expected: list[Part], used: list[Part]
    ) -> tuple[Divergence, Part | None]:
        """What a request without an equal is: `changed` (with the part it replaces), `exhausted` or `extra`."""

    def absent(self, part: Part, *, swapped: bool) -> Divergence:
        """A recorded exchange that was not asked (`missing`), or asked after one that followed it (`reordered`)."""

    def report(self, divergence: Divergence) -> str:
        """A divergence for people, at most 25 lines."""

    def refusal(self, exchange: Exchange, head: bytes, body: bytes, divergence: Divergence) -> bytes:
        """The HTTP answer to a request that is not on the tape."""

    def hearing(self, part: Part, head: bytes) -> Hearing:
        """Who judges what the client says over the websocket of `part` that it asked for with that head."""


class Player:
    """A Tape over a script. `halt(reason)` is called when a strict replay has to stop; `lane_of` names the lane of a
    live connection. All on one event loop; where all callers order their answers themselves, and nothing waits, `loop` may
    be anything with `call_soon`."""

    def __init__(
        self,
        script: Script,
        judge: Judge,
        rest: Rest,
        *,
        strict: bool,
        speed: float = 0.0,
        lane_of: Callable[[Exchange], str],
        halt: Callable[[str], None],
        loop: Any = None,
    ) -> None:
        self.script = script
        self.judge = judge
        self.rest = rest
        self.strict = strict
        self.speed = speed
        self.lane_of = lane_of
        self.halt = halt
        self.served = 0
        self.divergences: list[Divergence] = []
        self.ambiguous: list[int] = []
        self.masks: dict[str, int] = {}
        self.order_unobserved = 0
        self._loop = loop or asyncio.get_event_loop()
        self._next = 0
        self._open: set[PlayedTurn] = set()
        self._refused: dict[str, bytes] = {}  # fingerprint -> the answer it got
        self._stopped: Divergence | None = None
        self._overdue: list[Part] = []
        self._given_up: list[Part] = []  # asked, while the answer stood behind what was overdue, and not waited for
        self._unrested: Delivery | None = None
        self._cancel_rest: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_for: Delivery | None = None
        self._rested_since = 0
        self._pumping = False
        self._beforehand = Beforehand(script, rest, self._loop, is_asked=self._is_asked, pump=self._pump)

    # -- Tape

    def begin(self, exchange: Exchange, head: bytes, caller: Caller) -> PlayedTurn:
        turn = PlayedTurn(self, exchange, head, caller)
        self._open.add(turn)
        unrested = self._unrested
        answered = unrested.part.turn if unrested is not None else None
        if answered is not None and answered.exchange.connection is exchange.connection:
            self._unrested = None  # it asks again on the connection just answered: it has read the answer
        self.heard(turn)
        return turn

    def heard(self, turn: PlayedTurn) -> None:
        """A live request has come so far: if the recorded one was answered at this point, so is this one."""
        if self.script.cut and turn.part is None and self._stopped is None:
            part = self._cut_short(turn, given_up=False)
            if part is not None:
                turn.continued = turn.expects = False
                self._give(part, turn)
                self._pump()
        if turn.expects and turn.part is None:
            turn.expects = False
            turn.caller.deliver(_CONTINUE)

    def asked(self, turn: PlayedTurn) -> None:
        """A live request is complete: give it its part, or refuse it."""
        exchange = turn.exchange
        if exchange.protocol != "http/1.1":
            self._close(turn, Ending.RESET)
            return
        body = b"".join(turn.body)
        turn.body.clear()
        canonical = self.judge.canonical(exchange, turn.head, body)
        late = next((p for p in self._overdue if p.canonical.fingerprint == canonical.fingerprint), None)
        if late is not None and late.passed_by and process_of(late.passed_by) != process_of(self.lane_of(exchange)):
            self._overdue.remove(late)
            late.overdue, late = False, None
        if late is not None:
            self._overdue.remove(late)
            self._diverge(self.judge.absent(late, swapped=True), turn)
        if self._stopped is not None:
            self._refuse(turn, canonical, body, self._stopped)
            return
        late = late or next((p for p in self._given_up if p.canonical.fingerprint == canonical.fingerprint), None)
        if late is not None:
            if late in self._given_up:
                self._given_up.remove(late)
            self._serve_now(late, turn)
            return
        group = self._group_for(canonical.fingerprint, turn)
        if group is None:
            self._miss(turn, canonical, body)
            return
        self._overdue += self.script.passed_over(group.parts[0], self.lane_of(turn.exchange))
        for rule, count in canonical.masks_used.items():
            self.masks[rule] = self.masks.get(rule, 0) + count
        group.waiting.append(turn)
        if group.is_full:
            self._assign(group)
        self._pump()

    def abandoned(self, turn: PlayedTurn) -> None:
        """The client went away."""
        self._open.discard(turn)
        turn.gone = True
        left_out = None if turn.part is None or turn.part.talk is None else turn.part.talk.ended()
        if left_out is not None and self._stopped is None:
            self._note(left_out)
        if not turn.whole and turn.part is None:
            part = self._cut_short(turn, given_up=True)
            if part is not None:
                self._give(part, turn)
        part = turn.part
        if (
            part is not None
            and not turn.begun
            and part.exchange.chunks
            and part.exchange.ending is not Ending.ABANDONED
        ):
            self._leave_unheard(part)
        for equals in self.script.groups.values():
            for group in equals.groups:
                if not group.assigned and turn in group.waiting:
                    group.waiting.remove(turn)
        self._pump()

    def _leave_unheard(self, part: Part) -> None:
        """A client no longer waits for its answer. Where that stood behind a request that nobody has made, this one is
        overdue, and the other may be asked again: it is not how long clients wait that differs from the recording."""
        due = self._waiting_for
        self.served -= 1
        if due is None or due.part.turn is not None or self._is_waited_for(due.part):
            part.unheard = True
            return
        due.part.overdue = due.part.skipped = True
        self._overdue.append(due.part)
        part.turn, part.skipped = None, True
        self._given_up.append(part)

    def told(self, turn: PlayedTurn, part: Part, data: bytes) -> None:
        """The client of a websocket says something: compare it, and let go what waits for it."""
        talk = part.talk
        assert talk is not None  # noqa: S101  only of these is anything told
        for said in talk.hear(data):
            if turn.gone:
                return
            if not isinstance(said, Said):
                turn.caller.deliver(said)
                continue
            divergence = talk.judged(said)
            if divergence is not None and self._stopped is None:
                self._diverge(divergence, turn)
            divergence = divergence or self._stopped
            if divergence is not None:
                part.skipped = True
                self._hang_up(turn, divergence)
                break
            at, part.waiting = part.waiting, -1
            if at >= 0:
                self._play_own(part, at)
            self._pump()
            if said.opcode == CLOSE and not turn.gone and part.left <= (part.exchange.ending is Ending.ABANDONED):
                turn.caller.deliver(talk.farewell(said))
                self._close(turn, Ending.CLOSED)
        self._pump()

    def _hang_up(self, turn: PlayedTurn, divergence: Divergence) -> None:
        turn.caller.deliver(refusal(divergence))
        self._close(turn, Ending.CLOSED)

    # -- giving parts to turns

    def _group_for(self, fingerprint: str, turn: PlayedTurn) -> Group | None:
        """The next group of these equals that still has room; of the caller's own lane if lanes differ."""
        equals = self.script.groups.get(fingerprint)
        group = None if equals is None else equals.next_free(lambda: self.lane_of(turn.exchange))
        if equals is not None and group is not None and equals.others_wait(group):
            # equal requests are under way together that were not when they were recorded
            self.ambiguous += [p.step for p in group.parts if p.step not in self.ambiguous]
        return group

    def _assign(self, group: Group) -> None:
        """Match callers to parts by rank; callers that are not there yet leave the last ranks open."""
        group.assigned = True
        recorded = [Arrival(p.exchange.number, p.exchange.connection, p.exchange.reused) for p in group.parts]
        live = [Arrival(t.exchange.number, t.exchange.connection.number, t.exchange.reused) for t in group.waiting]
        recorded_rank, recorded_agrees = rank(recorded)
        live_rank, live_agrees = rank(live)
        if len(group.parts) > 1 and not (recorded_agrees and live_agrees and len(live) == len(recorded)):
            self.ambiguous += [p.step for p in group.parts if p.step not in self.ambiguous]
        for part_index, turn_index in zip(recorded_rank, live_rank, strict=False):
            self._give(group.parts[part_index], group.waiting[turn_index])
        left = [group.parts[i] for i in recorded_rank[len(live_rank) :]]
        group.waiting.clear()
        if left:
            own = self.script.groups[left[0].canonical.fingerprint].groups
            own.insert(own.index(group) + 1, Group(left))  # before equals that were asked later

    def _cut_short(self, turn: PlayedTurn, *, given_up: bool) -> Part | None:
        """The recorded request that was never complete and that this one is so far: the next of its lane, either
        answered once so much had been asked, or given up by its caller."""

        def is_due(part: Part) -> bool:
            was_given_up = part.exchange.ending is Ending.ABANDONED
            return part.unasked and given_up is was_given_up and (given_up or turn.size >= (part.exchange.cut or 0))

        due = [part for part in self.script.cut if is_due(part)]
        if not due:
            return None
        lane, body = self.lane_of(turn.exchange), b"".join(turn.body)
        for part in self.script.parts:
            is_candidate = part in due
            if part.lane != lane or not part.unasked or (part.exchange.cut is not None and not is_candidate):
                continue
            if not is_candidate and self._is_waited_for(part):
                continue
            if self.judge.begins(part, turn.exchange, turn.head, body[: part.exchange.cut]):
                return part if is_candidate else None  # a whole one that was asked before begins just so
        return None

    def _give(self, part: Part, turn: PlayedTurn) -> None:
        part.turn = turn
        turn.part = part
        self.served += 1
        if part.talk is not None:
            part.talk.asked = turn.head
            part.talk.hearing = self.judge.hearing(part, turn.head)
        if part.own:
            self._play_own(part, 0)

    def _play_own(self, part: Part, at: int) -> None:
        """Answer a caller that orders its answers itself; each piece leaves in a write of its own."""
        delivery = part.own[at]
        if not delivery.is_due:
            part.waiting = at
            return
        wait_ns = self._wait_ns(delivery) if self.speed else 0.0
        if wait_ns > 0:
            self._loop.call_later(wait_ns / 1e9, self._play_own, part, at)
            return
        self._deliver(delivery)
        if at + 1 < len(part.own):
            self._loop.call_soon(self._play_own, part, at + 1)

    def _serve_now(self, part: Part, turn: PlayedTurn) -> None:
        """Answer a part whose place in the order has passed."""
        self._give(part, turn)
        for delivery in self.script.deliveries:
            if delivery.part is part:
                self._deliver(delivery)

    # -- letting answers go

    def _pump(self) -> None:
        """Let go what may be let go now."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._step():
                pass
        finally:
            self._pumping = False

    def _step(self) -> bool:
        """Let go the next delivery, or arrange to be called again. True if there may be another at once."""
        if self._next >= len(self.script.deliveries):
            self._await_end()
            return False
        delivery = self.script.deliveries[self._next]
        part = delivery.part
        if part.skipped:
            self._next += 1
            return True
        if part.turn is None or not delivery.is_due:
            self._await(delivery)
            return False
        self._waiting_for = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._beforehand.holds(delivery):
            return False
        if self.speed and not self._due(delivery):
            return False
        if self._unrested is not None and self._unrested.part is not part:
            # nobody need read on in the middle of an answer; where somebody waits for it, it wakes a thread
            self._await_rest(self._unrested, read=delivery.gated and self._unrested.gated)
            return False
        if delivery.ending in RESETTING and not part.read:
            # a client that finds bytes and a reset at once may report the one or the other
            self._await_rest(delivery, read=True)
            return False
        self._next += 1
        more = not delivery.gated or delivery.ending is None
        self._deliver(delivery)
        if more and self._next < len(self.script.deliveries) and self.script.deliveries[self._next].part is part:
            # the next piece of the same stream leaves in a write of its own, so that its split point is kept
            self._loop.call_soon(self._pump)
            return False
        return True

    def _wait_ns(self, delivery: Delivery) -> float:
        """How long until it is due at the recorded pace."""
        part = delivery.part
        assert part.turn is not None  # noqa: S101  it has been asked
        since = (delivery.t_ns - part.exchange.opened_ns) / self.speed
        return since + part.turn.exchange.arrived_ns - monotonic_ns()

    def _due(self, delivery: Delivery) -> bool:
        wait_ns = self._wait_ns(delivery)
        if wait_ns <= 0:
            return True
        self._timer = self._loop.call_later(wait_ns / 1e9, self._timer_pump)
        return False

    def _timer_pump(self) -> None:
        self._timer = None
        self._pump()

    def _deliver(self, delivery: Delivery) -> None:
        part = delivery.part
        turn = part.turn
        part.left -= 1
        if turn is None or turn.gone:
            return
        data = delivery.data if part.talk is None else part.talk.answer(delivery.data)
        if turn.continued and data.startswith(_CONTINUE):
            data = data[len(_CONTINUE) :]
        if delivery.ending is Ending.ABANDONED:
            await_leaving(self, self._loop, turn, delivery)  # by itself, as it did
            return
        if data:
            turn.begun = True
            turn.caller.deliver(data)
            part.read = False
        if not part.own:
            others = len(self._open) > 1 or self._overlaps(delivery)
            is_within = self._unrested is not None and not delivery.gated  # that was an end or a beginning of its own
            self._unrested = (self._unrested if is_within else delivery) if others else None
        if delivery.ending is not None:
            self._close(turn, delivery.ending)

    def _overlaps(self, delivery: Delivery) -> bool:
        """Whether the next release belongs to an exchange that was already under way when this one was recorded."""
        for following in self.script.deliveries[self._next : self._next + 1]:
            if following.part is not delivery.part and following.part.exchange.opened_order < delivery.order:
                return True
        return False

    def ends(self, turn: PlayedTurn, divergence: Divergence) -> None:
        """A client that has had all there is does not go away."""
        if self._stopped is None:
            self._diverge(divergence, turn)
        self._close(turn, Ending.RESET)

    def _close(self, turn: PlayedTurn, how: Ending) -> None:
        self._open.discard(turn)
        turn.gone = True
        if how in RESETTING and turn.part is not None:
            turn.caller.finish(how, turn.part.exchange.detail)
        else:
            turn.caller.finish(how)

    def _await_rest(self, after: Delivery, *, read: bool) -> None:
        if self._cancel_rest is not None:
            return
        turn = after.part.turn
        ports = () if turn is None or not read else (turn.exchange.connection.peer[1],)
        self._cancel_rest = self.rest.when_resting(ports, partial(self._rested, after, read), REST_BOUND)

    def _rested(self, after: Delivery, read: bool, observed: bool) -> None:  # noqa: FBT001  the callback shape of Rest
        self._cancel_rest = None
        self._unrested = None
        after.part.read = after.part.read or read
        if not observed and after.ending not in RESETTING:
            self.order_unobserved += 1
        self._pump()

    # -- what does not come

    def _await(self, delivery: Delivery) -> None:
        """The next release belongs to an exchange that has not been asked yet. Wait, but never for ever."""
        if self._waiting_for is delivery:
            return
        self._waiting_for = delivery
        self._rested_since = 0
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        delivery = self._waiting_for
        if delivery is None or self._stopped is not None:
            return
        now = monotonic_ns()
        if not self.rest.resting(()):
            self._rested_since = 0
        elif not self._rested_since:
            self._rested_since = now
        rested_s = (now - self._rested_since) / 1e9 if self._rested_since else 0.0
        part = delivery.part
        if rested_s >= ASSIGN_SHORT_AFTER_S:
            group = self._short_group(part)
            if group is not None:
                self._assign(group)
                self._pump()
                return
        if rested_s >= MISSING_AFTER_S + self.script.gap_s(part):
            self._waiting_for = None
            if part.turn is not None and part.talk is not None:
                divergence = part.talk.ended() or self.judge.absent(part, swapped=False)
                self._stop(divergence, f"step {part.step} waits for what was not said")
                return
            part.overdue = part.skipped = True
            self._overdue.append(part)
            if not any(turn.part is not None for turn in self._open):
                self._stop(self.judge.absent(part, swapped=False), f"step {part.step} was not asked")
                self._overdue.remove(part)
                return
            self._pump()
            return
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def _short_group(self, part: Part) -> Group | None:
        equals = self.script.groups.get(part.canonical.fingerprint)
        for group in () if equals is None else equals.groups:
            if part in group.parts and not group.assigned and group.waiting:
                return group
        return None

    def _await_end(self) -> None:
        """The tape is at its end. Exchanges that were never answered in the recording are where it stopped."""
        if self._open and all(t.part is not None and t.part.exchange.ending is None for t in self._open):
            self.halt("the recording ends here")

    # -- what does not match

    def _miss(self, turn: PlayedTurn, canonical: Canonical, body: bytes) -> None:
        if canonical.fingerprint in self._refused:  # a retry of a miss is not a new divergence
            turn.caller.deliver(self._refused[canonical.fingerprint])
            self._close(turn, Ending.COMPLETE)
            return
        unasked = [p for p in self.script.parts if not self._is_asked(p)]
        used = [p for p in self.script.parts if not p.unasked]
        divergence, replaced = self.judge.divergence(canonical, self.lane_of(turn.exchange), unasked, used)
        if replaced is not None:
            replaced.changed = replaced.skipped = True
        self._diverge(divergence, turn)
        self._refuse(turn, canonical, body, divergence)
        self._pump()

    def _is_asked(self, part: Part) -> bool:
        return not part.unasked or self._is_waited_for(part)

    def _is_waited_for(self, part: Part) -> bool:
        equals = self.script.groups.get(part.canonical.fingerprint)
        return equals is not None and any(
            part in group.parts[: len(group.waiting)] for group in equals.groups if not group.assigned
        )

    def _refuse(self, turn: PlayedTurn, canonical: Canonical, body: bytes, divergence: Divergence) -> None:
        answer = self.judge.refusal(turn.exchange, turn.head, body, divergence)
        self._refused[canonical.fingerprint] = answer
        turn.caller.deliver(answer)
        self._close(turn, Ending.COMPLETE)

    def _diverge(self, divergence: Divergence, asker: PlayedTurn) -> None:
        self._note(divergence)
        if self.strict and self._stopped is None:
            self._stopped = divergence
            self._refuse_all_waiting(divergence, asker)
            self.halt("the replay diverged")

    def _note(self, divergence: Divergence) -> None:
        self.divergences.append(replace(divergence, at_ns=monotonic_ns()))

    def _stop(self, divergence: Divergence, reason: str) -> None:
        self._note(divergence)
        if self.strict:
            self._stopped = divergence
        self.halt(reason)

    def _refuse_all_waiting(self, divergence: Divergence, asker: PlayedTurn) -> None:
        """A strict replay serves nothing behind its first divergence, so nothing may wait for it either."""
        for turn in list(self._open):
            if turn is not asker and turn.part is not None and turn.part.talk is not None and turn.begun:
                self._hang_up(turn, divergence)
            elif turn is not asker and turn.whole and not turn.begun:
                answer = self.judge.refusal(turn.exchange, turn.head, b"", divergence)
                turn.caller.deliver(answer)
                self._close(turn, Ending.COMPLETE)

    # -- the end

    def finish(self) -> list[int]:
        """The child has ended. Adds `missing` for what was overdue; returns the steps that were left unplayed: nobody asked,
        or heard nothing of the answer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._cancel_rest is not None:
            self._cancel_rest()
        self._beforehand.close()
        for part in self._overdue:
            self._note(self.judge.absent(part, swapped=False))
        return [p.step for p in self.script.parts if p.unasked or p.unheard]

    def outcome(self) -> dict[str, Any]:
        """How the replay went, as JSON. What was not asked is apart: it may follow from what is known elsewhere, and of a
        strict replay the first of it says enough."""
        told = [*self._overdue, *self._given_up]
        left = [part for part in self.script.parts if part.unasked and part not in told]
        absent = [self.judge.absent(part, swapped=False) for part in (left[:1] if self.strict else left)]
        return {
            "served": self.served,
            "divergences": [self._as_json(each) for each in self.divergences],
            "missing": [self._as_json(replace(each, at_ns=monotonic_ns())) for each in absent],
            "ambiguous": self.ambiguous,
            "masks": [{"rule": rule, "count": count} for rule, count in sorted(self.masks.items())],
            "order_unobserved": self.order_unobserved,
        }

    def _as_json(self, divergence: Divergence) -> dict[str, Any]:
        return {**divergence.to_json(), "report": self.judge.report(divergence), "at_ns": divergence.at_ns}
