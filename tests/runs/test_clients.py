"""Which clients are found in a PATH, and what is said of them."""

import os
import sys
from pathlib import Path

import pytest

from playhead.capture.base_urls import VARIABLES
from playhead.runs import clients
from playhead.runs.clients import EVERYWHERE, PYTHON_PACKAGES, find_clients, missed_by


@pytest.fixture
def place(tmp_path):
    """A PATH of one folder; place(name, line) puts a program there that runs a shell line."""

    def put(name, line):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        return {"PATH": str(tmp_path)}

    put.path = {"PATH": str(tmp_path)}
    return put


def test_nothing_in_path(place):
    """No program, no client."""
    assert find_clients(place.path) == []


def test_python_is_asked_for_its_packages():
    """This interpreter has the SDKs that the tests use, each with its route."""
    found = {client.name: client for client in find_clients({"PATH": str(Path(sys.executable).parent)})}
    assert found["python (urllib)"].version == sys.version.split()[0]
    assert (found["openai"].route, found["openai"].trust) == ("proxy", "SSL_CERT_FILE")
    assert (found["aiohttp"].route, found["urllib3"].route) == ("hook", "hook")
    assert "SigV4" in found["boto3"].missed
    assert all(client.version for client in found.values())


def test_a_base_url_of_the_users_is_the_route():
    """As `record` would replace it."""
    environ = {"PATH": str(Path(sys.executable).parent), "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}
    routes = {client.name: client.route for client in find_clients(environ)}
    assert (routes["anthropic"], routes["openai"]) == ("base-url", "proxy")


def test_base_url_variables_are_ones_that_are_replaced():
    """The table promises no route that the environment does not set."""
    assert {known.base_url for known in PYTHON_PACKAGES.values()} - {""} <= set(VARIABLES)


@pytest.mark.parametrize(
    ("line", "version"), [("echo 3.99 is not JSON", ""), ("exit 3", ""), ("printf '[]'", ""), ("echo", "")]
)
def test_a_python_that_says_nonsense(place, line, version):
    """It is found all the same, and what is not known of it is said."""
    (client,) = find_clients(place("python3", line))
    assert (client.name, client.version) == ("python", version)
    assert "did not say" in client.missed


@pytest.mark.parametrize(
    ("version", "reads_proxy"),
    [
        ("v18.20.1", False),
        ("v20.20.2", False),
        ("v22.20.0", False),
        ("v22.21.1", True),
        ("v23.11.0", False),
        ("v24.5.0", True),
    ],
)
def test_node_by_its_version(place, version, reads_proxy):
    """The preload is the route of every Node; without it newer ones still read proxy variables."""
    (client,) = find_clients(place("node", f"echo {version}"))
    assert (client.route, client.trust) == ("hook", "NODE_EXTRA_CA_CERTS")
    assert ("fetch still reads" in client.missed) == reads_proxy


def test_java_says_more_than_its_version(place):
    """The JVM's remark about its options is no version."""
    line = "echo 'Picked up JAVA_TOOL_OPTIONS: -Da=1.2.3' >&2; echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
    (client,) = find_clients(place("java", line))
    assert client.version == "17.0.15"


def test_clients_that_exempt_localhost(place):
    """Go and Ruby: what to set is said."""
    place("go", "echo go version go1.22.4 linux/amd64")
    found = {client.name: client for client in find_clients(place("ruby", "echo ruby 3.1.2p20"))}
    assert found["go"].version == "1.22.4"
    for name in ("go", "ruby"):
        assert "localhost" in found[name].missed
        assert "OPENAI_BASE_URL" in found[name].missed


def test_a_program_that_does_not_end(place, monkeypatch, tmp_path):
    """It is given up, ended, and listed without a version."""
    monkeypatch.setattr(clients, "_PATIENCE_S", 0.2)
    mark = tmp_path / "pid"
    (client,) = find_clients(place("curl", f"echo $$ >{mark}; exec /bin/sleep 60"))
    assert (client.name, client.version) == ("curl", "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_program_that_cannot_start(place):
    """A broken first line."""
    environ = place("deno", "")
    (Path(environ["PATH"]) / "deno").write_text("#!/nowhere/interpreter\n")
    (client,) = find_clients(environ)
    assert (client.name, client.version) == ("deno", "")


def test_each_reason_is_said_once(place):
    """Clients with the same reason share a line; what holds for all comes last."""
    place("go", "echo 1.22")
    said = missed_by(find_clients(place("ruby", "echo 3.1")))
    assert [names for names, _ in said] == ["go, ruby", *["any client"] * len(EVERYWHERE)]
