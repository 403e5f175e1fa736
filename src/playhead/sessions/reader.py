"""Reads recordings: a folder that is being written whole into memory, a sealed file as far as it is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from playhead.core.events import Event, EventKind
from playhead.errors import DamagedRecording, UsageError
from playhead.journal.bodies import Bodies
from playhead.journal.contents import is_sealed, read_open, reading
from playhead.journal.frames import Kind
from playhead.journal.processes import process_of
from playhead.journal.sealed import Sealed
from playhead.sessions.answers import Gap, SealedAnswers, damaged, only_held
from playhead.sessions.building import Builder, part_of, take_inside
from playhead.sessions.header import Header
from playhead.sessions.model import Recording
from playhead.sessions.programs import take_in_tools

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from playhead.journal.blocks import Block, Placed
    from playhead.sessions.model import RecordedExchange


def read_recording(path: Path) -> Recording:
    """Decode a session file or folder. Answers and request bodies of a sealed file stay there until they are asked for.

    Raises SessionNotFound, DamagedRecording or IncompatibleRecording. What is damaged in a recording that can be read
    otherwise is in its `damage` and among the reasons of `incomplete`; exchanges that lost a part are marked.
    """
    with reading(path):
        return _from_file(Sealed(path), path) if is_sealed(path) else _from_folder(path)


def read_exchange(path: Path, number: int) -> RecordedExchange:
    """One exchange of a session. Of a sealed file nothing else is decoded than what it lies in.

    Raises as `read_recording`, and UsageError when there is no such exchange, DamagedRecording when it is damaged.
    """
    with reading(path):
        if not is_sealed(path):
            found = next((e for e in _from_folder(path).exchanges if e.number == number), None)
        else:
            found = _one_of_file(Sealed(path), number)
    if found is None:
        raise UsageError(
            f"This session has no step {number}.",
            code="no-such-step",
            where=str(path),
            todo=f"playhead inspect {path}",
        )
    return found


def _from_folder(path: Path) -> Recording:
    contents = read_open(path)
    recording = _begin(path, [s.events for s in contents.segments])
    recording.damage = contents.damage
    recording.being_written = contents.being_written
    for segment in contents.segments:
        process = process_of(segment.segment)
        if process:
            take_inside(recording, process, segment.events)
            if segment.damage:
                recording.incomplete.append(f"{len(segment.damage)} damaged records in segment {segment.segment}")
            continue
        builder = Builder(recording, Bodies())
        for event in segment.events:
            builder.take(event)
        builder.finish(_gaps(enumerate(e.seq for e in segment.events)) if segment.damage else ())
        if segment.damage:
            recording.incomplete.append(f"{len(segment.damage)} damaged records in segment {segment.segment}")
    _ended(recording, [s.segment for s in contents.segments if not s.closed and not process_of(s.segment)])
    return recording


def _from_file(sealed: Sealed, path: Path) -> Recording:
    blocks: dict[int, list[Block]] = {}
    events: dict[int, list[Placed]] = {n: [] for n in range(len(sealed.segments))}
    for block in sealed.blocks():
        blocks.setdefault(block.segment, []).append(block)
        events.setdefault(block.segment, []).extend(sealed.rows(block, stamps=False))
    for rows in events.values():
        rows.sort(key=lambda p: p.position)
    recording = _begin(path, [[p.event for p in rows[:4]] for rows in events.values()])
    recording.sealed = True
    recording.file = sealed.file
    damage = sealed.damage()
    for number, rows in events.items():
        process = process_of(_name_of(sealed, number))
        if process:
            take_inside(recording, process, [p.event for p in rows])
        own = blocks.get(number, [])
        facts = sealed.segments[number] if number < len(sealed.segments) else None
        gaps: list[Gap] = []
        if facts is not None and facts.damage:
            every = rows + [p for block in own for p in sealed.rows(block, stamps=True)]
            gaps = _gaps(sorted((p.position, p.event.seq) for p in every))
        if facts is not None and facts.damage:
            recording.incomplete.append(f"{len(facts.damage)} damaged records in segment {facts.name}")
        if process:
            continue
        answers = SealedAnswers(sealed)
        builder = _built(recording, sealed, answers, number, own, rows, gaps)
        if damage:
            _find_lost(sealed, builder, answers, number)
    recording.damage = [d for facts in sealed.segments for d in facts.damage] + damage
    recording.incomplete += [f"{d.problem} (at byte {d.offset} of the file)" for d in damage]
    _ended(
        recording,
        [
            rows[-1].event.segment if rows else sealed.segments[number].name
            for number, rows in events.items()
            if not process_of(_name_of(sealed, number))
            if not rows or rows[-1].event.kind is not EventKind.CLOSED
        ],
    )
    return recording


def _name_of(sealed: Sealed, segment: int) -> str:
    """The name of a segment; "" when damage took it."""
    return sealed.segments[segment].name if segment < len(sealed.segments) else ""


def _built(
    recording: Recording,
    sealed: Sealed,
    answers: SealedAnswers,
    segment: int,
    blocks: Iterable[Block],
    rows: list[Placed],
    gaps: list[Gap],
) -> Builder:
    bodies = sealed.bodies(segment)
    builder = Builder(recording, bodies, answers.chunks, check=not sealed.sound)
    for placed in rows:
        event = placed.event
        elsewhere = None
        if event.kind in (EventKind.REQUEST, EventKind.REQUEST_PART, EventKind.SENT):
            elsewhere = part_of(placed, sealed.moved)
        builder.take(event, elsewhere)
    _announce(sealed, builder, answers, blocks)
    builder.finish(gaps)
    return builder


def _announce(sealed: Sealed, builder: Builder, answers: SealedAnswers, blocks: Iterable[Block]) -> None:
    for block in blocks:
        if block.answered_length or block.stamps:
            answers.add(block)
        if block.stamps:
            builder.stamps(block.subject, block.flags)
        if block.stamps_with_meta and not _plain(block):
            for placed in sealed.rows(block, stamps=True):
                builder.check_held(placed.event)


def _plain(block: Block) -> bool:
    """Whether the stamps of a block say no more than how much of each read was held back, as nearly all do."""
    try:
        return only_held(block.stamp_metas())
    except ValueError:
        return False


def _find_lost(sealed: Sealed, builder: Builder, answers: SealedAnswers, segment: int) -> None:
    """Mark the exchanges of which bytes are lost, by what is known to be damaged."""
    file = sealed.file
    requests = sealed.requests(segment)
    lost = [(f.start, f.end) for f in file.faults if f.kind is Kind.ASKED]
    lost += file.gaps(Kind.ASKED, max((r.start + r.length for r in requests.values()), default=0))
    parts = {
        b.subject
        for b in sealed.blocks()
        if b.segment == segment and not file.holds(Kind.ASKED, b.asked, b.asked_length)
    }
    short = {
        b.subject
        for b in sealed.blocks()
        if b.segment == segment and not file.holds(Kind.ANSWERED, b.answered, b.answered_length)
    }
    partly = sealed.missing_blocks()
    for number, exchange in builder.exchanges.items():
        if number in short:
            exchange.lost = "a part of its answer is damaged"
            answers.lost.add(number)
        if number in partly:
            exchange.lost = "a part of its records is damaged"
        if exchange.asked_order >= 0 and (number in parts or (lost and builder.leads_to(number, lost))):
            builder.forget(exchange, "bytes of requests that are lost")


def _one_of_file(sealed: Sealed, number: int) -> RecordedExchange | None:
    blocks = sealed.exchange(number)
    if not blocks and number not in sealed.numbers():
        return None
    for block in blocks:
        _check(sealed, block)
    if len(blocks) < sealed.blocks_of(number):
        raise damaged(f"step {number}", "its records are lost")
    segment = blocks[0].segment
    rows = sorted((p for b in blocks for p in sealed.rows(b, stamps=False)), key=lambda p: p.position)
    answers = SealedAnswers(sealed)
    recording = Recording(Header("0" * 16, 0, [], ""), 0)
    builder = Builder(recording, sealed.bodies(segment), answers.chunks)
    for placed in rows:
        builder.take(placed.event, part_of(placed, sealed.moved))
    _announce(sealed, builder, answers, blocks)
    builder.finish()
    return builder.exchanges.get(number)


def _check(sealed: Sealed, block: Block) -> None:
    """Raises DamagedRecording when bytes of an exchange are lost."""
    try:
        sealed.file.read(Kind.ANSWERED, block.answered, block.answered_length)
        sealed.file.read(Kind.ASKED, block.asked, block.asked_length)
    except ValueError as error:
        raise damaged(f"step {block.subject}", str(error)) from None


def _ended(recording: Recording, unclosed: list[str]) -> None:
    if recording.has_exit and not recording.being_written and not recording.incomplete:
        recording.incomplete += [f"segment {name} ends early" for name in unclosed]
    recording.exchanges.sort(key=lambda e: e.number)
    recording.calls.sort(key=lambda c: c.asked_ns)
    take_in_tools(recording)
    recording.number_steps()
    recording.stdio.sort(key=lambda c: c.t_ns)


def _gaps(events: Iterable[tuple[int, int]]) -> list[Gap]:
    """The gaps there were when a segment was read, by (position, seq) of its events."""
    gaps = []
    before = (-1, -1)
    for position, seq in events:
        if position == before[0] + 1 and seq > before[1] + 1:
            gaps.append(Gap(before[1] + 1, seq - 1))
        before = (position, seq)
    return gaps


def _begin(path: Path, segments: list[list[Event]]) -> Recording:
    for events in segments:
        for event in events[:4]:
            if event.kind is EventKind.SESSION:
                try:
                    header = Header.from_json(json.loads(event.body))
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    break
                return Recording(header, event.t_ns)
    raise DamagedRecording(
        "This recording has no readable header.",
        code="header-missing",
        where=str(path),
        expected="a SESSION event at the start of its first segment",
        seen=f"{len(segments)} segments, {sum(map(len, segments))} whole records",
        todo="a recorder killed before its first write leaves nothing to read; playhead rm removes it",
    )
