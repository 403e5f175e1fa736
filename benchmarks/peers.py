"""The same little agents recorded and replayed by Playhead, agentrr and retracesoftware, in turns: CPU, and whether it came again.

    python benchmarks/peers.py [--agentrr PYTHON] [--retracesoftware PYTHON] [--rounds N]

The options are interpreters of environments in which the peers are installed (agentrr 0.1.0a3, retracesoftware 0.2.30);
without one its columns say so. CPU is user and system time of the agent's process, by `wait4`. Each agent runs long and
short; the difference of the least of both, divided by the loops between, is what one loop costs: starts cancel out, and are told
apart. A long run is made so long, for each way, that it takes half a second more than a short one, or half as much again. All
ways take turns in a round; what the least say is printed, and in brackets what the medians say.

Playhead runs as its launcher has it run in the agent's process, durability `write`; agentrr without its sync for each event
(`AGENTRR_FSYNC=0`), since `write` has none either; retracesoftware as it is. agentrr needs clocks and random numbers to be called
through its own modules, and the agent to be a function that it calls: the agents do so for it, and only for it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HOOKS = Path(__file__).parents[1] / "src" / "playhead" / "capture" / "hooks" / "python"

AGENT = """
import json, os, random, re, sys, time

WAY = os.environ.get("WAY", "")
now, draw = time.time, random.random
tool = lambda function: function
if WAY == "agentrr":
    from agentrr_sdk import record, replay, tool
    from agentrr_sdk.shims import clock, rng
    now, draw = clock.time, rng.random
elif WAY == "playhead":
    import playhead
    tool = playhead.tool(effect="read")


@tool
def look_up(order, days):
    return {"order": order, "days": days, "open": True, "lines": [{"sku": "A-1", "count": 2}]}


class Parser:
    word = re.compile(r"[a-z]+|[0-9]+")

    def parse(self, text):
        kinds = {}
        for each in self.word.findall(text):
            kinds[self.kind(each)] = kinds.get(self.kind(each), 0) + 1
        return kinds

    def kind(self, each):
        return "number" if each.isdigit() else "word"


def clocks(loops):
    total = 0.0
    for _ in range(loops):
        total += now() % 1
    return total


def draws(loops):
    total = 0.0
    for _ in range(loops):
        total += draw()
    return total


def tools(loops):
    total = 0
    for number in range(loops):
        total += len(look_up("order %d" % number, 3)["lines"])
    return total


def nothing(loops):
    parser, total = Parser(), 0
    text = json.dumps({"messages": [{"role": "user", "content": "order %d is late by %d days" % (n, n)} for n in range(12)]})
    for _ in range(loops):
        said = json.loads(text)
        total += sum(parser.parse(m["content"])["number"] for m in said["messages"])
        total += len(json.dumps(said))
    return total


def main():
    print(globals()[sys.argv[1]](int(sys.argv[2])))


def go():
    if WAY == "agentrr":
        from pathlib import Path
        log = Path(os.environ["LOG"])
        record("it", main, log_path=log) if os.environ["MODE"] == "record" else replay(log, main)
    else:
        main()


if __name__ == "__main__":
    go()
"""

LOOPS = {"clocks": 200, "draws": 200, "tools": 20, "nothing": 20}
"""Loops of the short run."""
LONG_S = 0.5
"""CPU that the long run takes more, at least, so that the noise of two starts does not matter; half a start where that is more."""
UNIT = {"clocks": "a clock read", "draws": "a random number", "tools": "a tool call", "nothing": "a loop"}


class Refused(Exception):
    """A peer cannot do it, and why."""


@dataclass
class Figures:
    """CPU in seconds of the rounds of one agent, one way, one mode. `loops` is by how many the long run is longer."""

    short: list[float] = field(default_factory=list)
    long: list[float] = field(default_factory=list)
    loops: int = 0
    others: int = 0
    why: str = ""

    def microseconds(self) -> float:
        """Of one loop, by the least disturbed runs."""
        return (min(self.long) - min(self.short)) / self.loops * 1e6

    def usual(self) -> float:
        """Of one loop, by the median runs."""
        return (statistics.median(self.long) - statistics.median(self.short)) / self.loops * 1e6


def spent(command: list[str], environment: dict[str, str], folder: Path) -> tuple[float, str]:
    """CPU seconds of a process, and what it printed. Raises Refused."""
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        child = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said = err.read().strip().splitlines()
        if child.returncode:
            raise Refused(f"exit code {child.returncode}" + (f": {said[-1][:90]}" if said else ""))
        return usage.ru_utime + usage.ru_stime, out.read()


class Ways:
    """How each of them records and replays `agent.py` in a folder."""

    def __init__(self, folder: Path, agentrr: str, retracesoftware: str) -> None:
        self.folder = folder
        self.pythons = {"bare": sys.executable, "playhead": sys.executable}
        self.pythons["agentrr"], self.pythons["retracesoftware"] = agentrr, retracesoftware
        self.names = list(self.pythons)
        (folder / "agent.py").write_text(AGENT)

    def run(self, way: str, mode: str, agent: str, loops: int) -> tuple[float, str]:
        """CPU seconds, output. Raises Refused."""
        python = self.pythons[way]
        if not python:
            raise Refused(f"not installed (--{way})")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PLAYHEAD", "RETRACE"))}
        environment |= {"WAY": way, "MODE": mode, "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")}
        environment["PYTHONHASHSEED"] = "0"
        command = [python, "agent.py", agent, str(loops)]
        before = getattr(self, f"_{way}", None)
        if before is not None:
            command = before(python, mode, command, environment)
        return spent(command, environment, self.folder)

    def _fresh(self, name: str) -> Path:
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def _playhead(self, _python: str, mode: str, command: list[str], environment: dict[str, str]) -> list[str]:
        tape = self._fresh("recorded") if mode == "record" else self._fresh("replayed")
        if mode == "replay":
            for each in (self.folder / "recorded").glob("*.seg"):
                shutil.copy(each, tape)
            (tape / "again").write_text("")
        environment |= {
            "PYTHONPATH": str(HOOKS),
            "PLAYHEAD_PORT": "1",
            "PLAYHEAD_TAPE": f"{mode}:{tape}",
            "PLAYHEAD_PROCESS": "0",
            "PLAYHEAD_SEED": os.urandom(16).hex() if mode == "record" else self.seed,
        }
        self.seed = environment["PLAYHEAD_SEED"]
        return command

    def _agentrr(self, python: str, mode: str, command: list[str], environment: dict[str, str]) -> list[str]:
        log = self.folder / "agentrr.jsonl"
        if mode == "record":
            log.unlink(missing_ok=True)
        environment |= {"LOG": str(log), "AGENTRR_FSYNC": "0"}
        return [python, "-c", "import agent; agent.go()", *command[2:]]  # it wants a function of a module

    def _retracesoftware(self, python: str, mode: str, command: list[str], _environment: dict[str, str]) -> list[str]:
        there, recording = Path(python).parent, self.folder / "it.retrace"
        if mode == "record":
            recording.unlink(missing_ok=True)
            return [str(there / "retracepython"), "--recording", str(recording), *command[1:]]
        parts = self._fresh("retrace")
        extract = [str(there / "replay"), "--recording", str(recording), "--extract", str(parts)]
        subprocess.run(extract, check=True, capture_output=True)
        return [str(there / "replay"), str(next(parts.glob("*.bin")))]


def measure(ways: Ways, rounds: int) -> dict[tuple[str, str, str], Figures]:
    """All figures by agent, way and mode."""
    found: dict[tuple[str, str, str], Figures] = {}
    longer = {(agent, way): loops_between(ways, agent, way) for agent in LOOPS for way in ways.names}
    for number in range(rounds):
        for agent, few in LOOPS.items():
            for way in ways.names[number % 4 :] + ways.names[: number % 4]:
                one_round(ways, agent, way, few, few + longer[agent, way], found)
    return found


def loops_between(ways: Ways, agent: str, way: str) -> int:
    """By how many loops the long run is longer, for at least `LONG_S`. Some, where it cannot run at all: the rounds say why."""
    mode, loops = "bare" if way == "bare" else "record", LOOPS[agent] * 10
    try:
        start = min(ways.run(way, mode, agent, LOOPS[agent])[0] for _ in range(2))
        enough = max(LONG_S, start / 2)
        while (more := ways.run(way, mode, agent, LOOPS[agent] + loops)[0] - start) < enough / 4:
            loops *= 4
    except Refused:
        return loops
    return max(loops, int(loops * enough / more))


def one_round(
    ways: Ways, agent: str, way: str, few: int, many: int, found: dict[tuple[str, str, str], Figures]
) -> None:
    """Record both lengths, and replay each behind its recording."""
    modes = ("bare",) if way == "bare" else ("record", "replay")
    rows = [found.setdefault((agent, way, mode), Figures(loops=many - few)) for mode in modes]
    if any(row.why for row in rows[:1]):
        return
    for loops in (few, many):
        said = ""
        for mode, row in zip(modes, rows, strict=True):
            if row.why:
                continue
            try:
                cpu, out = ways.run(way, mode, agent, loops)
            except Refused as why:
                row.why = str(why)
                if mode == "record":
                    rows[-1].why = "nothing recorded"
                continue
            (row.short if loops == few else row.long).append(cpu)
            row.others += mode == "replay" and out.strip() not in said
            said = out


def shown(agent: str, way: str, mode: str, row: Figures, bare: float) -> str:
    """One line of the answer."""
    name = f"{agent:8} {way:16} {mode:7}"
    if row.why:
        return f"{name} -  {row.why}"
    each, start = row.microseconds(), min(row.short) * 1000
    text = f"{name} {each:9.2f} us ({row.usual():8.2f}) {UNIT[agent]:16} x{each / bare:7.2f} of bare   start {start:5.0f} ms"
    if mode == "replay":
        runs = len(row.short) + len(row.long)
        text += "   came again" if not row.others else f"   {row.others} of {runs} runs printed something else"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agentrr", default="", metavar="PYTHON")
    parser.add_argument("--retracesoftware", default="", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Ways(Path(folder), options.agentrr, options.retracesoftware), options.rounds)
    print(
        f"Python {sys.version.split()[0]}, by the least (the median) of {options.rounds} rounds; load {os.getloadavg()[0]:.1f}"
    )
    for (agent, way, mode), row in found.items():
        bare = found[agent, "bare", "bare"].microseconds()
        print(shown(agent, way, mode, row, bare))


if __name__ == "__main__":
    main()
