"""What it costs a Python to start below `playhead record`: `python benchmarks/start.py [RUNS] [PYTHON...]`.

CPU time of `python -c pass`, user and system: bare, recording and replaying in turns, least and median. Bytecode is cached,
as it is where Playhead is installed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HOOKS = Path(__file__).parents[1] / "src" / "playhead" / "capture" / "hooks" / "python"
WAYS = ("bare", "record", "replay")
MADE = {"record": "agent-0.seg", "replay": "report-0.jsonl"}


def started(python: str, way: str, folder: Path, tape: Path) -> float:
    """Milliseconds of CPU of one start."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    if way != "bare":
        environment |= {
            "PYTHONPATH": str(HOOKS),
            "PLAYHEAD_PORT": "1",
            "PLAYHEAD_TAPE": f"{way}:{tape}",
            "PLAYHEAD_PROCESS": "0",
            "PLAYHEAD_SEED": "00" * 16,
        }
    child = subprocess.Popen([python, "-c", "pass"], env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or (way != "bare" and not any(tape.glob(MADE[way]))):
        raise SystemExit(f"{python} did not start {way}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def main(runs: int, pythons: list[str]) -> None:
    """Measure, and print."""
    told: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):
            for python in pythons:
                tape = Path(tempfile.mkdtemp(dir=folder))  # what is recorded is replayed
                for way in WAYS:
                    took = started(python, way, Path(folder), tape)
                    if run:  # the first writes the bytecode
                        told.setdefault((python, way), []).append(took)
    for (python, way), took in told.items():
        over = "" if way == "bare" else f"   over bare {min(took) - min(told[python, 'bare']):5.1f} ms"
        print(f"{python:<30} {way:<7} least {min(took):5.1f} ms   median {statistics.median(took):5.1f} ms{over}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2:] or [sys.executable])
