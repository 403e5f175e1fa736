"""What a command leaves running when it ends: its calls still succeed, a recording says so, a replay does not pass it over."""

import json
import os
import select
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.executable import PLAYHEAD, plain_environment, playhead
from tests.support.listener import Listener, web

# The daemon waits for a line on the pipe, calls, and writes what it got; it has nothing of ours open.
DAEMON = """
    import os, sys, urllib.request
    url, orders, replies = sys.argv[1:4]
    def get(path):
        return urllib.request.urlopen(url + path).status
    print(get("/first"), flush=True)
    if len(sys.argv) > 4 and os.fork() == 0:
        os.setsid()
        for fd in range(3):
            os.close(fd)
        with open(orders) as incoming, open(replies, "w", buffering=1) as out:
            for line in incoming:
                if line == "end\\n":
                    break
                try:
                    out.write(f"{get('/' + line.strip())}\\n")
                except OSError as error:
                    out.write(f"{error!r}\\n")
    os._exit(0)
    """


class Pipes:
    """The test's hands on the daemon."""

    def __init__(self, folder):
        self.names = [str(folder / "orders"), str(folder / "replies")]
        for name in self.names:
            os.mkfifo(name)
        self.orders, self.replies = (os.open(name, os.O_RDWR) for name in self.names)

    def order(self, text):
        os.write(self.orders, text.encode() + b"\n")

    def reply(self):
        assert select.select([self.replies], [], [], 60)[0]
        return os.read(self.replies, 1000).decode().strip()

    def close(self):
        os.close(self.orders)
        os.close(self.replies)


@pytest.fixture
def pipes(tmp_path):
    hands = Pipes(tmp_path)
    yield hands
    hands.order("end")
    hands.close()


@pytest.fixture
def server():
    with Listener(web) as listener:
        yield listener


def agent(server, pipes, *more):
    return ("--", sys.executable, "-c", textwrap.dedent(DAEMON), f"http://127.0.0.1:{server.port}", *pipes.names, *more)


def test_a_daemon_keeps_its_way_out_when_the_recording_is_over(home, server, pipes):
    """It was given our proxy and our watch; neither ends under it. The recording says that there was more."""
    env = plain_environment(home)
    # communicate() returns at the end of the streams: nothing that stays may hold them
    recorded = playhead("record", "--summary", home / "s.json", *agent(server, pipes, "stay"), env=env)
    assert recorded.returncode == 0, recorded.stderr
    summary = json.loads((home / "s.json").read_text())
    assert summary["exchanges"] == 1
    assert not summary["complete"]
    assert [item["reason"].partition(";")[0] for item in summary["not_captured"]] == [
        "still running when the command ended"
    ]
    assert "still running when the command ended" in recorded.stderr
    for number in range(3):
        pipes.order(f"later-{number}")
        assert pipes.reply() == "200"
    assert server.came == 4


@pytest.mark.parametrize(("inside", "verdict"), [("off", "incomplete"), ("on", "diverged")])
def test_a_replay_ends_what_its_command_leaves_and_is_not_identical_when_the_recording_left_nothing(
    home, server, pipes, inside, verdict
):
    """A call after the end would be nobody's: so the process that could make it is ended, and named. On the tape inside, it
    is also seen to do what the recorded one did not."""
    env = plain_environment(home) | {"PLAYHEAD_INSIDE": inside}
    assert playhead("record", "--name", "it", *agent(server, pipes), env=env).returncode == 0
    replayed = playhead("replay", "--summary", home / "s.json", "it", *agent(server, pipes, "stay"), env=env)
    assert replayed.returncode == 1, replayed.stderr
    assert json.loads((home / "s.json").read_text())["verdict"] == verdict
    assert ("still running when the command ended" in replayed.stderr) == (inside == "off")  # a divergence ends it
    assert server.came == 1
    assert processes_naming(pipes.names[0]) == []


def test_a_replay_that_leaves_what_the_recorded_run_left_is_identical(home, server, pipes):
    """The recording has said what it did not see; up to there the runs are the same."""
    env = plain_environment(home)
    assert playhead("record", "--name", "it", *agent(server, pipes, "stay"), env=env).returncode == 0
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert "still running when the command ended" in replayed.stderr  # said before it starts


def test_what_was_running_before_the_run_is_not_of_it(home, server, pipes):
    """A shell's own child, when the shell becomes the recorder: not named, not ended by a replay."""
    env = plain_environment(home)
    script = home / "agent.py"
    script.write_text(textwrap.dedent(DAEMON))
    command = f"{sys.executable} {script} http://127.0.0.1:{server.port} {' '.join(pipes.names)}"
    for verb in (f"record --name it -- {command}", "replay it"):
        shell = f"sleep 60 >/dev/null 2>&1 & echo $!; exec {PLAYHEAD} {verb}"
        ran = subprocess.run(
            ["sh", "-c", shell],
            env=env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        pid = int(ran.stdout.split()[0])
        try:
            assert ran.returncode == 0, ran.stderr
            assert "still running" not in ran.stderr
            os.kill(pid, 0)
        finally:
            os.kill(pid, 9)


def processes_naming(word):
    """The pids of processes with this word on their command line."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in line.read_bytes():
                found.append(int(line.parent.name))
        except OSError:
            continue
    return found
