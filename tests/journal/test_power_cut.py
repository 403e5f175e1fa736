"""Power cuts and broken disks, on a disk in memory: what each durability promises, and that the promises can fail."""

from __future__ import annotations

import errno
import os
import random
from typing import TYPE_CHECKING

import pytest

from playhead.errors import PlayheadError
from playhead.journal import commit
from playhead.sessions.reader import read_recording
from tests.support.crash import Acknowledged, Played, invented, script
from tests.support.disk import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.sessions.model import Recording

ENGINE = "engine.seg"


def found_after(folder: Path, data: bytes | None) -> Recording | None:
    """What a reader makes of the folder when this is left of the engine's segment."""
    path = folder / ENGINE
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)
    try:
        return read_recording(folder)
    finally:
        path.unlink(missing_ok=True)


def cut_again_and_again(root: Path, seed: int, *, durability: str, cuts: int = 6) -> tuple[int, int]:
    """Play one session and cut the power at some moments of it; how many cuts there were, and how many lost something
    that had been acknowledged. Nothing may ever be invented."""
    dice = random.Random(seed)
    disk, seen = Disk(), Acknowledged()
    played = Played(root, seed, 8, seen.take, durability=durability, disk=disk)
    name = str(played.session.folder / ENGINE)
    made = lost = 0
    for _ in played.acts():
        if dice.random() > 0.12:
            continue
        acknowledged = seen.copy()  # before the snapshot: the syncing thread runs on
        for _ in range(cuts):
            made += 1
            recording = found_after(played.session.folder, disk.power_cut(dice).get(name))
            assert recording is not None
            assert invented(recording, seed, 8) == [], f"{seed=}"
            lost += bool(acknowledged.missing(recording))
    played.end()
    recording = found_after(played.session.folder, bytes(disk.files[name].data))
    assert recording is not None
    assert seen.missing(recording) == []
    assert seen.ended == set(script(seed, 8))
    return made, lost


def in_all(tmp_path: Path, sessions: int, *, durability: str) -> tuple[int, int]:
    seed = random.randrange(2**32)
    print(f"{seed=}")
    results = [cut_again_and_again(tmp_path / str(n), seed + n, durability=durability) for n in range(sessions)]
    return sum(made for made, _ in results), sum(lost for _, lost in results)


@pytest.mark.parametrize("sessions", [25, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_no_power_cut_takes_what_was_acknowledged_under_fsync(tmp_path: Path, sessions: int) -> None:
    """No question that left without its intent, no byte that a caller was given, no end that it was told."""
    made, lost = in_all(tmp_path, sessions, durability="fsync")
    assert made > sessions * 10
    assert lost == 0


def test_a_power_cut_does_take_some_under_write(tmp_path: Path) -> None:
    """The control: the same cuts, where nothing waits for the device."""
    made, lost = in_all(tmp_path, 5, durability="write")
    assert lost > made // 4


@pytest.mark.parametrize("fault", ["delivers before the sync", "credits a sync with what came after it began"])
def test_a_writer_that_acknowledges_too_early_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Controls: two ways to get a group commit wrong, and the kit sees both."""
    if fault.startswith("delivers"):
        monkeypatch.setattr(commit.GroupCommit, "when_durable", lambda _self, _written, then: then())
    else:
        real = commit.GroupCommit._synced

        def generous(self: commit.GroupCommit, written: int, error: OSError | None) -> None:
            real(self, max([written, *(size for size, _ in self._waiting)]), error)

        monkeypatch.setattr(commit.GroupCommit, "_synced", generous)
    _, lost = in_all(tmp_path, 6, durability="fsync")
    assert lost > 0


@pytest.mark.parametrize("durability", ["write", "fsync"])
@pytest.mark.parametrize(
    ("call", "number"), [("write", errno.ENOSPC), ("write", errno.EIO), ("sync", errno.EIO), ("room", errno.ENOSPC)]
)
def test_a_disk_that_fails_ends_the_recording_and_no_call(
    tmp_path: Path, durability: str, call: str, number: int
) -> None:
    """At any call: every caller is given its whole answer, the trouble is told once, with the system's own words, and
    all that was acknowledged until then is in the recording, whole."""
    dice = random.Random(number)
    for round_number in range(12):
        disk, seen = Disk(), Acknowledged()
        played = Played(tmp_path / str(round_number), round_number, 8, seen.take, durability=durability, disk=disk)
        at_trouble: list[Acknowledged] = []
        told = played.session.recorder._trouble
        played.session.recorder._trouble = lambda reason, told=told, seen=seen, kept=at_trouble: (  # type: ignore[misc]
            kept.append(seen.copy()),
            told(reason),
        )
        if call == "room":
            disk.room = dice.randint(400, 8000)
        else:
            nth = dice.randint(1, 12)
            disk.fails(call, nth, number)
        for _ in played.acts():
            pass
        expected = script(round_number, 8)
        assert {c._number: c.received for c in played.callers} == {n: s.answer for n, s in expected.items()}
        assert {c._number: c.endings for c in played.callers} == {n: [s.ending] for n, s in expected.items()}
        assert played.session.recorder.gate._under_way == 0  # type: ignore[attr-defined]
        fails = call != "sync" or disk.calls.get("sync", 0) >= nth  # under `write` none comes before the end
        assert len(played.session.troubles) == fails
        assert all(os.strerror(number) in reason for reason in played.session.troubles)
        data = bytes(disk.files[str(played.session.folder / ENGINE)].data)
        recording = found_after(played.session.folder, data)
        assert recording is not None
        assert recording.damage == []
        assert invented(recording, round_number, 8) == []
        for acknowledged in at_trouble:
            assert acknowledged.missing(recording) == []
        if call == "sync" and not fails:
            disk.fails("sync", 1, number)
            with pytest.raises(OSError, match=os.strerror(number)):
                played.end()
        else:
            played.end()


def test_a_segment_that_cannot_be_made_durable_by_name_is_refused(tmp_path: Path) -> None:
    """A folder that cannot be synced fails the start of an fsync recording, before anything runs."""
    disk = Disk()
    disk.fails("sync_folder", 1, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        Played(tmp_path, 1, 1, Acknowledged().take, durability="fsync", disk=disk)


def test_what_is_left_of_a_cut_before_the_first_sync_opens_or_is_named(tmp_path: Path) -> None:
    """No engine segment at all, or an empty one, still opens: the launcher's says whose session it is."""
    played = Played(tmp_path, 1, 1, Acknowledged().take)
    played.end()
    for data in (None, b""):
        recording = found_after(played.session.folder, data)
        assert recording is not None
        assert recording.exchanges == []
    (played.session.folder / "launcher.seg").write_bytes(b"")
    with pytest.raises(PlayheadError):
        read_recording(played.session.folder)
