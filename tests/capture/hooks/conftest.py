"""A model server, a tunnel in the engine's place, and a way to run a program in the child's environment."""

import json
import os
import subprocess
import sys

import pytest

from playhead.capture.environment import RouteChoice, child_environment
from tests.support.clients import NODE
from tests.support.model_server import ModelServer
from tests.support.tunnel import Tunnel


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One model server for all tests of the hooks."""
    with ModelServer(tmp_path_factory.mktemp("model-server")) as server:
        yield server


@pytest.fixture
def tunnel(server):
    """A fresh tunnel, so that what it was asked is one test's."""
    with Tunnel(server) as tunnel:
        yield tunnel


@pytest.fixture
def child(server, tunnel, tmp_path):
    """Run a program recorded by `tunnel`; returns its stdout. A dict on stdout's only line comes back as one."""

    def environment(route=RouteChoice.AUTO, **extra):
        user = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **extra}
        made = child_environment(
            user, port=tunnel.port, run="r", authority_pem=server.pem, bundle=server.pem, route=route
        )
        return made.variables | {"PLAIN": str(server.port)}

    def run(*command, route=RouteChoice.AUTO, env=None):
        env = environment(route) if env is None else env
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def python(code, **options):
        # aiohttp leaves TLS transports to the collector when a program ends: ResourceWarning is its own affair.
        return run(sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", code, **options)

    def node(code, **options):
        return json.loads(run(NODE, "--input-type=module", "-e", code, **options))

    run.python, run.node, run.environment = python, node, environment
    return run
