"""Faults of the world and of the client: recorded as they were, replayed with as many attempts and the same outcome."""

import contextlib
import gzip
import hashlib
import json
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.capture.wire.rig import Server
from tests.e2e.agents.raw_client import length_of, read_exactly, read_head
from tests.support.clients import CLIENTS, KEYS, NODE
from tests.support.executable import plain_environment, playhead
from tests.support.model_server import Behaviour, ModelServer

AGENTS = Path(__file__).with_name("agents")
CLIENTS_HERE = {name: (sys.executable, str(AGENTS / "faults.py"), name) for name in ("openai", "httpx", "requests")}
CLIENTS_HERE |= {f"node-{name}": (NODE, "faults.mjs", name) for name in ("openai", "fetch")}


@contextlib.contextmanager
def closed_port():
    """A port of this machine that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class Lived:
    """One client's run through all its faults: the recording, its replay, and how long each took."""

    def __init__(self, client, folder, server):
        self.client = client
        command = CLIENTS_HERE[client]
        for name in ("recording", "replaying"):
            (folder / name).mkdir()
        if client.startswith("node"):
            shutil.copy(AGENTS / "faults.mjs", folder)
            (folder / "node_modules").symlink_to(CLIENTS / "node" / "node_modules")
        self.env = plain_environment(folder) | KEYS
        server.behave(f"flaky for {client}", Behaviour(status=429, retry_after=0.05), Behaviour())
        hits = server.hits
        there = ("--map", f"api.openai.com={server.tls_url}", "--upstream-ca", str(server.pem))
        place = folder / "summary.json"
        with closed_port() as port:
            nowhere = ("--map", f"refused.example=http://127.0.0.1:{port}")
            arguments = ("record", "--summary", place, "--name", "it", *there, *nowhere, "--", *command)
            began = time.monotonic()
            self.recorded = playhead(*arguments, env=self.env, cwd=folder)
            self.record_s = time.monotonic() - began
        assert self.recorded.returncode == 0, self.recorded.stderr
        self.record_summary = json.loads(place.read_text())
        self.hits = server.hits - hits
        connections = server.connections
        self.summary_file = place
        self.replay()
        self.left_the_tape = server.connections - connections
        shown = playhead("inspect", "it", "--json", env=self.env)
        self.steps = json.loads(shown.stdout)["steps"]
        parts = [part.partition("\n") for part in self.recorded.stdout.split("== ")[1:]]
        self.said = {name: rest for name, _, rest in parts}
        self.retries = "openai" in client

    def replay(self):
        """Replay it, and keep what came of it."""
        began = time.monotonic()
        self.replayed = playhead("replay", "--summary", self.summary_file, "it", env=self.env)
        self.replay_s = time.monotonic() - began
        self.replay_summary = json.loads(self.summary_file.read_text())


_lived = {}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server for all."""
    with ModelServer(tmp_path_factory.mktemp("model-server")) as server:
        yield server


@pytest.fixture
def lived(server, tmp_path_factory, request):
    """The run of one client, made once for all tests of this module."""
    client = request.param
    if client not in _lived:
        _lived[client] = Lived(client, tmp_path_factory.mktemp(client), server)
    return _lived[client]


every_client = pytest.mark.parametrize("lived", sorted(CLIENTS_HERE), indirect=True)


@every_client
def test_a_run_full_of_faults_is_replayed_identical(lived):
    """Every cut, reset, refusal, error, timeout, break and cancellation comes to the same output, offline."""
    assert lived.replayed.returncode == 0, lived.replayed.stderr
    assert lived.replayed.stdout == lived.recorded.stdout
    assert lived.replay_summary["verdict"] == "identical"
    assert lived.replay_summary["divergences"] == lived.replay_summary["unplayed"] == []
    assert lived.left_the_tape == 0


@every_client
def test_as_many_attempts_are_replayed_as_were_made(lived):
    """Every attempt that reached the server, and every refused one, is a step; each is served once."""
    refused = sum(step["ending"] == "refused" for step in lived.steps)
    assert refused == (2 if lived.retries else 1)
    assert len(lived.steps) == lived.hits + refused == lived.record_summary["exchanges"]
    assert lived.replay_summary["served"] == len(lived.steps)


@every_client
def test_the_replay_of_faults_costs_less_than_a_second_of_its_own(lived, server, tmp_path):
    """Beyond what the client itself spends (its waits, its own back-off), a replay adds next to nothing.

    Compared within one recording and its replay, back to back: what else the machine does slows both.
    """
    excess = []
    for attempt in range(4):
        excess.append(lived.replay_s - lived.record_s)
        if excess[-1] < 1.0:
            return
        (folder := tmp_path / str(attempt)).mkdir()
        lived = Lived(lived.client, folder, server)
    raise AssertionError(f"replays took longer than their recordings by {excess} s")


ENDINGS = {
    "cut stream": ["cut"],
    "cut body": ["cut", "cut"],
    "cut before the head": ["cut", "cut"],
    "reset before the head": ["reset", "reset"],
    "reset mid-stream": ["reset"],
    "reset in a body": ["reset", "reset"],
    "refused": ["refused", "refused"],
    "429": ["complete", "complete"],
    "500": ["complete", "complete"],
    "gzip": ["complete"],
    "end of file": ["closed"],
    "timeout before the head": ["abandoned"],
    "timeout mid-stream": ["abandoned"],
    "early break": ["abandoned"],
    "cancel": ["abandoned"],
    "after all that": ["complete"],
}
"""How each attempt of each scenario ends, with a client that tries twice; others try once."""


@every_client
def test_inspect_shows_how_each_exchange_ended(lived):
    """One ending an attempt, in the order of the scenarios; a body that breaks is tried again by Python's SDK only. Node's drops
    the body of an answer that it will ask for again, and whether all of it has come by then is chance."""
    expected, dropped = [], []
    for name, endings in ENDINGS.items():
        twice = lived.retries and not (lived.client == "node-openai" and name in ("cut body", "reset in a body"))
        if name == "cancel" and lived.client == "requests":
            continue
        expected += endings if twice else endings[:1]
        if twice and lived.client == "node-openai" and name in ("429", "500"):
            dropped.append(len(expected) - 2)
    seen = [step["ending"] for step in lived.steps]
    for at in dropped:
        assert seen[at] in ("complete", "abandoned")
        seen[at] = expected[at]
    assert seen == expected
    assert {step["status"] for step in lived.steps if step["ending"] in ("cut", "reset", "refused")} == {"error"}
    assert {step["status"] for step in lived.steps if step["ending"] == "abandoned"} == {"aborted"}


@every_client
def test_a_429_with_retry_after_is_two_attempts_of_an_sdk(lived):
    """The SDKs wait as told and try again; the answer of the second attempt is what they return."""
    rejected = next(n for n, step in enumerate(lived.steps) if step["title"].startswith("429 "))
    if lived.retries:
        assert lived.steps[rejected + 1]["title"].startswith("I heard: flaky")
        assert "I heard: flaky" in lived.said["429"]
    else:
        assert lived.steps[rejected + 1]["title"].startswith("500 ")
        assert "status 429" in lived.said["429"]


CAUGHT = {
    "openai": {"cut stream": "APIConnectionError", "refused": "APIConnectionError", "500": "InternalServerError", "timeout mid-stream": "APITimeoutError", "cancel": "CancelledError"},
    "httpx": {"cut stream": "RemoteProtocolError", "reset in a body": "RemoteProtocolError", "timeout before the head": "ReadTimeout", "cancel": "CancelledError"},
    "requests": {"cut stream": "ChunkedEncodingError", "cut body": "ChunkedEncodingError", "timeout before the head": "ReadTimeout"},
    "node-openai": {"cut before the head": "APIConnectionError", "reset before the head": "ECONNRESET", "timeout before the head": "APIConnectionTimeoutError"},
    "node-fetch": {"cut stream": "UND_ERR_SOCKET", "reset mid-stream": "ECONNRESET", "timeout before the head": "TimeoutError", "cancel": "AbortError"},
}  # fmt: skip
"""What a client says of a fault when nothing stands between it and the server."""


@every_client
def test_a_client_reports_a_fault_as_it_does_alone(lived):
    """A reset is a reset and a cut is a cut to the client, too."""
    for scenario, words in CAUGHT[lived.client].items():
        assert "caught" in lived.said[scenario]
        assert words in lived.said[scenario], scenario
    assert "caught" not in lived.said["early break"]
    assert "caught" not in lived.said["after all that"]


SHAPES = ("kept", "expected", "early", "broken", "ended", "clients")
GZIPPED = gzip.compress(b"pressed " * 100, mtime=0)
ANSWERS = {
    "/head": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
    "/204": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    "/304": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 700\r\n\r\n',
    "/trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;e=1\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
    "/interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/500": b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
    "/gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIPPED) + GZIPPED,
    "/eof": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    "/eof-1.0": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "/refused": b"HTTP/1.1 417 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno.",
    "/early": b"HTTP/1.1 413 Too much\r\nContent-Length: 5\r\n\r\nearly",
}


def serve_shapes(sock):
    """Answers by path; what is not in ANSWERS is echoed as length and digest of the body."""
    while head := read_head(sock):
        path = head.split(b" ")[1].decode()
        if path == "/early":
            read_exactly(sock, 1000)
            sock.sendall(ANSWERS[path])
            if b"X-And: leave" not in head:
                read_exactly(sock, 299_000)
            continue
        if path == "/refused":
            sock.sendall(ANSWERS[path])
            return
        if b"expect: 100-continue" in head.lower():
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = read_chunked(sock) if b"chunked" in head.lower() else read_exactly(sock, length_of(head))
        echo = f"{path} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()
        sock.sendall(ANSWERS.get(path, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(echo) + echo))
        if path.startswith("/eof"):
            return


def read_chunked(sock):
    """A chunked body as it came, up to the end of its trailers."""
    data = b""
    while not (data.startswith(b"0") or b"\r\n0\r\n" in data) or not data.endswith(b"\r\n\r\n"):
        data += sock.recv(1)
    return data


def record_and_replay(folder, env, *command, server, more=()):
    """Both runs of a command whose calls of shop.example go to `server`, and the two summaries."""
    place = folder / "summary.json"
    there = ("--map", f"shop.example=http://127.0.0.1:{server.port}", *more)
    recorded = playhead("record", "--summary", place, "--name", "it", *there, "--", *command, env=env)
    recording = json.loads(place.read_text())
    assert recorded.returncode == 0, recorded.stderr + recorded.stdout
    accepted = server.accepted
    replayed = playhead("replay", "--summary", place, "it", env=env)
    assert server.accepted == accepted
    return recorded, recording, replayed, json.loads(place.read_text())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_of_http_is_replayed_identical(tmp_path, shape):
    """HEAD, 204, 304, interim answers, trailers, pipelining, chunked requests, Expect, answers that come early, bodies
    without a length, compressed ones, requests given up halfway."""
    upload = tmp_path / "upload"
    upload.write_bytes(b"upload " * 40_000)
    env = plain_environment(tmp_path, UPLOAD=str(upload))
    with Server(serve_shapes) as server:
        command = (sys.executable, AGENTS / "shapes.py", shape)
        recorded, _, replayed, verdict = record_and_replay(tmp_path, env, *command, server=server)
    assert replayed.returncode == 0, replayed.stderr + replayed.stdout
    assert replayed.stdout == recorded.stdout
    assert verdict["served"] == verdict["exchanges"] > 0
    assert verdict["unplayed"] == []
