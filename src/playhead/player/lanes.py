"""Where in its lane a question stands that is not the one the recording has next.

    recorded  A B C      asked  A C      C is served, and B is missing if it does not come
                         asked  A C B    B is reordered
                         asked  A X      changed when X is another question to the same, else extra

An answer is given only to a question that equals the recorded one in everything, so passing over recorded calls serves
nothing wrong; it makes the difference between a call that is gone and one that comes later.
"""

from __future__ import annotations

from playhead.core.boundary import REQUEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playhead.core.boundary import Key, Outcome


class RecordedCall:
    """A call as its segment has it. `outcome` is None when none was written."""

    __slots__ = ("arguments", "is_passed", "key", "kind", "name", "number", "outcome")

    def __init__(self, number: int, key: Key, kind: str, name: str, arguments: bytes, *, is_passed: bool) -> None:
        self.number = number
        self.key = key
        self.kind = kind
        self.name = name
        self.arguments = arguments
        self.is_passed = is_passed
        self.outcome: Outcome | None = None


def first_behind(key: Key, calls: Iterable[RecordedCall], asked: set[Key]) -> RecordedCall | None:
    """What a lane asks first behind one of its acts: a request or a call of the process; None when it has come so far."""
    path, ordinal = key
    behind = [call for call in calls if call.key[0] == path and call.key[1] > ordinal]
    if any(call.key in asked for call in behind):
        return None
    return next((call for call in behind if call.kind == REQUEST or not call.is_passed), None)


class Lanes:
    """The recorded calls of a process by lane, and those that were passed over."""

    def __init__(self, calls: Iterable[RecordedCall]) -> None:
        self._lanes: dict[str, list[RecordedCall]] = {}
        for call in calls:
            self._lanes.setdefault(call.key[0], []).append(call)
        self._passed: dict[str, list[RecordedCall]] = {}

    def passed(self, lane: str, is_it: Callable[[RecordedCall], bool]) -> RecordedCall | None:
        """The call that was passed over and is asked now: not missing any more."""
        calls = self._passed.get(lane, [])
        found = next((call for call in calls if is_it(call)), None)
        if found is not None:
            calls.remove(found)
        return found

    def further_on(self, key: Key, is_it: Callable[[RecordedCall], bool]) -> RecordedCall | None:
        """The first such call behind that place of its lane."""
        lane, ordinal = key
        return next((call for call in self._lanes.get(lane, ()) if call.key[1] > ordinal and is_it(call)), None)

    def pass_over(self, key: Key, until: Key) -> None:
        """The program went on from `until`, where it was due at `key`."""
        lane = key[0]
        between = [call for call in self._lanes[lane] if key[1] <= call.key[1] < until[1]]
        self._passed.setdefault(lane, []).extend(between)

    def missing(self) -> list[RecordedCall]:
        """What was passed over; the wire says it of its own requests."""
        return [call for calls in self._passed.values() for call in calls if not call.is_passed]
