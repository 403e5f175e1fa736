"""A session that does not fit into what is kept in memory of its file: the engine reads on while it replays."""

import random
import sys
import textwrap

from tests.e2e.agents.raw_client import read_head
from tests.support.executable import plain_environment, playhead
from tests.support.listener import Listener

AGENT = """
    import hashlib, sys, urllib.request
    for number in range(6):
        with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/{number}") as answer:
            print(number, hashlib.sha256(answer.read()).hexdigest())
    """


def _answer(sock):
    number = int(read_head(sock).split(b" ")[1].rsplit(b"/", 1)[-1])
    body = random.Random(number).randbytes(5_000_000)
    sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_thirty_megabytes_of_answers_replay(tmp_path):
    """More than the 16 MB of decoded frames that a reader keeps: byte by byte the same, in file order."""
    (tmp_path / "agent.py").write_text(textwrap.dedent(AGENT))
    env = plain_environment(tmp_path)
    with Listener(_answer) as listener:
        recorded = playhead("record", "--", sys.executable, tmp_path / "agent.py", listener.port, env=env)
    assert recorded.returncode == 0, recorded.stderr
    replayed = playhead("replay", "last", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert "identical (6 of 6" in replayed.stderr
    assert replayed.stdout == recorded.stdout != ""
