"""The programs that an agent started, as its processes wrote them down, and what those of its tools asked at the wire.

A program that a tool starts has no name of its own on the tape: what it does is a part of the tool's answer, and a replay does
not start it. What it asks over HTTP comes to the engine like anything else, and is known by the time: a tool ran, and no
program that stands on the tape did.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playhead.core.events import EventKind
from playhead.sessions.call import STEP_KINDS

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


def take_in_tools(recording: Recording) -> None:
    """Note of what programs of tools asked in the course of which call that was."""
    asked = [
        each
        for each in recording.exchanges
        if not each.lane_mark and each.lane in recording.lanes and "/" in recording.lanes[each.lane].key
    ]
    tools = [call for call in recording.calls if call.kind in STEP_KINDS]
    if not asked or not tools:
        return
    started = [each for events in recording.inside.values() for each in started_by(events)]
    for exchange in asked:
        if any(each.began_ns <= exchange.opened_ns <= each.ended_ns for each in started):
            continue  # it may be that one, which a replay starts again
        around = (each for each in tools if each.asked_ns <= exchange.opened_ns <= (each.told_ns or math.inf))
        exchange.within = next((each.call for each in around), 0)


def started_by(events: Iterable[Event]) -> list[Started]:
    """The programs that stand on the tape of one process."""
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
