"""A recorder and a player for boundaries inside this process."""

import pytest

from tests.capture.boundary.tapes import Tapes


@pytest.fixture
def tapes(tmp_path):
    """Neither is on yet; see Tapes."""
    with Tapes(tmp_path) as tapes:
        yield tapes
