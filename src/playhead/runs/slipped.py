"""What slipped past the boundaries of a run's Pythons (capture.boundary.alarm): notes of a recording, leaks of a replay."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playhead.matching.divergence import Divergence, DivergenceClass
from playhead.sessions.call import lane_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

PLACE = "place"
DATAGRAM = "datagram"

_SHOWN = 12

_NOTES = {
    "file": "{at}reads {name} past the tape ({by}): a replay reads the file that is there then",
    "database": "{at}opens the database {name}, which is not on the tape: a replay reads what it holds then",
    "program": "{at}starts a program past the tape ({by}), which a replay starts again: {name}",
    "name": "{at}looks up {name} past the tape ({by}): a replay has no answer to it",
    DATAGRAM: "{at}sends datagrams to {name}, past the recorder",
}
_SEEN = {
    "file": "{by} of {name}",
    "database": "the database {name} was opened",
    "program": "{by}: {name}",
    "name": "{by} of {name}",
    DATAGRAM: "datagrams to {name}",
    PLACE: "a connection to {name}",
}


@dataclass(frozen=True, slots=True)
class Slip:
    """One thing that slipped past: `what` it is, its `name`, `by` which audit event and at which line of the agent's code
    (`at`, "" when unknown)."""

    what: str
    name: str
    by: str
    at: str
    of: str  # the process that asked for it

    @property
    def note(self) -> str:
        """What `record` says of it."""
        return _NOTES[self.what].format(at=f"{self.at}: " if self.at else "", name=self.name, by=self.by)

    @property
    def place(self) -> str:
        """As an element of `leaked` in a replay's summary."""
        return self.name if self.what in (PLACE, DATAGRAM) else f"{self.what} {self.name}"

    @property
    def seen(self) -> str:
        """What the process did."""
        return _SEEN[self.what].format(name=self.name, by=self.by) + (f" at {self.at}" if self.at else "")

    def divergence(self) -> dict[str, Any]:
        """As an element of `divergences` in a replay's summary."""
        return Divergence(DivergenceClass.LEAKED, lane=lane_label(self.of, "0"), observed=self.seen).to_json()


def report(slips: Sequence[Slip]) -> str:
    """What `replay` says of them; "" of none."""
    if not slips:
        return ""
    more = [f"  and {len(slips) - _SHOWN} more"] if len(slips) > _SHOWN else []
    seen = [f"  seen:     {slip.seen}" for slip in slips[:_SHOWN]]
    todo = (
        "  next:     read files by `open`, ask for the rest in a function under @playhead.tool or by playhead.boundary"
    )
    return "\n".join(["leaked: the run reached past the tape", *seen, *more, todo])


def slips(
    folder: Path, taped: Iterable[str], *, knows: Callable[[str, int], bool], refused: tuple[str, ...] = ()
) -> list[Slip]:
    """What the processes of a run left word of, each once; the lines are taken away. Left out are programs that turned out
    to have a tape of their own, by the names of processes that are `taped`, and places that somebody else `knows` of: for
    connections, and for what is `refused` as they are."""
    known = tuple(taped)
    found: dict[tuple[str, str], Slip] = {}
    for mark in sorted(folder.glob("*.slipped")):
        for line in mark.read_bytes().splitlines():
            try:
                facts = json.loads(line)
                slip = Slip(facts["what"], facts["name"], facts["by"], facts["at"], mark.stem)
                process = str(facts.get("process", ""))
            except (ValueError, KeyError, TypeError):
                continue  # cut off by a kill
            if slip.what not in _SEEN or (process and _has_tape(process, known)):
                continue
            if slip.what in (PLACE, *refused) and knows(*_split(slip.name)):
                continue
            found.setdefault((slip.name, slip.by), slip)
        mark.unlink(missing_ok=True)
    return list(found.values())


def _has_tape(process: str, known: tuple[str, ...]) -> bool:
    """Whether it, what it became or one that it started is on the tape: `0.1`, `0.1+2`, `0.1.3`; `0+` is what the first
    process became."""
    if process.endswith("+"):
        return any(name.startswith(process) for name in known)
    return any(name == process or name.startswith((f"{process}+", f"{process}.")) for name in known)


def _split(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0
