"""Every client, plain and streaming, by base URL and by TLS to the host in its code: recorded, then replayed identical."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import ALL, KEYS
from tests.support.model_server import ModelServer

PLAYHEAD = shutil.which("playhead", path=str(Path(sys.executable).parent)) or "playhead"
CASES = [
    (client, mode, way)
    for client in ALL
    for mode in ("plain", "stream")
    for way in ("base-url", "tls")
    if way == "tls" or client.base_url
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server for all clients."""
    with ModelServer(tmp_path_factory.mktemp("model-server")) as server:
        yield server


@pytest.mark.parametrize(("client", "mode", "way"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_client_is_recorded_and_replayed_identical(server, tmp_path, client, mode, way):
    """One model call is captured by the route meant for it; the replay asks the world nothing and prints the same."""
    bare = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PLAYHEAD_STORE": str(tmp_path / "store"),
    }
    keyed = bare | KEYS | (client.base(server.url) if way == "base-url" else {})
    recording, replaying = tmp_path / "record.json", tmp_path / "replay.json"
    prompt = f"Name three rivers, said {client.name} {mode} {way}."

    def playhead(*arguments, env):
        return subprocess.run([PLAYHEAD, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False)

    there = ("--map", f"{client.host}={server.tls_url}", "--upstream-ca", str(server.pem))
    recorded = playhead(
        "record", "--summary", recording, "--name", "it", *there, "--", *client.command, mode, prompt, env=keyed
    )
    assert recorded.returncode == 0, recorded.stderr
    assert [asked.prompt for asked in server.log].count(prompt) == 1
    seen = json.loads(recording.read_text())
    expected = "base-url" if way == "base-url" else "hook" if client.hooked else "proxy"
    assert {route: count for route, count in seen["routes"].items() if count} == {expected: 1}
    assert seen["llm_calls"] == 1
    assert seen["not_captured"] == []

    before = server.connections
    replayed = playhead("replay", "--summary", replaying, "it", env=bare)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout != ""
    assert json.loads(replaying.read_text())["verdict"] == "identical"
    assert server.connections == before
