"""SIGKILL at random moments: what the agent acted on is in the recording, complete; and nothing that never was."""

import contextlib
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from playhead.journal.store import Store
from playhead.sessions.address import find
from playhead.sessions.reader import read_recording
from tests.capture.wire.rig import Server
from tests.e2e.agents.raw_client import length_of, read_exactly, read_head
from tests.support.executable import PLAYHEAD, plain_environment, playhead

AGENT = Path(__file__).with_name("agents") / "noting_agent.py"
CALLS = 250
VICTIMS = ("agent", "engine", "launcher")
SHARE, ALL = 18, 200


class Answers:
    """A serve function whose answers are all different, from a few bytes to some 100 KB, some of them in pieces."""

    def __init__(self, dice):
        self.dice = dice
        self.sent = {}

    def __call__(self, sock):
        while (head := read_head(sock)).endswith(b"\r\n\r\n"):  # an asker that is killed may leave half of one
            question = read_exactly(sock, length_of(head))
            if len(question) < length_of(head):
                return
            number = json.loads(question)["number"]
            size = self.dice.choice((10, 300, 300, 5000, 100_000))
            # among a hundred megabytes of noise is now and then what looks like the password of a URL, and would be redacted
            noise = self.dice.randbytes(size).replace(b":", b";")
            body = b"%d %s" % (number, noise)
            self.sent[hashlib.sha256(body).hexdigest()] = number
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            half = len(body) // 2
            sock.sendall(body[:half])
            sock.sendall(body[half:])


@dataclass
class Run:
    """One recorded run of the agent and what became of it."""

    home: Path
    server: Server
    durability: str = "write"
    noted: list[str] = field(default_factory=list)

    def start(self):
        """Run until the agent has begun; finds all three processes."""
        self.env = plain_environment(self.home, OPENAI_BASE_URL=f"http://127.0.0.1:{self.server.port}/v1")
        self.notes = self.home / "notes"
        self.talk = self.home / "talk"
        command = [PLAYHEAD, "record", "--durability", self.durability, "--", sys.executable, AGENT, self.notes, CALLS]
        with self.talk.open("wb") as talk:
            self.launcher = subprocess.Popen(
                list(map(str, command)),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=talk,
            )
        self.agent = int(self.first_note())
        children = Path(f"/proc/{self.launcher.pid}/task/{self.launcher.pid}/children").read_text().split()
        (self.engine,) = (int(pid) for pid in children if int(pid) != self.agent)

    def first_note(self):
        pause, until = threading.Event(), time.monotonic() + 60
        while time.monotonic() < until:
            if self.notes.exists() and (lines := self.notes.read_text().splitlines()):
                return lines[0]
            pause.wait(0.002)
        raise TimeoutError(f"the agent never began: {self.talk.read_text()}")

    def kill(self, victim):
        """SIGKILL, then wait until all three have ended."""
        pid = self.launcher.pid if victim == "launcher" else getattr(self, victim)
        handles = []
        for each in (self.engine, self.agent):
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(each))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.end(handles)

    def end(self, handles=()):
        self.launcher.wait(60)
        for handle in handles:
            assert select.select([handle], [], [], 30)[0], "a process of the run never ended"
            os.close(handle)
        self.noted = [line.split()[1] for line in self.notes.read_text().splitlines()[1:]]

    @property
    def session(self):
        return find(Store.open(self.home / "store"), "last").path

    def recorded(self):
        """Digest -> question number of each complete answer in the recording."""
        found = {}
        for exchange in read_recording(self.session).exchanges:
            head, _, body = exchange.answer.partition(b"\r\n\r\n")
            if exchange.ending == "complete":
                assert length_of(head + b"\r\n\r\n") == len(body)
                found[hashlib.sha256(body).hexdigest()] = json.loads(exchange.body)["number"]
        return found


@pytest.fixture(scope="module")
def run_s(tmp_path_factory):
    """How long the agent's calls take when nobody is killed, in seconds; also that all of them are then recorded."""
    home = tmp_path_factory.mktemp("whole")
    with Server(Answers(random.Random(0))) as server:
        run = Run(home, server)
        run.start()
        began = time.monotonic()
        run.end()
        took = time.monotonic() - began
    assert len(run.noted) == CALLS
    assert set(run.noted) == set(run.recorded())
    return took


def kill_again_and_again(victim, kills, folder, run_s, seed, *, durability="write"):
    """So many runs, each killed at a moment drawn uniformly; how many noted answers were missing in each."""
    dice = random.Random(seed)
    missing = []
    for kill in range(kills):
        home = folder / f"{victim}-{kill}"
        home.mkdir()
        answers = Answers(dice)
        with Server(answers) as server:
            run = Run(home, server, durability)
            run.start()
            threading.Event().wait(dice.uniform(0, run_s))
            run.kill(victim)
        recorded = run.recorded()
        context = f"{victim=} {seed=} {kill=} noted={len(run.noted)} {run.launcher.returncode=} {run.talk.read_text()}"
        assert recorded.items() <= answers.sent.items(), f"invented: {context}"
        missing.append(len(set(run.noted) - set(recorded)))
        if durability != "off":
            check_that_it_opens(run, victim, context)
    return missing


def check_that_it_opens(run, victim, context):
    """`inspect` and `verify` of what a kill left behind."""
    shown = playhead("inspect", "last", "--json", env=run.env)
    assert shown.returncode == 0, context + shown.stderr
    session = json.loads(shown.stdout)
    whole = len(run.noted) == CALLS
    allowed = {"agent": {"killed"}, "engine": {"incomplete"}, "launcher": {"killed"}}[victim] | (
        {"ok"} if whole else set()
    )
    if whole and victim == "launcher":  # killed when it had written how the agent ended, and not that this was all
        allowed.add("incomplete")
    assert session["status"] in allowed, context
    assert len(session["steps"]) - len(run.noted) in (0, 1), f"{len(session['steps'])} steps: {context}"
    verified = playhead("verify", "last", env=run.env)
    assert verified.returncode == 0, context + verified.stdout + verified.stderr


def kills(count):
    return pytest.param(count, marks=pytest.mark.soak) if count == ALL else count


@pytest.mark.parametrize("count", [kills(SHARE), kills(ALL)])
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.timeout(1800)
def test_no_answer_that_the_agent_had_is_missing_after_a_kill(tmp_path, run_s, victim, count):
    """Agent, engine and launcher killed at random moments: the session opens, holds every answer the agent noted with
    complete bytes, and none that the server did not give."""
    seed = random.randrange(2**32)
    print(f"{seed=}")
    missing = kill_again_and_again(victim, -(-count // len(VICTIMS)), tmp_path, run_s, seed)
    assert not any(missing), f"{seed=} {missing}"


@pytest.mark.parametrize("count", [2, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("victim", ["agent", "engine"])
@pytest.mark.timeout(1800)
def test_nothing_is_missing_after_a_kill_under_fsync(tmp_path, run_s, victim, count):
    """The same where answers wait for the device."""
    seed = random.randrange(2**32)
    print(f"{seed=}")
    missing = kill_again_and_again(victim, count, tmp_path, run_s, seed, durability="fsync")
    assert not any(missing), f"{seed=} {missing}"


def test_without_durability_a_kill_loses_answers(tmp_path, run_s):
    """The control: `--durability off` keeps records in memory, and the same kills lose some. The test can fail."""
    for seed in range(
        10
    ):  # a kill may come before the first answer, or behind the last where a run is quicker than that one was
        (folder := tmp_path / str(seed)).mkdir()
        if any(kill_again_and_again("engine", 1, folder, run_s / 2, seed, durability="off")):
            return
    pytest.fail("ten kills took nothing, or nobody looked")
