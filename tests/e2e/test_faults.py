"""Faults of the world and of the client: recorded as they were, replayed with as many attempts and the same outcome."""

import json
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.support.clients import CLIENTS, KEYS, NODE
from tests.support.executable import plain_environment, playhead
from tests.support.model_server import Behaviour, ModelServer

AGENTS = Path(__file__).with_name("agents")
CLIENTS_HERE = {name: (sys.executable, str(AGENTS / "faults.py"), name) for name in ("openai", "httpx", "requests")}
CLIENTS_HERE |= {f"node-{name}": (NODE, "faults.mjs", name) for name in ("openai", "fetch")}


def closed_port():
    """A port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


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
        nowhere = ("--map", f"refused.example=http://127.0.0.1:{closed_port()}")
        place = folder / "summary.json"
        arguments = ("record", "--summary", place, "--name", "it", *there, *nowhere, "--", *command)
        began = time.monotonic()
        self.recorded = playhead(*arguments, env=self.env, cwd=folder)
        self.record_s = time.monotonic() - began
        assert self.recorded.returncode == 0, self.recorded.stderr
        self.record_summary = json.loads(place.read_text())
        self.hits = server.hits - hits
        connections = server.connections
        began = time.monotonic()
        self.replayed = playhead("replay", "--summary", place, "it", env=self.env)
        self.replay_s = time.monotonic() - began
        self.replay_summary = json.loads(place.read_text())
        self.left_the_tape = server.connections - connections
        shown = playhead("inspect", "it", "--json", env=self.env)
        self.steps = json.loads(shown.stdout)["steps"]
        parts = [part.partition("\n") for part in self.recorded.stdout.split("== ")[1:]]
        self.said = {name: rest for name, _, rest in parts}
        self.retries = "openai" in client


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
def test_the_replay_of_faults_costs_less_than_a_second_of_its_own(lived):
    """Beyond what the client itself spends (its waits, its own back-off), a replay adds next to nothing."""
    assert lived.replay_s - lived.record_s < 1.0


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
    """One ending an attempt, in the order of the scenarios; a body that breaks is tried again by Python's SDK only."""
    expected = []
    for name, endings in ENDINGS.items():
        twice = lived.retries and not (lived.client == "node-openai" and name in ("cut body", "reset in a body"))
        if name == "cancel" and lived.client == "requests":
            continue
        expected += endings if twice else endings[:1]
    assert [step["ending"] for step in lived.steps] == expected
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
    "openai": {"cut stream": "APIConnectionError", "refused": "APIConnectionError", "500": "InternalServerError", "timeout mid-stream": "APITimeoutError", "cancel": "TimeoutError"},
    "httpx": {"cut stream": "RemoteProtocolError", "reset in a body": "RemoteProtocolError", "timeout before the head": "ReadTimeout", "cancel": "TimeoutError"},
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
