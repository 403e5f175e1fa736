"""SIGKILL of either half of Playhead: recording fails open, replay fails closed, and the session says so."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from playhead.cassette.opening import open_session
from tests.support.executable import PLAYHEAD, plain_environment, playhead
from tests.support.model_server import Behaviour, ModelServer

AGENT = str(Path(__file__).with_name("steered_agent.py"))


@pytest.fixture(scope="module")
def server():
    """One model server for all."""
    with ModelServer() as server:
        yield server


class Steered:
    """A `playhead` run of the steered agent, and the test's hands on all three processes."""

    def __init__(self, folder, *arguments, env):
        self.env = env
        self.ends = {}
        for name in ("orders", "replies"):
            if not (folder / name).exists():
                os.mkfifo(folder / name)
            self.ends[name] = os.open(folder / name, os.O_RDWR)
        self.heard = b""
        self.process = subprocess.Popen(
            [PLAYHEAD, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.agent = int(self.reply())
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (self.engine,) = (int(pid) for pid in children if int(pid) != self.agent)

    def order(self, text):
        os.write(self.ends["orders"], text.encode() + b"\n")

    def reply(self, within=60.0):
        until = time.monotonic() + within
        while b"\n" not in self.heard:
            ready, _, _ = select.select([self.ends["replies"]], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise TimeoutError(f"no reply within {within} s; {self.process.poll()=}")
            self.heard += os.read(self.ends["replies"], 65536)
        line, _, self.heard = self.heard.partition(b"\n")
        return line.decode()

    def ask(self, text):
        self.order(text)
        return self.reply()

    def finish(self):
        self.out, self.err = (data.decode() for data in self.process.communicate(timeout=120))
        return self.process.returncode

    def close(self):
        for pid in (self.process.pid, self.agent, self.engine):
            gone_within(pid, 0) or os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        while self.ends:
            os.close(self.ends.popitem()[1])


def gone_within(pid, seconds=60):
    """Whether the process has ended, or ends within so many seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@pytest.fixture
def steer(tmp_path, server):
    """Start a steered run: steer("record", ...) or steer("replay", ...)."""
    runs = []

    def start(*arguments):
        env = plain_environment(tmp_path, OPENAI_BASE_URL=f"{server.url}/v1")
        command = ("--", sys.executable, AGENT, tmp_path / "orders", tmp_path / "replies")
        if arguments[0] == "record":
            arguments = (*arguments, *map(str, command))
        runs.append(Steered(tmp_path, *arguments, env=env))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def inspect(run, address="last"):
    shown = playhead("inspect", address, "--json", env=run.env)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def test_calls_go_on_when_the_engine_is_killed(steer, server, tmp_path):
    """The call in flight resets, the next succeeds and is not recorded, and the run says all that."""
    server.behave("stay in flight", Behaviour(delay=100))
    run = steer("record", "--summary", str(tmp_path / "summary.json"))
    assert run.ask("before").startswith("200 ")
    seen = server.hits
    run.order("stay in flight")
    server.wait_for(seen + 1)
    os.kill(run.engine, signal.SIGKILL)
    assert run.reply().startswith("failed ")
    assert run.ask("after").startswith("200 ")
    run.order("exit 7")
    assert run.finish() == 7
    assert "incomplete: the engine died (signal 9)" in run.err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["complete"], summary["exit_code"], summary["exit_source"]) == (False, 7, "child")
    shown = inspect(run)
    assert shown["status"] == "incomplete"
    assert [step["status"] for step in shown["steps"]] == ["ok", "aborted"]


def test_the_engine_may_be_killed_again_and_again(steer, server):
    """Every replacement is replaced, and the call that comes next succeeds within a second (the quickest of them: the
    machine may be busy)."""
    run = steer("record")
    took = []
    while len(took) < 5 or (min(took) > 1 and len(took) < 15):
        asked = time.monotonic()
        assert run.ask(f"{{{{close}}}} call {len(took)}").startswith("200 ")
        took.append(time.monotonic() - asked if took else 1e9)  # nobody had been killed before the first
        children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
        (run.engine,) = (int(pid) for pid in children if int(pid) != run.agent)
        os.kill(run.engine, signal.SIGKILL)
        assert gone_within(run.engine)
    assert min(took) < 1
    run.order("exit 0")
    assert run.finish() == 0
    assert inspect(run)["status"] == "incomplete"


def test_a_replay_whose_player_is_killed_fails_closed(steer, server):
    """The command is ended, nothing leaves, the verdict is `failed`, the exit code 5."""
    recorded = steer("record", "--name", "it")
    assert recorded.ask("first").startswith("200 ")
    assert recorded.ask("second").startswith("200 ")
    recorded.order("exit 0")
    assert recorded.finish() == 0
    seen = server.connections
    run = steer("replay", "it")
    assert run.ask("first").startswith("200 ")
    os.kill(run.engine, signal.SIGKILL)
    run.order("second")
    assert run.finish() == 5
    assert "failed" in run.err
    assert "the player died" in run.err
    assert "Traceback" not in run.err
    assert gone_within(run.agent, 0)
    assert server.connections == seen


def test_the_agent_goes_on_when_the_launcher_is_killed(steer, server):
    """Its calls are answered and recorded, on old connections and on new ones; the session opens as `killed`; and the
    engine ends when the agent has ended."""
    run = steer("record")
    assert run.ask("before").startswith("200 ")
    os.kill(run.process.pid, signal.SIGKILL)
    assert gone_within(run.process.pid)
    assert run.ask("on the old connection").startswith("200 ")
    assert run.ask("{{close}} ends the connection").startswith("200 ")
    assert run.ask("on a new connection").startswith("200 ")
    assert inspect(run)["status"] == "open"
    run.order("exit 0")
    assert gone_within(run.agent)
    assert gone_within(run.engine)
    shown = inspect(run)
    assert shown["status"] == "killed"
    assert [step["status"] for step in shown["steps"]] == ["ok"] * 4
    listed = json.loads(playhead("list", "--json", env=run.env).stdout)
    assert [row["status"] for row in listed] == ["killed"]
    assert playhead("verify", "last", env=run.env).returncode == 0


def test_a_replay_whose_launcher_is_killed_lets_nothing_out(steer, server):
    """Whoever of the run is left cannot reach the world."""
    recorded = steer("record", "--name", "it")
    assert recorded.ask("first").startswith("200 ")
    recorded.order("exit 0")
    assert recorded.finish() == 0
    seen = server.connections
    run = steer("replay", "it")
    os.kill(run.process.pid, signal.SIGKILL)
    assert gone_within(run.process.pid)
    run.order("something else")
    run.order("exit 0")
    assert gone_within(run.agent)
    assert gone_within(run.engine)
    assert server.connections == seen


def kill_at_random(run, victim, dice):
    """Let the agent ask without pause, kill `victim` at some moment, and return the prompts whose answers the agent had
    before it noticed anything."""
    total = 12
    run.order("\n".join(f"prompt number {number}" for number in range(total)))
    answered = [run.reply() for _ in range(dice.randrange(1, total - 2))]  # one at least: its connection will break
    select.select([], [], [], dice.random() * 0.004)
    os.kill(victim, signal.SIGKILL)
    while len(answered) < total:
        try:
            answered.append(run.reply(within=0 if victim == run.agent and gone_within(victim) else 60))
        except TimeoutError:
            break
    noticed = next((n for n, reply in enumerate(answered) if not reply.startswith("200 ")), len(answered))
    return [reply.partition("I heard: ")[2].rpartition(" (")[0] for reply in answered[:noticed]]


def killed_at_random_moments(steer, server, rounds):
    dice = random.Random(rounds)
    for number in range(rounds):
        run = steer("record")
        who = ("engine", "launcher", "agent")[number % 3]
        victim = {"engine": run.engine, "launcher": run.process.pid, "agent": run.agent}[who]
        had = kill_at_random(run, victim, dice)
        if who != "agent":
            run.order("exit 0")
        run.process.communicate(timeout=120)
        assert gone_within(run.engine)
        shown = inspect(run)
        assert shown["status"] == {"engine": "incomplete", "launcher": "killed", "agent": "killed"}[who]
        whole = [step for step in shown["steps"] if step["status"] == "ok"]
        session = open_session(shown["session"], store=Path(run.env["PLAYHEAD_STORE"]))
        asked = [json.loads(session.step(step["step"]).asked.body)["messages"][-1]["content"] for step in whole]
        assert asked[: len(had)] == had, who
        assert playhead("verify", "last", env=run.env).returncode == 0
        run.close()


def test_killed_at_random_moments(steer, server):
    """Engine, launcher or agent: the session opens, and every answer that the agent had is in it."""
    killed_at_random_moments(steer, server, 6)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_killed_200_times_at_random_moments(steer, server):
    """The same, 200 times."""
    killed_at_random_moments(steer, server, 200)
