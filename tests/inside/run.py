"""Records and replays randomised concurrent programs, and compares what they printed, line by line.

    python -m tests.inside.run --runs 1000                       all kinds in turn
    python -m tests.inside.run --runs 200 --kind gather --python /path/to/python3.13
    python -m tests.inside.run --runs 20 --unordered             the ablation: keys without order; must fail

Each run is one scenario; some of them share a process. The agent gets what the launcher gives it, without launcher and
engine, which have nothing to do here and would take most of the time. Exit code 1: a replay was not identical.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import playhead

HERE = Path(__file__).parent
HOOKS = Path(playhead.__file__).parent / "capture" / "hooks" / "python"
TOGETHER = 5
LIMIT_S = 20
PURE = ("anyio", "idna", "sniffio", "typing_extensions")
"""What anyio needs, in files that any Python can load."""


@dataclass
class Tally:
    """Runs by kind, and those whose replay was another run."""

    runs: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    traces: set[str] = field(default_factory=set)
    shown: list[str] = field(default_factory=list)


def lend_anyio(folder):
    """A folder of installed packages for a Python that has none."""
    lent = folder / "site-packages"
    lent.mkdir()
    for name in PURE:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (lent / source.name).symlink_to(source)
    return lent


class Runner:
    """Runs scenarios with one Python, in a folder of its own."""

    def __init__(self, folder, python=sys.executable, *, unordered=False, durability="write"):
        self.folder = folder
        self.python = python
        self.unordered = unordered
        self.durability = durability
        self.lent = lend_anyio(folder)
        self.chance = random.SystemRandom()

    def once(self, seed, names):
        """Record these kinds in one process and replay them; returns both traces, and what the replay has to complain of."""
        recorded, replayed = self.folder / "recorded", self.folder / "replayed"
        for each in (recorded, replayed):
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir()
        hash_seed = str(self.chance.randrange(1 << 32))
        first = self._run(f"record:{recorded}", hash_seed, seed, names)
        for path in recorded.glob("*.seg"):
            shutil.copy(path, replayed)
        again = self._run(f"replay:{replayed}", hash_seed, seed, names)
        complaints = [f"exit codes {first.returncode} and {again.returncode}\n{first.stderr}\n{again.stderr}"]
        if first.returncode == again.returncode == 0:
            complaints = []
        for path in sorted(replayed.glob("report-*.jsonl")):
            for facts in map(json.loads, path.read_text().splitlines()):
                end = facts.get("end", {})
                if "divergence" in facts or end.get("unplayed") or end.get("left"):
                    complaints.append(json.dumps(facts))
        return first.stdout, again.stdout, complaints

    def _run(self, tape, hash_seed, seed, names):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(HOOKS), str(self.lent))),
            "PYTHONHASHSEED": hash_seed,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PLAYHEAD_PORT": "1",
            "PLAYHEAD_TAPE": tape,
            "PLAYHEAD_PROCESS": "0",
            "PLAYHEAD_SEED": "00" * 16,
            "PLAYHEAD_REDACT": "off",
            "PLAYHEAD_DURABILITY": self.durability,
        }
        ablation = ["--unordered"] if self.unordered else []
        command = [self.python, str(HERE / "scenarios.py"), *ablation, seed, *names]
        try:
            return subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode()
            return subprocess.CompletedProcess(command, 124, said, f"did not end within {LIMIT_S} s")


def sections(trace):
    """The trace of each scenario in a process."""
    return trace.split("# ")[1:]


def run(runner, tally, runs, kinds, *, keep=None):
    """Make that many runs, the kinds in turn."""
    left = [kinds[index % len(kinds)] for index in range(runs)]
    while left:
        names, left = left[:TOGETHER], left[TOGETHER:]
        seed = f"{runner.chance.randrange(1 << 48):012x}"
        first, again, complaints = runner.once(seed, names)
        traces, replayed = sections(first), sections(again)
        replayed += [""] * (len(names) - len(replayed))
        wrong = [name for name, one, other in zip(names, traces, replayed, strict=False) if one != other]
        if len(traces) < len(names):
            wrong += names[len(traces) :]
        if complaints and not wrong:
            wrong = names[-1:]
        for name in names:
            tally.runs[name] = tally.runs.get(name, 0) + 1
        tally.traces.update(traces)
        for name in wrong[:1]:
            tally.wrong[name] = tally.wrong.get(name, 0) + 1
            tally.shown.append(f"{name}: seed {seed}, {names}\n" + "\n".join(complaints)[:3000])
            if keep is not None:
                shutil.copytree(runner.folder / "replayed", keep / seed)
                (keep / seed / "first.txt").write_text(first)
                (keep / seed / "again.txt").write_text(again)


def kinds_of():
    """All kinds, as this Python loads them."""
    sys.path.insert(0, str(HERE))
    from scenarios import load  # type: ignore[import-not-found]

    return list(load())


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--kind", action="append")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--unordered", action="store_true")
    parser.add_argument("--durability", default="write", choices=("write", "fsync", "off"))
    parser.add_argument("--keep", type=Path, help="a folder for the recordings of runs that went wrong")
    options = parser.parse_args()
    tally = Tally()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Path(folder), options.python, unordered=options.unordered, durability=options.durability)
        run(runner, tally, options.runs, options.kind or kinds_of(), keep=options.keep)
    for text in tally.shown[:5]:
        print(text)
    for name, count in tally.runs.items():
        print(f"{name:20} {count:6} runs {tally.wrong.get(name, 0):4} wrong")
    total, wrong = sum(tally.runs.values()), sum(tally.wrong.values())
    seconds = time.monotonic() - began
    print(f"{total} runs, {len(tally.traces)} different traces, {wrong} replays not identical, {seconds:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
