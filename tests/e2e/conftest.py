"""What end-to-end tests begin with: an environment with nothing in it but an empty home, and a model server."""

import pytest

from tests.support.executable import plain_environment
from tests.support.model_server import ModelServer


@pytest.fixture
def env(home):
    """The environment of a command: as on a fresh machine."""
    return plain_environment(home)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server for all tests of a module."""
    with ModelServer(tmp_path_factory.mktemp("model-server")) as server:
        yield server


@pytest.fixture
def env_with_model(env, server):
    """The same, with the model server's address in MODEL."""
    return env | {"MODEL": server.url}
