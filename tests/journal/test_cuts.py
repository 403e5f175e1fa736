"""Files that end anywhere, or have one wrong byte: every whole record is read, and none that was not written."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from playhead.core.events import EventKind
from playhead.errors import PlayheadError
from playhead.journal.contents import read_contents
from playhead.journal.records import read_segment
from playhead.journal.sealing import write_sealed
from playhead.sessions.reader import read_recording
from tests.journal.peers import ID
from tests.support.crash import Acknowledged, Played, invented

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.core.events import Event

COUNTS = (1, 2, 4)  # exchanges in each of the three files


class Live(NamedTuple):
    """A segment as its writer left it, and what had been acknowledged when the file had grown to so many bytes."""

    seed: int
    count: int
    folder: Path
    data: bytes
    events: list[Event]
    ends: list[int]
    history: list[tuple[int, Acknowledged]]

    def acknowledged(self, size: int) -> Acknowledged:
        return next((seen for at, seen in reversed(self.history) if at <= size), Acknowledged())

    def whole(self, size: int) -> int:
        return sum(end <= size for end in self.ends)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Live]:
    """Three sessions, each played from another seed at each run."""
    first = random.randrange(2**32)
    print(f"seeds from {first}")
    found = []
    for seed, count in enumerate(COUNTS, first):
        seen = Acknowledged()
        played = Played(tmp_path_factory.mktemp("live"), seed, count, seen.take)
        history = [(len(played.session.on_disk()), seen.copy()) for _ in played.acts()]
        played.end()
        data = played.session.on_disk()
        ends, at = [], 0
        while at < len(data):
            at += 8 + int.from_bytes(data[at : at + 4], "little")
            ends.append(at)
        events = read_segment(data, "engine").events
        found.append(Live(seed, count, played.session.folder, data, events, ends, history))
    return found


def check_events(live: Live, cut: int) -> None:
    contents = read_segment(live.data[:cut], "engine")
    whole = live.whole(cut)
    assert contents.events == live.events[:whole], (live.seed, cut)
    assert contents.damage == []
    assert contents.torn == cut - (live.ends[whole - 1] if whole else 0)
    assert contents.closed == (cut == len(live.data))


def test_every_truncation_of_three_live_files(files: list[Live]) -> None:
    """Exactly the records that end within the cut; the rest is the torn tail, and no damage."""
    for live in files:
        for cut in range(len(live.data) + 1):
            check_events(live, cut)


@pytest.mark.parametrize(("cuts", "read"), [(10_000, 150)])
def test_ten_thousand_cuts(files: list[Live], cuts: int, read: int) -> None:
    """The same at moments drawn freshly; a share of them is read as a recording, which holds what was acknowledged when
    the file was so long, and nothing that was never said."""
    seed = random.randrange(2**32)
    print(f"{seed=}")
    dice = random.Random(seed)
    for number in range(cuts):
        live = dice.choice(files)
        cut = dice.randint(0, len(live.data))
        check_events(live, cut)
        if number < read:
            (live.folder / "engine.seg").write_bytes(live.data[:cut])
            recording = read_recording(live.folder)
            assert invented(recording, live.seed, live.count) == [], (live.seed, cut)
            assert live.acknowledged(cut).missing(recording) == [], (live.seed, cut)


def test_a_reader_that_trusts_lengths_is_caught(files: list[Live]) -> None:
    """The control: with one record taken out of its middle, a file has lost what was acknowledged."""
    live = files[-1]
    hit = next(n for n, event in enumerate(live.events) if event.kind is EventKind.ANSWER)
    start, end = live.ends[hit - 1], live.ends[hit]
    (live.folder / "engine.seg").write_bytes(live.data[:start] + live.data[end:])
    recording = read_recording(live.folder)
    assert recording.damage
    assert live.acknowledged(len(live.data)).missing(recording)


@pytest.mark.parametrize("flips", [400])
def test_one_wrong_byte_in_a_live_file(files: list[Live], flips: int) -> None:
    """It costs the record it is in, which is named; all others are read."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    for _ in range(flips):
        live = dice.choice(files)
        at = dice.randrange(len(live.data))
        wrong = bytearray(live.data)
        wrong[at] ^= dice.randint(1, 255)
        contents = read_segment(bytes(wrong), "engine")
        hit = live.whole(at)
        assert contents.events == live.events[:hit] + live.events[hit + 1 :], (seed, live.seed, at)
        assert contents.damage or contents.torn


@pytest.fixture(scope="module")
def sealed(files: list[Live], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, bytes, list[Event]]]:
    """The same sessions, sealed: path, bytes, and all their events."""
    found = []
    for live in files:
        path = tmp_path_factory.mktemp("sealed") / f"{ID}.tape"
        write_sealed(path, ID, [("launcher", (live.folder / "launcher.seg").read_bytes()), ("engine", live.data)])
        events = [e for s in read_contents(path).segments for e in s.events]
        assert [e for e in events if e.segment == "engine"] == live.events
        found.append((path, path.read_bytes(), events))
    return found


def read_sealed_events(path: Path, data: bytes) -> tuple[list[Event], bool]:
    """What is read of these bytes, and whether anything wrong was said."""
    path.write_bytes(data)
    try:
        contents = read_contents(path)
    except PlayheadError:
        return [], True
    events = [e for s in contents.segments for e in s.events]
    return events, bool(contents.damage) or any(s.torn for s in contents.segments)


def test_every_truncation_of_three_sealed_files(sealed: list[tuple[Path, bytes, list[Event]]]) -> None:
    """Nothing invented, nothing lost silently, and a longer file never yields less."""
    for path, data, events in sealed:
        known = {(e.segment, e.seq): e for e in events}
        before = 0
        for cut in range(len(data) + 1):
            found, said = read_sealed_events(path, data[:cut])
            assert all(known.get((e.segment, e.seq)) == e for e in found), cut
            assert len(found) >= before, cut
            assert said == (cut < len(data)), cut
            before = len(found)
        assert before == len(events)


def test_one_wrong_byte_in_a_sealed_file(sealed: list[tuple[Path, bytes, list[Event]]]) -> None:
    """Nothing invented, and the loss is said."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    for path, data, events in sealed:
        known = {(e.segment, e.seq): e for e in events}
        for _ in range(120):
            wrong = bytearray(data)
            at = dice.randrange(len(data))
            wrong[at] ^= dice.randint(1, 255)
            found, said = read_sealed_events(path, bytes(wrong))
            assert all(known.get((e.segment, e.seq)) == e for e in found), (seed, at)
            assert said or len(found) == len(events), (seed, at)
