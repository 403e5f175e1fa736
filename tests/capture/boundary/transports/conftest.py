"""A model server, a session whose HTTP is carried in this process, and a place where nobody listens."""

import socket

import pytest

from tests.support.carried import Carried
from tests.support.model_server import ModelServer

PATH = "/v1/chat/completions"


def question(text, **more):
    """A request of a chat."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server for all; each answer ends in a number of its own."""
    with ModelServer(tmp_path_factory.mktemp("model-server"), seed=7) as server:
        yield server


@pytest.fixture
def carried(tmp_path):
    """A session to be recorded, and replayed."""
    return Carried(tmp_path / "store")


@pytest.fixture
def refusing():
    """The URL of a port that is taken and refuses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
