"""SIGKILL of real processes that record or seal: what anybody had seen is found, and nothing that never was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


def killed(tmp_path: Path, count: int, *options: str) -> dict[str, Any]:
    """The toll of so many kills, in a process of its own: it forks."""
    command = [sys.executable, "-m", "tests.support.victims", str(count), "--store", str(tmp_path), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout, done.stderr
    toll = json.loads(done.stdout)
    print(toll)
    return toll


def counts(few: int, many: int) -> list[Any]:
    return [few, pytest.param(many, marks=SOAK)]


@pytest.mark.parametrize("count", counts(60, 3000))
@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_a_killed_recorder_loses_nothing_that_was_seen(tmp_path: Path, durability: str, count: int) -> None:
    """At any moment of its life, sealing included; what it left in parts can be sealed, and says the same then."""
    toll = killed(tmp_path, count, "--durability", durability)
    assert toll["killed"] > count // 4
    assert toll["acknowledged"] > count
    assert (toll["missing"], toll["invented"]) == ([], [])
    assert toll["sealed"] == count


@pytest.mark.parametrize("count", counts(40, 2000))
def test_a_kill_in_the_middle_of_sealing_loses_nothing(tmp_path: Path, count: int) -> None:
    """The whole session is there before, during and after."""
    toll = killed(tmp_path, count, "--sealing")
    assert toll["killed"] > count // 10
    assert (toll["missing"], toll["invented"]) == ([], [])
    assert toll["sealed"] == count


def test_a_recorder_that_keeps_records_in_memory_is_caught(tmp_path: Path) -> None:
    """The control: `off` loses what was seen, and the kit says so. Even then nothing is invented."""
    toll = killed(tmp_path, 10, "--durability", "off")
    assert toll["missing"]
    assert toll["invented"] == []
