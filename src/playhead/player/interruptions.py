"""Where handlers of signals ran in the recorded lanes, and are run in a replay."""

from __future__ import annotations

from _thread import get_ident

from playhead.core.boundary import RAISED, SIGNAL, WITHIN, handlers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from playhead.core.boundary import Key, Lane


class Interruptions:
    """The lanes of one process that were interrupted, by their paths. All of this is called in the thread of the lane, if
    there are `lanes`."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}

    def add(self, lane: Lane) -> None:
        """A lane begins; its values say whether a handler ran in it."""
        if SIGNAL in lane.values:
            self.lanes[lane.path] = lane

    def before(self, key: Key) -> Key:
        """Run what ran before the lane did that, and return the key that it has then: the handler's acts come first. Raises
        what a handler raises."""
        lane = self.lanes.get(key[0])
        while lane is not None and (due := self.due(lane)) is not None and due < key[1]:
            lane.asked -= 1
            self.run(lane)
            key = lane.next_key()
        return key

    def during(self, key: Key) -> None:
        """Run what ran before the lane had done that: it waited."""
        lane = self.lanes.get(key[0])
        while lane is not None and (due := self.due(lane)) is not None and due <= key[1]:
            self.run(lane)

    def within(self, key: Key) -> None:
        """Run what ran in the real work of that call."""
        path, ordinal = key
        lane = self.lanes.get(path)
        while lane is not None and self.due(lane) == ordinal and lane.values[lane.read + 1].endswith(WITHIN):
            self.run(lane)

    def here(self) -> None:
        """This thread is about to wait: run what ran when it had done so much."""
        for lane in self.lanes.values():
            while lane.thread == get_ident() and self.came(lane):
                pass

    def came(self, lane: Lane) -> bool:
        """Run the handler that is next in the lane, if it ran just here; whether it did."""
        if self.due(lane) != lane.asked:
            return False
        self.run(lane, is_real=True)
        return True

    def due(self, lane: Lane) -> int | None:
        """What the lane had done when the handler ran that is next in it; None when no handler is."""
        at = lane.read
        values = lane.values
        if at >= len(values) or values[at] != SIGNAL or values[at + 1] == RAISED:
            return None
        return int(values[at + 1].split(" ")[1])

    def run(self, lane: Lane, *, is_real: bool = False) -> None:
        """Run the handler that is next. One that the agent does not set any more is passed over, and what it read differs.
        What it raised in the real work of a call is recorded as what came of that, unless the work itself `is_real`."""
        number = int(lane.values[lane.read + 1].split(" ")[0])
        lane.read += 2
        handler = handlers.get(number)
        if handler is None:
            return
        try:
            handler.again(number)
        except BaseException:
            at = lane.read
            if lane.values[at : at + 2] != [SIGNAL, RAISED]:
                raise
            lane.read = at + 2
            if is_real:
                raise
