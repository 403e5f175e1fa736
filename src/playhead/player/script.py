"""The script of a replay: what was asked, in groups of equals, and what was released, in the order it was released."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from playhead.core.events import RESETTING, Ending, Flag
from playhead.player.talk import Talk, is_talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playhead.matching.fingerprint import Canonical
    from playhead.player.turn import PlayedTurn
    from playhead.sessions.model import RecordedExchange, Recording


@dataclass(slots=True, eq=False)
class Part:
    """One recorded exchange in a replay: what it was, and what has become of it."""

    exchange: RecordedExchange
    canonical: Canonical
    lane: str
    turn: PlayedTurn | None = None  # the live exchange it was given to
    left: int = 0  # deliveries still to come
    skipped: bool = False  # its deliveries are passed over
    overdue: bool = False  # the agent did not ask it when its turn had come
    passed_by: str = ""  # the lane that asked something behind it instead
    changed: bool = False  # a live request differed from it and was refused
    own: list[Delivery] = field(default_factory=list)  # its deliveries, where the caller itself orders them
    waiting: int = -1  # which of them waits for what the client says
    talk: Talk | None = None  # what it says, where it is a websocket
    read: bool = False  # the caller was seen at rest after the last of it
    unheard: bool = False  # its caller went away before it had anything of the answer, and had not when it was recorded

    @property
    def step(self) -> int:
        return self.exchange.number

    @property
    def answered_order(self) -> int:
        """When its caller had the first of the answer; behind everything for one without."""
        return self.exchange.chunks[0].order if self.exchange.chunks else sys.maxsize

    @property
    def unasked(self) -> bool:
        """Whether it could still be given to a live exchange."""
        return self.turn is None and not self.changed

    def is_settled(self, lane: str) -> bool:
        """Whether no request of that other lane can stand for it: of callers that order their answers, each asks what it asked
        in the recording. Of several processes any may take it, and so may a library's threads."""
        is_loose = _is_anybodys(lane) or _is_anybodys(self.lane)
        return bool(self.own) and not is_loose and process_of(self.lane) == process_of(lane)


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One release: bytes of an answer, its end, or both. `gated` = it could race with another completion; `needs`: what the
    client of a websocket must have said before."""

    part: Part
    order: int
    t_ns: int
    data: bytes
    ending: Ending | None
    gated: bool
    needs: int = 0

    @property
    def is_due(self) -> bool:
        """Whether its client has said what it must have."""
        talk = self.part.talk
        return talk is None or talk.heard >= self.needs


@dataclass(slots=True, eq=False)
class Group:
    """Equal requests that were under way together: which answer belongs to which caller is decided by rank once all
    of them have been asked."""

    parts: list[Part]
    waiting: list[PlayedTurn] = field(default_factory=list)
    assigned: bool = False

    @property
    def is_full(self) -> bool:
        return len(self.waiting) >= len(self.parts)

    @property
    def is_free(self) -> bool:
        """Whether another caller may join it."""
        first = self.parts[0]
        return not self.assigned and not self.is_full and first.unasked and not first.overdue


@dataclass(slots=True, eq=False)
class Equals:
    """The groups of one fingerprint in order; those in front that are assigned are forgotten, or an agent that asks the same
    thousands of times would be answered slower each time. `lanes`: of all that there ever were; `is_shared`: some of them
    were groups of several."""

    groups: deque[Group] = field(default_factory=deque)
    lanes: set[str] = field(default_factory=set)
    is_shared: bool = False

    def next_free(self, lane: Callable[[], str]) -> Group | None:
        """The first group that has room, of this lane if there is one and lanes differ."""
        groups = self.groups
        while groups and groups[0].assigned:
            groups.popleft()
        first = next((group for group in groups if group.is_free), None)
        if first is None or len(self.lanes) == 1:
            return first
        own = lane()
        return next((group for group in groups if group.is_free and group.parts[0].lane == own), first)

    def others_wait(self, group: Group) -> bool:
        """Whether callers wait in another group than this one."""
        return self.is_shared and any(g is not group and not g.assigned and g.waiting for g in self.groups)


@dataclass(slots=True, eq=False)
class Script:
    """All parts by step, their deliveries in recorded order, and the groups of each fingerprint in order."""

    parts: list[Part]
    deliveries: list[Delivery]
    groups: dict[str, Equals]
    cut: list[Part] = field(default_factory=list)  # whose requests were never complete: in no group
    lanes: dict[str, deque[Part]] = field(default_factory=dict)  # of callers that order their answers: what each asked

    def gap_s(self, part: Part) -> float:
        """Seconds that passed in the recording between the release before and this request."""
        before = self._releases_before(part)
        return (part.exchange.opened_ns - self.deliveries[before - 1].t_ns) / 1e9 if before else 0.0

    def pause_s(self, part: Part) -> float:
        """Seconds that passed between whatever came before, a release or another request, and this request."""
        before = self._releases_before(part)
        acts = [self.deliveries[before - 1].t_ns] if before else []
        exchange = part.exchange
        acts += [p.exchange.opened_ns for p in self.parts if p.exchange.opened_order < exchange.opened_order]
        return (exchange.opened_ns - max(acts)) / 1e9 if acts else 0.0

    def _releases_before(self, part: Part) -> int:
        return bisect_left(self.deliveries, part.exchange.opened_order, key=lambda each: each.order)

    def passed_over(self, part: Part, lane: str) -> list[Part]:
        """What a caller that orders its answers itself should have asked before it asked `part` in `lane`: it holds for its
        lane that what it asked behind an answer comes behind that answer. They are overdue from now on, unless another process
        asks them: which of several takes what is the machine's."""
        if not part.own or lane not in self.lanes:
            return []
        due = self.lanes[lane]
        while due and not due[0].unasked:
            due.popleft()
        if part.lane == lane:
            missed = [each for each in due if each.answered_order < part.exchange.opened_order]
        elif not part.is_settled(lane):
            missed = []
        else:  # the other lane's: what this one asks next
            missed = list(due)[:1]
        missed = [each for each in missed if each.unasked and not each.overdue and each is not part]
        for each in missed:
            each.overdue, each.passed_by = True, lane
        return missed


def write_script(
    recording: Recording, canonicals: Iterable[tuple[RecordedExchange, Canonical]], *, in_process: bool = False
) -> Script:
    """The script of a recording. Exchanges that cannot be played (other protocols, requests that nobody knows) are not in it;
    answers that their callers order themselves are not in the common order: with `in_process` all of them, connection
    errors too, which do not race the bytes before them there."""
    parts = [
        Part(e, canonical, recording.lane_of(e), talk=Talk(e) if is_talk(e) else None) for e, canonical in canonicals
    ]
    deliveries: list[Delivery] = []
    for part in parts:
        own = list(_deliveries(part))
        part.left = len(own)
        if in_process or (part.exchange.orders and part.exchange.ending not in RESETTING):
            part.own = own
        else:
            deliveries += own
    deliveries.sort(key=lambda d: d.order)
    whole = [part for part in parts if part.exchange.cut is None]
    lanes: dict[str, deque[Part]] = {}
    for part in sorted(whole, key=lambda p: p.exchange.opened_order):
        if part.own:
            lanes.setdefault(part.lane, deque()).append(part)
    return Script(parts, deliveries, _grouped(whole), [part for part in parts if part.exchange.cut is not None], lanes)


def process_of(lane: str) -> str:
    """The process of a lane, from what people call it."""
    return lane.partition(":")[0] if lane.startswith("0.") else "0"


def _is_anybodys(lane: str) -> bool:
    """Whether threads of a library, or unknown ones, have that lane: any of them may do the work of another."""
    return any(step[:1] in ("b", "?") and not step[1:].strip("0123456789") for step in lane.split("/"))


def _deliveries(part: Part) -> Iterable[Delivery]:
    exchange = part.exchange
    if part.talk is not None:
        for at, release in enumerate(part.talk.releases):
            yield Delivery(part, *release[:3], ending=None, gated=not at, needs=release.needs)
        if exchange.ending is not None:
            order, t_ns, needs = exchange.ended_order, exchange.ended_ns, part.talk.needs
            yield Delivery(part, order, t_ns, b"", exchange.ending, gated=True, needs=needs)
        return
    seen = False
    for chunk in exchange.chunks:
        last = bool(chunk.flags & Flag.LAST)
        yield Delivery(
            part, chunk.order, chunk.t_ns, chunk.data, Ending.COMPLETE if last else None, gated=last or not seen
        )
        seen = True
    if exchange.ending is not None and not (exchange.chunks and exchange.chunks[-1].flags & Flag.LAST):
        yield Delivery(part, exchange.ended_order, exchange.ended_ns, b"", exchange.ending, gated=True)


def _grouped(parts: list[Part]) -> dict[str, Equals]:
    """Parts of one fingerprint and lane are one group as long as each was asked before any of them was answered."""
    groups: dict[str, Equals] = {}
    newest: dict[tuple[str, str], Group] = {}
    answered_at: dict[tuple[str, str], int] = {}
    for part in sorted(parts, key=lambda p: p.exchange.opened_order):
        exchange = part.exchange
        key = (part.canonical.fingerprint, part.lane)
        first = exchange.chunks[0].order if exchange.chunks else exchange.ended_order
        if first < 0:
            first = sys.maxsize  # never answered: whatever was asked after it was under way together with it
        equals = groups.setdefault(part.canonical.fingerprint, Equals())
        mates = newest.get(key)
        if mates is not None and not part.own and exchange.opened_order < answered_at[key]:
            mates.parts.append(part)
            equals.is_shared = True
            answered_at[key] = min(answered_at[key], first)
        else:
            newest[key] = group = Group([part])
            equals.groups.append(group)
            equals.lanes.add(part.lane)
            answered_at[key] = first
    return groups
