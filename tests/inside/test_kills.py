"""Kills and power cuts while an agent acts: it has never acted on what is not in its segment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from playhead.journal.shared_sync import SharedSync
from tests.inside.acting import BOUNDARIES
from tests.inside.power_cuts import in_all
from tests.support.boundaries import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


def killed(count: int, *options: str) -> dict[str, Any]:
    """The toll of so many kills, in a process of its own: it forks."""
    command = [sys.executable, "-m", "tests.inside.kills", str(count), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout, done.stderr
    toll: dict[str, Any] = json.loads(done.stdout)
    print(toll)
    return toll


@pytest.mark.parametrize(
    ("durability", "count"),
    [("write", 96), ("fsync", 36), pytest.param("write", 10_000, marks=SOAK), pytest.param("fsync", 2000, marks=SOAK)],
)
def test_no_kill_finds_an_agent_that_acted_on_what_is_not_written(durability: str, count: int) -> None:
    """Threads, tasks, both: every answer acted on, every question that ran, and every read it rested on is there."""
    toll = killed(count, "--durability", durability)
    assert toll["killed"] > count // 2
    assert toll["acted"] > 10 * count
    assert (toll["missing"], toll["invented"]) == ([], [])


@pytest.mark.parametrize("options", [("--fault", "late"), ("--fault", "unread"), ("--durability", "off")])
def test_a_recorder_that_writes_too_late_is_caught(options: tuple[str, ...]) -> None:
    """The controls: answers given before they are written, questions asked before what was read is, and all in memory.
    Even then nothing is invented."""
    for _ in range(4):  # each of so few kills may hit a victim that owed nothing
        toll = killed(24, *options)
        assert toll["invented"] == []
        if toll["missing"]:
            return
    pytest.fail("96 victims owed nothing when they were killed, or nobody looked")


@pytest.fixture
def on_boundaries() -> Iterator[None]:
    with installed(*BOUNDARIES):
        yield


@pytest.mark.usefixtures("on_boundaries")
@pytest.mark.parametrize("programs", [8, pytest.param(1000, marks=SOAK)])
def test_no_power_cut_takes_what_an_agent_acted_on_under_fsync(tmp_path: Path, programs: int) -> None:
    """No answer that was acted on, and no question that may have changed something, with all it rested on."""
    made, lost = in_all(tmp_path, programs)
    assert made > 5 * programs
    assert lost == 0


@pytest.mark.usefixtures("on_boundaries")
def test_a_power_cut_takes_some_under_write(tmp_path: Path) -> None:
    """The control: the same cuts, where nothing waits for the device."""
    made, lost = in_all(tmp_path, 4, durability="write")
    assert lost > made // 4


@pytest.mark.usefixtures("on_boundaries")
@pytest.mark.parametrize("fault", ["gives before the sync", "lets go who came while it ran"])
def test_a_shared_sync_that_lets_go_too_early_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Controls: two ways to get it wrong, and the oracle sees both."""
    if fault.startswith("gives"):
        monkeypatch.setattr(SharedSync, "wait", lambda *_: None)
        monkeypatch.setattr(SharedSync, "when", lambda *_: True)
    else:

        def generous(self: SharedSync, bell: Any) -> None:
            while True:
                self._await(bell, 0.0)
                with self._syncing:
                    self._is_due = self._is_at_rest = False
                    self._sync()
                self._let_go(len(self._asked))

        monkeypatch.setattr(SharedSync, "_work", generous)
    assert in_all(tmp_path, 8)[1] > 0
