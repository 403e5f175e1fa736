"""`playhead doctor` as a user runs it: on this machine, and with canaries that call a model server."""

import json
import sys

import pytest

from tests.support.clients import CLIENTS, KEYS
from tests.support.executable import plain_environment, playhead
from tests.support.model_server import ModelServer

PAST = """
import socket, sys
socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
print("went past")
"""


@pytest.fixture(scope="module")
def server():
    """One model server for all."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def env(tmp_path, server):
    """A plain environment whose temporary files can be looked through; OPENAI_BASE_URL is the model server's."""
    (tmp_path / "tmp").mkdir()
    own = plain_environment(tmp_path, TMPDIR=str(tmp_path / "tmp"), OPENAI_BASE_URL=f"{server.url}/v1", COLUMNS="80")
    return own | KEYS


def nothing_left(tmp_path):
    """No store was made and no temporary folder stayed."""
    return not (tmp_path / "store").exists() and not any((tmp_path / "tmp").iterdir())


def test_this_machine(env, tmp_path):
    """Everything that matters is named, within 80 columns, and nothing is left behind."""
    done = playhead("doctor", env=env | {"HTTPS_PROXY": "http://me:hunter2@proxy:3128", "SSL_CERT_FILE": "/nowhere"})
    assert done.returncode == 0, done.stderr
    for words in (
        *("store", "system roots", "listener", "replay isolation", "connect watch", "completion order"),
        *(
            "event loop",
            "in-process HTTP",
            "record() hears",
            "httpx async",
            "HTTPS_PROXY",
            "proxy:3128",
            "SSL_CERT_FILE",
            "OPENAI_BASE_URL",
            "Clients found",
        ),
        *("openai", "anthropic", "google-genai", "httpx", "requests", "aiohttp", "urllib3", "boto3"),
        *("Would be missed", "python -I", "SigV4", "playhead doctor -- CMD"),
    ):
        assert words in done.stdout, words
    assert "hunter2" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if str(tmp_path) not in line) <= 80
    assert "\x1b" not in done.stdout
    assert nothing_left(tmp_path)


def test_this_machine_as_json(env):
    """One document with the same."""
    done = playhead("doctor", "--json", env=env)
    found = json.loads(done.stdout)
    assert set(found) == {"playhead", "python", "platform", "machine", "settings", "clients", "missed"}
    assert {check["status"] for check in found["machine"]} <= {"ok", "warning"}
    assert {"openai", "boto3"} <= {client["name"] for client in found["clients"]}
    assert {client["route"] for client in found["clients"]} <= {"base-url", "proxy", "hook"}


def test_a_machine_that_cannot_record(env, tmp_path):
    """Exit code 2, with the reason marked, and the rest still looked at."""
    (tmp_path / "store").touch()
    done = playhead("doctor", env=env)
    assert done.returncode == 2
    assert "✗ store" in done.stdout
    assert "--store DIR" in done.stdout
    assert "Clients found" in done.stdout


def test_a_canary_that_is_captured(env, tmp_path, server):
    """Exit code 0; host and route are named; the recording is gone."""
    before = server.hits
    done = playhead("doctor", "--", sys.executable, CLIENTS / "py_openai.py", "plain", env=env)
    assert done.returncode == 0, done.stderr
    assert server.hits == before + 1
    assert f"127.0.0.1:{server.port}" in done.stdout
    assert "1 call by base-url" in done.stdout
    assert "I heard" not in done.stdout
    assert "I heard" in done.stderr
    assert nothing_left(tmp_path)


def test_a_canary_that_misses_something(env, tmp_path):
    """Exit code 1: what went past is named, and what to do."""
    with ModelServer() as other:
        (tmp_path / "past.py").write_text(PAST)
        program = (
            f"{sys.executable} {tmp_path}/past.py {other.port} && exec {sys.executable} {CLIENTS}/py_openai.py plain"
        )
        done = playhead("doctor", "--json", "--", "sh", "-c", program, env=env)
        assert done.returncode == 1, done.stderr
        canary = json.loads(done.stdout)["canary"]
    assert [each["route"] for each in canary["captured"]] == ["base-url"]
    (missed,) = canary["not_captured"]
    assert missed["host"] == f"127.0.0.1:{other.port}"
    assert "went past the recorder" in missed["reason"]
    assert missed["todo"]
    assert canary["exit_code"] == 0
    assert nothing_left(tmp_path)


def test_a_canary_that_calls_nobody(env, tmp_path):
    """Exit code 4, and how to go on."""
    done = playhead("doctor", "--", "echo", "hello", env=env)
    assert done.returncode == 4
    assert "Nothing was captured" in done.stdout
    assert "hello" not in done.stdout.replace("echo hello", "")
    assert nothing_left(tmp_path)


def test_a_canary_that_cannot_start(env, tmp_path):
    """As `record` says it."""
    done = playhead("doctor", "--", "no-such-program", env=env)
    assert done.returncode == 127
    assert "error[command-not-found]" in done.stderr
    assert nothing_left(tmp_path)


def test_a_canary_whose_call_is_refused(env, tmp_path):
    """A refused connection is captured, with what came of it."""
    env["OPENAI_BASE_URL"] = "http://127.0.0.1:1/v1"
    done = playhead("doctor", "--", sys.executable, CLIENTS / "py_urllib.py", "plain", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not answered" in done.stdout
    assert "refused" in done.stdout
    assert nothing_left(tmp_path)
