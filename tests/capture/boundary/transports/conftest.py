"""A place where nobody listens."""

import socket

import pytest


@pytest.fixture
def refusing():
    """The URL of a port that is taken and refuses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
