"""Which of the programs that an agent started are a part of it: a replay starts those again, and no other.

One that has a tape of its own, or started one that has, is known by its name. One that asked something at the wire is not:
requests without the mark of a tape are known by the time at which they were made. Every program that ran then runs again;
if one of them is the program that asked, by its command line, only that does.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playhead.core.events import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playhead.core.events import Event
    from playhead.sessions.model import Recording


@dataclass(slots=True)
class Started:
    """A program, from when to when it ran (monotonic nanoseconds), and its command line; infinity: nobody saw its end."""

    process: str
    argv: list[str]
    began_ns: float
    ended_ns: float = math.inf


def running_again(recording: Recording) -> set[str]:
    """The names of the programs that a replay starts."""
    started = [each for events in recording.inside.values() for each in _started(events)]
    families = {name for process in recording.inside for name in _family(process)}
    again = {each.process for each in started if each.process in families}
    for exchange in recording.exchanges:
        lane = recording.lanes.get(exchange.lane)
        if exchange.lane_mark or exchange.within or lane is None or "/" not in lane.key:
            continue
        running = [each for each in started if each.began_ns <= exchange.opened_ns <= each.ended_ns]
        own = [each for each in running if each.argv[-1:] and each.argv == lane.argv]
        again |= {each.process for each in own or running}
    return again


def _family(process: str) -> Iterable[str]:
    """The name of a process, and of all above it: `0.2.1+2` is below `0.2.1`, which is below `0.2`."""
    while process:
        yield process
        above = re.sub(r"(\.f?[0-9]+|\+[0-9]+)$", "", process)
        process = above if above != process else ""


def _started(events: Iterable[Event]) -> list[Started]:
    asked: dict[int, Event] = {}
    found: dict[str, Started] = {}
    for event in events:
        if event.kind is EventKind.ASK and event.meta.get("kind") == "subprocess":
            asked[event.subject] = event
        elif event.kind is EventKind.TOLD and event.subject in asked and not event.meta.get("raised"):
            question = asked.pop(event.subject)
            told, facts = _json(event.body), _json(question.body)
            if isinstance(told, dict) and isinstance(facts, dict) and "process" in told:
                argv = [each for each in facts.get("argv", ()) if isinstance(each, str)]
                process = str(told["process"])
                found[process] = Started(process, argv, question.t_ns)
            elif isinstance(facts, dict) and facts.get("of") in found and _tells_end(told):
                found[facts["of"]].ended_ns = event.t_ns
    return list(found.values())


def _tells_end(told: object) -> bool:
    """Whether it is, or ends in, a return code: `wait` tells that, `communicate` [stdout, stderr, code]."""
    return isinstance(told, int) or (isinstance(told, list) and len(told) == 3 and isinstance(told[2], int))


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None
