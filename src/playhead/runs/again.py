"""Which of the programs that an agent started are a part of it: a replay starts those again, and no other.

One that has a tape of its own, or started one that has, is known by its name. One that asked something at the wire is not:
requests without the mark of a tape are known by the time at which they were made. Every program that ran then runs again;
if one of them is the program that asked, by its command line, only that does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playhead.sessions.programs import started_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playhead.sessions.model import Recording


def running_again(recording: Recording) -> set[str]:
    """The names of the programs that a replay starts."""
    started = [each for events in recording.inside.values() for each in started_by(events)]
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
