"""Writes what happens at the boundaries inside one process of the agent into that process's own segment.

Clock reads and the order of deliveries are kept in memory and written, in one record each, before the next question
leaves, before any other record, and at the end: nothing is asked on the strength of what is not written. Under `fsync` a
question that may change something leaves, and an answer is given, once the device has its record and those before it. A
disk that fails does not fail the agent; the recording says that it is incomplete from there.
"""

from __future__ import annotations

import _thread
import struct
from collections import deque

from playhead.core import compact, numbers
from playhead.core.boundary import NAME_LENGTH, Diverged, Lane, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.core.boundary import Call, Key, Station, Then
    from playhead.core.redact import Redactor
    from playhead.journal.segment import SegmentWriter
    from playhead.journal.shared_sync import SharedSync

VALUES_KEPT = 4096
"""Kinds and values of one lane that may wait in memory; more are written."""

ORDER_KEPT = 4096
"""Places in the order that may wait in memory."""

NAMES_KEPT = 1000
"""Names of calls whose redacted form is remembered."""

HARMLESS = ("pure", "read")
"""Effects of calls that change nothing: under `fsync` they do not wait for their own record."""

CHANGES_NOTHING = ("sleep", "file")
"""Kinds of calls that do not either."""

_PAIR = struct.Struct("<II")


class AgentRecorder:
    """The recorder among the boundary tapes. `redactor` is made on first use: loading its rules takes longer than most
    starts of Python. `failed` hears once of a disk that takes no more."""

    live = True
    rests = None
    diverged: Diverged | None = None

    def __init__(
        self,
        writer: SegmentWriter,
        redactor: Callable[[], Redactor],
        failed: Callable[[OSError], None] = lambda _error: None,
    ) -> None:
        self._writer = writer
        self._make_redactor = redactor
        self._redactor: Redactor | None = None
        self._failed = failed
        self._is_down = False
        # not from `threading`, whose locks may be the agent's; a signal handler may call a tool while it is held
        self._mutex = _thread.RLock()
        self._shared: SharedSync | None = None
        if writer.waits:
            from playhead.journal.shared_sync import SharedSync  # here: most agents need none

            self._shared = SharedSync(writer, self._mutex, self._down)
        self._is_over = False
        self._unwritten: list[Lane] = []  # those with values, some twice
        self._order: list[tuple[Lane, int]] = []
        self._lanes: dict[str, Lane] = {}
        self._named = 0
        self._calls = 0
        self._marks = 0
        self._names: dict[str, str] = {}
        self._asked: dict[tuple[str, str, str, bool], bytes] = {}
        self._waiting: dict[Station, deque[_Completion]] = {}
        self._ready: dict[Station, deque[_Completion]] = {}
        self._withdrawn: set[Key] = set()

    # -- lanes and values

    def lane(self, path: str) -> Lane:
        lane = self._lanes[path] = Lane(path)
        return lane

    def value(self, lane: Lane, kind: str, read: Callable[[], Any]) -> Any:
        value = read()
        values = lane.values
        was_empty = not values
        values += (kind, value)
        count = len(values)
        # another thread may write meanwhile, and take them away; a signal's handler may read, and add to them
        if was_empty or count == 2:
            self._unwritten.append(lane)
        elif count > VALUES_KEPT:
            self._write_out()
        return value

    def is_next(self, lane: Lane, kind: str) -> bool:  # noqa: ARG002  the port's
        return False

    # -- calls

    def ask(self, call: Call, then: Then | None = None) -> bool:
        with self._mutex:
            self._calls += 1
            call.number = self._calls
            arguments = self._clean(call.arguments)
            meta = b'{"lane":%d,"n":%d,%b' % (self._introduced(call.lane), call.key[1], self._asked_as(call))
            self._append(numbers.ASK, call.number, arguments, meta, _redacted(arguments, call.arguments))
            shared = self._shared
            if shared is None:
                return True
            if call.is_passed or call.effect in HARMLESS or call.kind in CHANGES_NOTHING:
                self._settle()
                return True
            written = self._writer.seq
        if then is not None:
            return shared.when(written, then)
        shared.wait(written)
        return True

    def settle(self, call: Call, outcome: Outcome | None) -> Outcome:
        assert outcome is not None  # noqa: S101  a recorder is asked after the world was
        with self._mutex:
            if call.is_passed:
                self._order.append((call.lane, call.key[1]))
                return outcome
            if self._shared is None:
                self._told(call, outcome, numbers.AS_TOLD)
                return outcome
            self._told(call, outcome)
            written = self._writer.seq
        self._shared.wait(written)
        self._order.append((call.lane, call.key[1]))  # now: threads are not let go in the order in which they wrote
        return outcome

    def foretold(self, call: Call) -> Outcome | None:  # noqa: ARG002  the port's
        return None

    def refuse(self, call: Call, why: str, *, seen: str = "") -> BaseException:  # noqa: ARG002  the port's
        return Diverged(f"playhead: {why}", {"lane": call.key[0], "n": call.key[1]})

    def turn(self, key: Key, kind: str, lock: Any = None) -> None:  # noqa: ARG002  the port's
        if lock is not None:
            lock.acquire()
        self._order.append((self._lanes[key[0]], key[1]))
        if len(self._order) > ORDER_KEPT:
            self._write_out()

    def foreseen(self, key: Key) -> bool:  # noqa: ARG002  the port's
        return True

    # -- completions of event loops

    def completed(
        self,
        call: Call | None,
        key: Key,
        outcome: Outcome | None,
        deliver: Callable[[Outcome | None], None],
        station: Station,
    ) -> None:
        came = _Completion(call, key, outcome, deliver)
        with self._mutex:
            if key in self._withdrawn:  # the work was over, and its caller cancelled before that was known
                self._withdrawn.discard(key)
                return
            is_over = self._is_over
            if not is_over:
                waiting = self._waiting.get(station)
                if waiting is None:
                    waiting = self._waiting[station] = deque()
                waiting.append(came)
        if is_over:
            station.hand_over(came.go)
        else:
            station.wake()

    def next(self, station: Station, turn: Key | None = None) -> Callable[[], None] | None:
        if self._shared is None:
            return self._told_now(station, turn) if station in self._waiting else None
        ready = self._ready.get(station)
        while ready or (station in self._waiting and (ready := self._told_all(station))):
            each = ready.popleft()
            if each.key in self._withdrawn:
                self._withdrawn.discard(each.key)
                continue
            if turn is not None:
                self._order.append((self._lanes[turn[0]], turn[1]))
            self._order.append((self._lanes[each.key[0]], each.key[1]))
            self._shared.rest(is_at_rest=False)
            return each.go
        self._shared.rest(is_at_rest=turn is None)
        return None

    def _told_now(self, station: Station, turn: Key | None) -> Callable[[], None] | None:
        """Write what is delivered now, and with it its place in the order."""
        with self._mutex:
            came = self._waiting[station]
            if not came:
                del self._waiting[station]
                return None
            each = came.popleft()
            if turn is not None:
                self._order.append((self._lanes[turn[0]], turn[1]))
            call = each.call
            if call is None or each.outcome is None or call.is_passed:
                self._order.append((self._lanes[each.key[0]], each.key[1]))
            else:
                self._told(call, each.outcome, numbers.AS_TOLD)
        return each.go

    def _told_all(self, station: Station) -> deque[_Completion] | None:
        """Write all that came for that loop; what of it is durable at once."""
        with self._mutex:
            came = self._waiting.pop(station)
            for each in came:
                if each.call is not None and each.outcome is not None:
                    self._told(each.call, each.outcome)
            written = self._writer.seq
        assert self._shared is not None  # noqa: S101  else nothing waits
        if self._shared.when(written, lambda: self._came(station, came)):
            self._ready.setdefault(station, deque()).extend(came)
        return self._ready.get(station)

    def idle(self, station: Station) -> None:
        """The world may always have something more."""

    def _came(self, station: Station, came: deque[_Completion]) -> Callable[[], None]:
        """Durable now: what wakes the loop. Not under the mutex, whose holder may wait for the thread that calls this."""
        self._ready.setdefault(station, deque()).extend(came)
        return station.wake

    def withdraw(self, key: Key) -> bool:
        with self._mutex:
            for queue in self._waiting.values():
                for each in queue:
                    if each.key == key:
                        queue.remove(each)
                        return True
            self._withdrawn.add(key)
        return True

    def clean(self, data: bytes) -> bytes:
        with self._mutex:
            return self._clean(data)

    def close(self) -> None:
        if self._shared is not None:
            self._shared.close()
        with self._mutex:
            try:
                self._flush()
                self._writer.close()
            except OSError as error:
                self._down(error)
            self._is_down = self._is_over = (
                True  # a thread that goes on writes nothing into what has another's number now
            )
            left = [
                (station, each)
                for queues in (self._ready, self._waiting)
                for station in queues
                for each in queues[station]
            ]
            self._ready, self._waiting = {}, {}
        for station, each in left:
            if each.key not in self._withdrawn:
                station.hand_over(each.go)

    def forget(self) -> None:
        """In a forked child: the segment is the parent's."""
        self._writer.forget()

    def flush(self) -> None:
        """Write what waits in memory, and under `fsync` return once the device has it. Never raises."""
        written = self._write_out()
        if self._shared is not None:
            self._shared.wait(written)

    def leaving(self, lane: Lane) -> None:
        written = self._write_out(lane)
        if self._shared is not None:
            self._shared.wait(written)

    def _write_out(self, lane: Lane | None = None) -> int:
        """Write what waits in memory, and the name of that lane; the records written until then. What another thread is just
        writing has been written as well."""
        with self._mutex:
            if lane is not None:
                self._introduced(lane)
            try:
                self._flush()
            except OSError as error:
                self._down(error)
            self._settle()
            return self._writer.seq

    def interrupted(self, lane: Lane) -> bool:  # noqa: ARG002  the port's
        return False

    def mark(self, lane: Lane, what: str, name: str, number: int, body: Callable[[], bytes]) -> int:
        data = body()
        with self._mutex:
            if not number:
                self._marks += 1
                number = self._marks
            cleaned = self._clean(data)
            meta = {"lane": self._introduced(lane), "what": what, "name": self._name(name), "n": number}
            self._append(numbers.MARK, 0, cleaned, meta, _redacted(cleaned, data))
            self._settle()
        return number

    # -- writing; the mutex is held

    def _told(self, call: Call, outcome: Outcome, flags: int = 0) -> None:
        if call.is_passed:
            return
        body = self._clean(outcome.body)
        flags |= _redacted(body, outcome.body)
        self._append(numbers.TOLD, call.number, body, b'{"raised":true}' if outcome.raised else b"{}", flags)

    def _append(self, kind: int, subject: int, body: bytes, meta: dict[str, Any] | bytes, flags: int = 0) -> None:
        if self._is_down:
            return
        try:
            self._flush()
            self._writer.append(kind, subject, body, meta=meta, flags=flags)
        except OSError as error:
            self._down(error)

    def _settle(self) -> None:
        """Under `fsync`, where what is appended is held until somebody waits for it: have it written."""
        if self._shared is not None and not self._is_down:
            try:
                self._writer.settle()
            except OSError as error:
                self._down(error)

    def _flush(self) -> None:
        if self._is_down:
            while self._unwritten:
                self._unwritten.pop().values.clear()
            self._order.clear()
            return
        if self._unwritten:
            by_lane = self._take_values()
            if by_lane:
                body = compact.dump(by_lane).encode()
                self._writer.append(numbers.VALUES, 0, body)
        count = len(self._order)
        if count:
            order = self._order[:count]
            del self._order[:count]
            body = b"".join([_PAIR.pack(self._number(lane), ordinal) for lane, ordinal in order])
            self._writer.append(numbers.ORDER, 0, body)

    def _take_values(self) -> list[tuple[int, list[Any]]]:
        """What lanes have read, each under its number. Their threads go on reading meanwhile."""
        taken = []
        still = []
        while self._unwritten:
            lane = self._unwritten.pop()
            count = len(lane.values)
            values = lane.values[:count]
            del lane.values[:count]
            if lane.values:
                still.append(lane)
            if values:
                for at in range(1, count, 2):
                    if type(values[at]) is str:
                        values[at] = self._text(values[at])
                taken.append((self._number(lane), values))
        self._unwritten += still
        return taken

    def _introduced(self, lane: Lane) -> int:
        """The number of the lane, which is written when it is new. A disk that takes no more fails nobody."""
        if not lane.number and not self._is_down:
            try:
                self._number(lane)
            except OSError as error:
                self._down(error)
        return lane.number

    def _number(self, lane: Lane) -> int:
        if not lane.number:
            self._named += 1
            lane.number = self._named
            self._writer.append(numbers.LANE, lane.number, meta={"key": lane.path})
        return lane.number

    def _clean(self, data: bytes) -> bytes:
        if len(data) < 8:
            return data
        if self._redactor is None:
            self._redactor = self._make_redactor()
        return self._redactor.forms(data)

    def _asked_as(self, call: Call) -> bytes:
        """The meta of a call behind its place. A program asks by few names, and often."""
        asked = call.kind, call.name, call.effect, call.is_passed
        known = self._asked.get(asked)
        if known is None:
            meta: dict[str, Any] = {"kind": call.kind, "name": self._name(call.name)}
            if call.effect:
                meta["effect"] = call.effect
            if call.is_passed:
                meta["passed"] = True
            known = compact.dump(meta).encode()[1:]
            if len(self._asked) < NAMES_KEPT:
                self._asked[asked] = known
        return known

    def _name(self, name: str) -> str:
        """A program asks by few names, and often."""
        known = self._names.get(name)
        if known is None:
            known = self._text(name)[:NAME_LENGTH]
            if len(self._names) < NAMES_KEPT:
                self._names[name] = known
        return known

    def _text(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) < 8:
            return value
        return self._clean(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _down(self, error: OSError) -> None:
        if not self._is_down:
            self._is_down = True
            self._failed(error)


def _redacted(clean: bytes, data: bytes) -> int:
    """The flag of a body which redaction changed."""
    return 0 if clean is data else numbers.REDACTED


class _Completion:
    __slots__ = ("call", "deliver", "key", "outcome")

    def __init__(
        self, call: Call | None, key: Key, outcome: Outcome | None, deliver: Callable[[Outcome | None], None]
    ) -> None:
        self.call = call
        self.key = key
        self.outcome = outcome
        self.deliver = deliver

    def go(self) -> None:
        self.deliver(self.outcome)
