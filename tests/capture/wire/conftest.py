"""Certificates made once a session, and a rig on either event loop."""

from __future__ import annotations

import pytest

from playhead.capture.wire.authority import Authority
from playhead.capture.wire.rules import UpstreamRules
from tests.capture.wire.rig import LOOPS, Rig, World


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """The engine's authority."""
    return Authority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    """The certificates of the servers."""
    return World.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(params=sorted(LOOPS))
def loop_name(request) -> str:
    """Both event loops in turn."""
    return request.param


@pytest.fixture
def rules(world) -> UpstreamRules:
    """Rules that trust the test world and nothing of this machine's environment."""
    return UpstreamRules.read({}, upstream_ca=world.root)


@pytest.fixture
def rig(authority, rules, loop_name):
    """An engine before the passing tape, on each loop."""
    with Rig(authority, rules, loop=loop_name) as made:
        yield made
