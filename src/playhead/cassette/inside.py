"""What the agent's own processes wrote (their boundaries), as lines of a cassette, and back.

One line an event, as it is: what was asked and told where the session's content stands, clock reads and the order of
deliveries, which differ in every run, at the end, with a line for each process that says how all of them were mixed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from playhead.cassette.payload import hide, show
from playhead.core.events import Event, EventKind
from playhead.journal.processes import segment_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.cassette.limits import Budget
    from playhead.sessions.model import Recording

_VOLATILE = frozenset({EventKind.VALUES, EventKind.ORDER})
_LEFT_OUT = frozenset({EventKind.SEGMENT, EventKind.CLOSED})  # of the file that they stood in
_PAIR = struct.Struct("<II")
_KINDS = {kind.name.lower(): kind for kind in EventKind}
_MOST_NS = 1 << 62


def content_lines(recording: Recording) -> Iterator[dict[str, Any]]:
    """What was asked and told, in order, process by process."""
    for process, events in recording.inside.items():
        for event in events:
            if event.kind not in _VOLATILE | _LEFT_OUT:
                yield _line(process, event)


def when_lines(recording: Recording) -> Iterator[dict[str, Any]]:
    """What differs from run to run: values, order, times."""
    started = recording.started_ns
    for process, all_events in recording.inside.items():
        events = [event for event in all_events if event.kind not in _LEFT_OUT]
        for event in events:
            if event.kind in _VOLATILE:
                yield _line(process, event)
        times = [round((event.t_ns - started) / 1000) for event in events]
        yield {
            "inside_when": process,
            "at": [after - before for before, after in zip([0, *times], times, strict=False)],
            "apart": [place for place, event in enumerate(events) if event.kind in _VOLATILE],
            "whole": any(event.kind is EventKind.CLOSED for event in all_events),
        }


def _line(process: str, event: Event) -> dict[str, Any]:
    line: dict[str, Any] = {"inside": process, "event": event.kind.name.lower()}
    if event.subject:
        line["about"] = event.subject
    if event.flags:
        line["flags"] = int(event.flags)
    if event.meta:
        line["meta"] = event.meta
    if event.kind is EventKind.ORDER:
        line["order"] = [number for pair in _PAIR.iter_unpack(event.body) for number in pair]
    elif event.body:
        line |= show(event.body)
    return line


class InsideReader:
    """Takes the lines again; `events` gives each process's. Raises ValueError and its like for what no writer writes."""

    def __init__(self, budget: Budget, started_ns: int) -> None:
        self._budget = budget
        self._started_ns = started_ns
        self._content: dict[str, list[Event]] = {}
        self._volatile: dict[str, list[Event]] = {}
        self._lanes: set[tuple[str, int]] = set()
        self.events: dict[str, list[Event]] = {}

    def line(self, line: dict[str, Any]) -> None:
        """One event."""
        process, kind = _text(line["inside"]), _KINDS[line["event"]]
        segment_name(process)  # names become those of files
        if (kind < EventKind.ASK and kind is not EventKind.LANE) or process in self.events:
            raise ValueError("an event that no process writes")
        if kind is EventKind.ORDER:
            numbers = [_number(each, 1 << 32) for each in line["order"]]
            body = b"".join(_PAIR.pack(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True))
        else:
            body = hide({key: line[key] for key in ("json", "style", "text", "base64") if key in line})
        self._budget.take(len(body))
        meta = line.get("meta", {})
        if not isinstance(meta, dict):
            raise TypeError("a meta that is none")
        about = _number(line.get("about", 0), 1 << 32)
        if kind is EventKind.LANE:
            _text(meta["key"])
            self._lanes.add((process, about))
        elif kind is EventKind.ASK:
            _text(meta["kind"]), _text(meta["name"]), _number(meta["n"], 1 << 32)
            if (process, _number(meta["lane"], 1 << 32)) not in self._lanes:
                raise ValueError("a question of no lane")
        event = Event(kind, 0, 0, about, _number(line.get("flags", 0), 256), meta, body)
        (self._volatile if kind in _VOLATILE else self._content).setdefault(process, []).append(event)

    def when(self, line: dict[str, Any]) -> None:
        """How the events of a process were mixed, and when they were."""
        process = _text(line["inside_when"])
        content, volatile = iter(self._content.pop(process, ())), iter(self._volatile.pop(process, ()))
        apart = {_number(place, 1 << 31) for place in line["apart"]}
        t_ns, mixed = self._started_ns, []
        for place, step in enumerate(line["at"]):
            if type(step) is not int or abs(step) > _MOST_NS // 1000:
                raise ValueError("no time")
            t_ns += step * 1000
            event = next(volatile if place in apart else content, None)
            if event is None:
                raise ValueError("a time at which nothing happened")
            mixed.append(
                Event(
                    event.kind, place, t_ns, event.subject, event.flags, event.meta, event.body, segment_name(process)
                )
            )
        if next(content, None) is not None or next(volatile, None) is not None:
            raise ValueError("events that happened at no time")
        if line["whole"] is True:
            mixed.append(Event(EventKind.CLOSED, len(mixed), t_ns, segment=segment_name(process)))
        self.events[process] = mixed

    def finish(self) -> dict[str, list[Event]]:
        """The events by process; ValueError when the times of some are missing."""
        if self._content or self._volatile:
            raise ValueError("events that happened at no time")
        return self.events


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("something else where text was due")
    return value


def _number(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value < most:
        raise ValueError("no number of its kind")
    return value
