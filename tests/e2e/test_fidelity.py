"""Bytes, boundaries and pace: what the recorder passed on, kept and gives back is what there was."""

import base64
import itertools
import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from playhead.journal.store import Store
from playhead.sessions.address import find
from playhead.sessions.reader import read_recording
from tests.capture.wire.rig import Server
from tests.e2e.agents import odd_bodies
from tests.e2e.agents.raw_client import length_of, read_exactly, read_head
from tests.support.executable import PLAYHEAD, plain_environment, playhead

AGENTS = Path(__file__).with_name("agents")
SEED, COUNT = 20261121, 1000


class Keeper:
    """A serve function that keeps heads and bodies byte by byte, and says which one it was."""

    def __init__(self):
        self.kept = []
        self.peers = set()

    def __call__(self, sock):
        while head := read_head(sock):
            self.peers.add(sock.getpeername())
            self.kept.append((head, read_exactly(sock, length_of(head))))
            text = f"answer {len(self.kept)}".encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: %d\r\nX-odd:  y \r\n\r\n" % len(text) + text)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A recorded program that sent 1,000 odd bodies, what the server saw of them, and the environment of both."""
    home = tmp_path_factory.mktemp("thousand")
    env = plain_environment(home)
    keeper = Keeper()
    with Server(keeper) as server:
        there = ("--map", f"shop.example=http://127.0.0.1:{server.port}", "--summary", home / "summary.json")
        command = (sys.executable, AGENTS / "odd_bodies.py", SEED, COUNT)
        done = playhead("record", "--name", "odd", *there, "--", *command, env=env)
        assert done.returncode == 0, done.stderr
    assert len(keeper.peers) == 1
    summary = json.loads((home / "summary.json").read_text())
    assert summary["exchanges"] == COUNT
    return env, keeper.kept, done.stdout


def test_1000_fuzzed_bodies_and_heads_reach_the_server_unchanged(thousand):
    """Key order, duplicate keys, odd numbers, escapes, surrogates, spaces, bytes that are no JSON, header order and
    case, over one kept connection."""
    _, kept, _ = thousand
    sent = list(odd_bodies.requests(SEED, COUNT))
    assert len({body for _, body in sent}) == COUNT
    assert max(len(body) for _, body in sent) > 250_000
    assert kept == sent


def test_1000_fuzzed_bodies_are_kept_unchanged(thousand):
    """The recording holds the same bytes, questions and answers."""
    env, _, _ = thousand
    recording = read_recording(find(Store.open(Path(env["PLAYHEAD_STORE"])), "odd").path)
    assert [(e.head, e.body) for e in recording.exchanges] == list(odd_bodies.requests(SEED, COUNT))
    for number, exchange in enumerate(recording.exchanges, 1):
        text = f"answer {number}".encode()
        assert exchange.answer == b"HTTP/1.1 200 OK\r\ncontent-LENGTH: %d\r\nX-odd:  y \r\n\r\n" % len(text) + text


def test_inspect_raw_shows_the_bytes_that_were_sent(thousand):
    """`inspect S:k --raw` and its JSON, for the largest bodies and some others."""
    env, _, _ = thousand
    sent = list(odd_bodies.requests(SEED, COUNT))
    largest = sorted(range(COUNT), key=lambda n: -len(sent[n][1]))[:2]
    for number in [*largest, *random.Random(1).sample(range(COUNT), 4)]:
        head, body = sent[number]
        shown = subprocess.run(
            [PLAYHEAD, "inspect", f"odd:{number + 1}", "--raw"], env=env, capture_output=True, check=True
        )
        assert shown.stdout.startswith(head + body + b"\nHTTP/1.1 200 OK\r\ncontent-LENGTH: ")
        raw = json.loads(playhead("inspect", f"odd:{number + 1}", "--raw", "--json", env=env).stdout)["raw"]
        assert base64.b64decode(raw["request"]["bytes"]) == head + body
        assert raw["request"]["head_length"] == len(head)


def test_1000_fuzzed_bodies_are_replayed_identical(thousand):
    """Every one is recognised, in order, and answered with its own bytes."""
    env, _, printed = thousand
    place = Path(env["HOME"]) / "replay.json"
    done = playhead("replay", "--summary", place, "odd", env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == printed
    assert json.loads(place.read_text())["served"] == COUNT


def test_another_seed_of_bodies_is_not_taken_for_these(thousand):
    """The control: the same program with other bodies diverges at the first."""
    env, _, _ = thousand
    command = (sys.executable, AGENTS / "odd_bodies.py", SEED + 1, 3)
    done = playhead("replay", "odd", "--", *command, env=env)
    assert done.returncode == 1
    assert "diverged at step 1" in done.stderr


PIECES = [piece.encode() for piece in ('data: {"a": 1}\n\n', 'data: {"text": "h', "é", 'llo"}\n', "\ndata: x\n\ndata: y\n\n", ": ping\n\n", "z" * 5000, "\n\n", "data: [DONE]\n\n")]  # fmt: skip
PIECES[2:3] = [PIECES[2][:1], PIECES[2][1:]]  # one character in two flushes
PAUSE_S = 0.06


def serve_stream(sock, heard):
    """What is to be flushed, one flush once the one before has been read and a pause is over."""
    pause = threading.Event()
    read_head(sock)
    for number, flush in enumerate(flushed()):
        while number and (not heard.exists() or heard.stat().st_size < number):
            pause.wait(0.002)
        if number:
            pause.wait(PAUSE_S)
        sock.sendall(flush)


@pytest.fixture(scope="module", params=["off", "on"], ids=["wire", "inside"])
def stream(tmp_path_factory, request):
    """A recorded stream: the environment, what its reader printed, and how long it took."""
    home = tmp_path_factory.mktemp("stream")
    env = plain_environment(home, PLAYHEAD_INSIDE=request.param)
    heard = home / "heard"
    with Server(lambda sock: serve_stream(sock, heard)) as server:
        there = ("--map", f"shop.example=http://127.0.0.1:{server.port}")
        command = (sys.executable, AGENTS / "stream_reader.py", home / "took", heard)
        done = playhead("record", "--name", "stream", *there, "--", *command, env=env)
    assert done.returncode == 0, done.stderr
    return env, done.stdout, float((home / "took").read_text())


def flushed():
    """What the server flushed, flush by flush."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in PIECES), b"0\r\n\r\n"]


def test_chunk_boundaries_are_recorded_as_the_server_flushed_them(stream):
    """`inspect --raw --json` has one chunk for each flush, with its length and a rising time; the client saw the same."""
    env, printed, _ = stream
    shown = json.loads(playhead("inspect", "stream:1", "--raw", "--json", env=env).stdout)["raw"]["response"]
    assert [chunk["length"] for chunk in shown["chunks"]] == [len(flush) for flush in flushed()]
    assert base64.b64decode(shown["bytes"]) == b"".join(flushed())
    times = [chunk["t_s"] for chunk in shown["chunks"]]
    assert all(later - earlier > PAUSE_S / 2 for earlier, later in itertools.pairwise(times))
    assert [int(line.split()[0]) for line in printed.splitlines()] == [len(flush) for flush in flushed()]


@pytest.mark.parametrize("speed", ["0", "1", "4"])
def test_replay_delivers_the_same_chunks_at_the_pace_asked_for(stream, speed):
    """`--speed 1` takes about as long as the recording, 4 a quarter, 0 no time; the reads are the same."""
    env, printed, recorded_s = stream
    due_s = recorded_s / float(speed) if speed != "0" else 0.0
    took_s = []
    while not took_s or (took_s[-1] > due_s + 0.3 * recorded_s and len(took_s) < 4):  # a busy machine may be late
        done = playhead("replay", "--speed", speed, "stream", env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout == printed
        took_s.append(float((Path(env["HOME"]) / "took").read_text()))
    assert 0.8 * due_s <= min(took_s) <= due_s + 0.3 * recorded_s
