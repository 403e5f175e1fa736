"""Records and replays randomised concurrent programs, and compares what they printed, line by line.

    python -m tests.inside.run --runs 1000                       all kinds in turn
    python -m tests.inside.run --runs 200 --kind gather --python /path/to/python3.13
    python -m tests.inside.run --runs 20 --again gather=0c51a7f2     one shape of a run, with new latencies each time
    python -m tests.inside.run --runs 200 --cut                  recordings of killed runs: the start, and not a line else
    python -m tests.inside.run --runs 20 --unordered             the ablation: keys without order; must fail

Each run is one scenario with a seed, an event loop and a trace of its own; a batch of them shares a process, one behind
the other. A run that goes wrong is said with its seed and its place in the batch, and is made again alone; what stood
behind it in its batch was not compared and is made again in another. The agent gets what the launcher gives it, without
launcher and engine, which have nothing to do here and would take most of the time. Exit code 1: a replay was not
identical.
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
BATCH = 25
ALONE = 20
"""How often a run that went wrong in a batch is made again alone."""
LIMIT_S = 600
"""How long one process may take: a machine that is busy with other things gives it little."""
REPORT_EVERY = 500
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

    def __init__(self, folder, python=sys.executable, *, unordered=False, durability="write", cut=False):
        self.folder = folder
        self.python = python
        self.unordered = unordered
        self.cut = cut
        self.durability = durability
        self.lent = lend_anyio(folder)
        self.chance = random.SystemRandom()

    def once(self, runs):
        """Record these runs (`KIND=SEED`) in one process and replay them; returns both traces, and what the replay has to
        complain of."""
        recorded, replayed = self.folder / "recorded", self.folder / "replayed"
        for each in (recorded, replayed):
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir()
        seeds = {
            "PYTHONHASHSEED": str(self.chance.randrange(1 << 32)),
            "PLAYHEAD_SEED": f"{self.chance.randrange(1 << 128):032x}",
        }
        first = self._run(f"record:{recorded}", seeds, runs)
        for path in recorded.glob("*.seg"):
            shutil.copy(path, replayed)
            if self.cut:
                os.truncate(replayed / path.name, self.chance.randrange(path.stat().st_size))
        again = self._run(f"replay:{replayed}", seeds, runs)
        complaints = [f"exit codes {first.returncode} and {again.returncode}\n{first.stderr}\n{again.stderr}"]
        if first.returncode == again.returncode == 0 or (self.cut and again.returncode == 1):
            complaints = []
        for path in sorted(replayed.glob("report-*.jsonl")):
            for facts in map(json.loads, path.read_text().splitlines()):
                end = facts.get("end", {})
                kind = facts.get("divergence", {}).get("class")
                is_short = not self.cut and (end.get("unplayed") or end.get("left"))
                if is_short or kind not in (None, "exhausted" if self.cut else None):
                    complaints.append(json.dumps(facts))
        if self.cut and first.stdout.startswith(again.stdout):
            return first.stdout, first.stdout, complaints
        return first.stdout, again.stdout, complaints

    def _run(self, tape, seeds, runs):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(HOOKS), str(self.lent))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PLAYHEAD_PORT": "1",
            "PLAYHEAD_TAPE": tape,
            "PLAYHEAD_PROCESS": "0",
            "PLAYHEAD_REDACT": "off",
            "PLAYHEAD_DURABILITY": self.durability,
            **seeds,
        }
        ablation = ["--unordered"] if self.unordered else []
        command = [self.python, str(HERE / "scenarios.py"), *ablation, *runs]
        try:
            return subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode()
            return subprocess.CompletedProcess(command, 124, said, f"did not end within {LIMIT_S} s")


def sections(trace):
    """The trace of each run in a process."""
    return trace.split("# ")[1:]


def first_wrong(runs, first, again, complaints):
    """The place of the first run whose replay was another one, and the traces; None when all were the same."""
    traces, replayed = sections(first), sections(again)
    if len(traces) == len(runs) and traces == replayed and not complaints:
        return None, traces
    same = 0
    for one, other in zip(traces, replayed, strict=False):
        if one != other:
            break
        same += 1
    return min(same, len(runs) - 1), traces


def run(runner, tally, runs, kinds, *, batch=BATCH, keep=None, alone=ALONE):
    """Make that many runs, the kinds in turn (a kind may have its seed: `KIND=SEED`)."""
    left = [kinds[index % len(kinds)] for index in range(runs)]
    began, told = time.monotonic(), 0
    while left:
        names, left = left[:batch], left[batch:]
        now = [name if "=" in name else f"{name}={runner.chance.randrange(1 << 48):012x}" for name in names]
        first, again, complaints = runner.once(now)
        place, traces = first_wrong(now, first, again, complaints)
        if place is not None:
            left += names[place + 1 :]
            now, traces = now[: place + 1], traces[: place + 1]
            _wrong(runner, tally, now, (first, again, complaints), keep, alone)
        for name in now:
            kind = name.partition("=")[0]
            tally.runs[kind] = tally.runs.get(kind, 0) + 1
        tally.traces.update(traces)
        done = sum(tally.runs.values())
        if done - told >= REPORT_EVERY:
            told = done
            wrong = sum(tally.wrong.values())
            print(f"{done} runs, {wrong} not identical, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _wrong(runner, tally, runs, found, keep, alone):
    """The last of these runs went wrong: note it, keep it, and see whether it does so alone."""
    first, again, complaints = found
    kind, _, seed = runs[-1].partition("=")
    tally.wrong[kind] = tally.wrong.get(kind, 0) + 1
    if keep is not None:
        folder = keep / f"{kind}-{seed}"
        shutil.copytree(runner.folder / "replayed", folder)
        (folder / "first.txt").write_text(first)
        (folder / "again.txt").write_text(again)
        (folder / "runs.txt").write_text(" ".join(runs))
    wrong = sum(first_wrong(runs[-1:], *runner.once(runs[-1:]))[0] is not None for _ in range(alone))
    again_alone = f"; alone {wrong} of {alone} go wrong" if alone else ""
    told = f"{runs[-1]}, run {len(runs)} of its batch{again_alone}\n" + "\n".join(complaints)[:3000]
    tally.shown.append(told)
    print(told, file=sys.stderr, flush=True)


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
    parser.add_argument("--again", action="append", help="KIND=SEED of a run that went wrong")
    parser.add_argument("--batch", type=int, default=BATCH, help="runs that share a process (1: each has its own)")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--unordered", action="store_true")
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--durability", default="write", choices=("write", "fsync", "off"))
    parser.add_argument("--keep", type=Path, help="a folder for the recordings of runs that went wrong")
    options = parser.parse_args()
    tally = Tally()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(
            Path(folder),
            options.python,
            unordered=options.unordered,
            durability=options.durability,
            cut=options.cut,
        )
        kinds = options.again or options.kind or kinds_of()
        batch, alone = (1, 0) if options.unordered else (options.batch, ALONE)
        run(runner, tally, options.runs, kinds, batch=batch, keep=options.keep, alone=alone)
    for name, count in tally.runs.items():
        print(f"{name:20} {count:6} runs {tally.wrong.get(name, 0):4} wrong")
    total, wrong = sum(tally.runs.values()), sum(tally.wrong.values())
    seconds = time.monotonic() - began
    print(f"{total} runs, {len(tally.traces)} different traces, {wrong} replays not identical, {seconds:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
