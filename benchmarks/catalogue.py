"""Catalogues of 100,000 sessions, of 1,000,000 steps and of 10,000 steps of text, made by the product's own code in a
temporary folder, and how long they take to answer.

    python benchmarks/catalogue.py [--seed N] [--sessions N] [--steps N] [--text N]

Needs about 1 GB of disk and a few minutes, most of them to fill. Bounds are those of the design.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead.journal.catalogue import Catalogue, Entry, Row, StepRow
from playhead.journal.store import Store
from playhead.sessions.index import FILE, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW_NS = time.time_ns()
DAY_NS = 86_400 * 10**9
MODELS = [
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-5.1"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("gemini", "gemini-2.5-flash"),
    ("bedrock", "amazon.nova-lite-v1:0"),
]
USAGE = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def session(chance: random.Random, number: int, steps: int, *, days: int, words: list[str] | None = None) -> Entry:
    """A session that looks like one, begun on any of the last days."""
    created = NOW_NS - int(chance.random() * days * DAY_NS)
    models = chance.sample(MODELS, 2)
    rows = []
    for step in range(1, steps + 1):
        provider, model = chance.choice(models)
        tokens = (chance.randrange(500, 60_000), chance.randrange(500), None, chance.randrange(20, 2000), None)
        rows.append(
            StepRow(
                step,
                "llm",
                "main",
                provider,
                model,
                "-> read_file(src/agent.py)",
                created + step * 10**9,
                chance.lognormvariate(0.5, 1.0),
                0.4,
                "error" if chance.random() < 0.02 else "ok",
                tokens,
                chance.random() / 50,
                "stop",
                " ".join(chance.choices(words, k=chance.randrange(60, 400))) if words else "",
            )
        )
    name = f"agent-{chance.randrange(40)}"
    header: dict[str, Any] = {
        "session": f"{number:016x}",
        "name": name,
        "created": "2026-11-21T10:03:43.120Z",
        "command": ["python", "agent.py", "--task", str(number)],
        "status": "ok",
        "parent": None,
        "tags": {"team": chance.choice(["billing", "search", "support"])},
        "duration_s": 12.5,
        "exit_code": 0,
        "step_count": steps,
        "llm_calls": steps,
        "tool_calls": 0,
        "models": sorted({row.model or "" for row in rows}),
        "usage": dict.fromkeys(USAGE, 1000),
        "cost_usd": 0.0123,
    }
    return Entry(Row(f"{number:016x}", name, created, "ok", header), rows)


def fill(index: Catalogue, entries: Iterator[Entry]) -> float:
    """Put all, many in a transaction; seconds."""
    began = time.perf_counter()
    together: list[Entry] = []
    for entry in entries:
        together.append(entry)
        if len(together) == 500:
            index.put(*together)
            together = []
    index.put(*together)
    return time.perf_counter() - began


def milliseconds(
    call: Callable[[], Any], rounds: int = 30, before: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Median and best of some rounds, after one that does not count; `before` runs before each and is not timed."""
    call()
    taken = []
    for _ in range(rounds):
        before()
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken), min(taken)


def say(what: str, bound: str, measured: tuple[float, float]) -> None:
    print(f"{what:<62} {bound:>10}   {measured[0]:8.2f} ms, best {measured[1]:.2f}")


def many_sessions(folder: Path, chance: random.Random, count: int) -> None:
    """A store of so many sessions of one step: `list` in process, and as a command."""
    store = Store.open(folder / "sessions")
    with Catalogue(store.root / FILE) as index:
        took = fill(index, (session(chance, n, 1, days=365) for n in range(count)))
        print(f"{count:,} sessions put in {took:.0f} s, {(store.root / FILE).stat().st_size / 1e6:.0f} MB")
        for number in range(count):  # what is listed are names of files; none is opened
            (store.sessions / f"{number:016x}.tape").touch()
        say("list, newest 50, in process", "<= 1 ms", milliseconds(lambda: index.newest(limit=50)))
        say("  of one tag", "", milliseconds(lambda: index.newest(limit=50, tags=[("team", "billing")]), 10))
        say("  by prefix of an id", "", milliseconds(lambda: index.newest(prefix="0000000000001", limit=6)))
    then = time.time() - 60
    os.utime(store.sessions, (then, then))
    command = [sys.executable, "-c", "from playhead.cli.main import main; main()", "list", "--store", str(store.root)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")

    def run(arguments: list[str]) -> None:
        subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL)

    for _ in range(2):  # compile, and see that nothing has changed
        run(command)
    say("list as a command", "<= 120 ms", milliseconds(lambda: run(command), 15))
    say("  bare Python beside it", "", milliseconds(lambda: run([sys.executable, "-c", "pass"]), 15))
    numbers = iter(range(count, 2 * count))

    def recorded() -> None:
        """What `record` leaves: a file, and its row."""
        number = next(numbers)
        with Catalogue(store.root / FILE) as index:
            index.put(session(chance, number, 1, days=1))
        (store.sessions / f"{number:016x}.tape").touch()

    say("list right after a recording, as a command", "<= 120 ms", milliseconds(lambda: run(command), 15, recorded))
    say(
        "  in process",
        "",
        milliseconds(lambda: ask(store, lambda index: index.newest(limit=50)), 15, recorded),
    )


def many_steps(folder: Path, chance: random.Random, count: int) -> None:
    """So many steps over 365 days and 6 models: sums."""
    with Catalogue(folder / "steps.db") as index:
        took = fill(index, (session(chance, n, 50, days=365) for n in range(count // 50)))
        print(f"\n{count:,} steps put in {took:.0f} s, {(folder / 'steps.db').stat().st_size / 1e6:.0f} MB")
        since = NOW_NS // DAY_NS - 29
        say("stats by model, 30 days", "<= 10 ms", milliseconds(lambda: index.tallied("model", since_day=since)))
        say("stats by model, all days", "<= 10 ms", milliseconds(lambda: index.tallied("model")))
        say("stats by day, all days", "<= 10 ms", milliseconds(lambda: index.tallied("day")))
        say(
            "stats by day and model, 30 days",
            "<= 10 ms",
            milliseconds(lambda: index.tallied("model", since_day=since, daily=True)),
        )
        say("stats by day and model, all days", "<= 10 ms", milliseconds(lambda: index.tallied("model", daily=True)))
        one = session(chance, count, 50, days=1)
        say("put a session of 50 steps", "", milliseconds(lambda: index.put(one)))


def searched(folder: Path, chance: random.Random, count: int) -> None:
    """So many steps of text: search."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randrange(3, 10))) for _ in range(8000)]
    with Catalogue(folder / "text.db") as index:
        took = fill(index, (session(chance, n, 50, days=30, words=words) for n in range(count // 50)))
        size = (folder / "text.db").stat().st_size / 1e6
        texts = index.read("SELECT sum(length(text)) FROM read_texts").fetchone()[0] / 1e6
        print(f"\n{count:,} steps of text ({texts:.0f} MB) put in {took:.0f} s, {size:.0f} MB")
        text = index.read("SELECT text FROM read_texts ORDER BY key LIMIT 1").fetchone()[0].split()
        phrase = f'"{text[20]} {text[21]}"'
        say("search a phrase", "<= 5 ms", milliseconds(lambda: index.search(phrase)))
        say("search a frequent word, 20 hits", "", milliseconds(lambda: index.search(text[0])))
        say("search two words", "", milliseconds(lambda: index.search(f"{text[0]} {text[1]}")))
        say("search a beginning", "", milliseconds(lambda: index.search(f"{text[0][:2]}*")))
        say("search what is nowhere", "", milliseconds(lambda: index.search("nowhere-at-all")))
        began = time.perf_counter()
        index.forget(f"{3:016x}")
        index.scrub()
        print(f"forget and scrub one session: {(time.perf_counter() - began) * 1000:.0f} ms")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options.add_argument("--sessions", type=int, default=100_000)
    options.add_argument("--steps", type=int, default=1_000_000)
    options.add_argument("--text", type=int, default=10_000)
    given = options.parse_args()
    print(f"seed {given.seed}")
    folder = Path(tempfile.mkdtemp(prefix="playhead-catalogue-"))
    try:
        many_sessions(folder, random.Random(given.seed), given.sessions)
        many_steps(folder, random.Random(given.seed + 1), given.steps)
        searched(folder, random.Random(given.seed + 2), given.text)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
