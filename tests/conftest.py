"""What holds for every test: nothing leaves this machine, and nothing of the user's own is read or written."""

from __future__ import annotations

import ipaddress
import itertools
import os
import sys
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from pathlib import Path

# How long an example takes, or is made, says something of the machine's load, not of the code.
hypothesis.settings.register_profile("playhead", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("playhead")

_NAMES = {"", "localhost", "ip6-localhost", "0.0.0.0", "::"}
_NEVER_SENT = (".invalid", ".test", ".localhost")
_numbers = itertools.count(1)


class LeftTheMachine(AssertionError):
    """A test tried to reach a host that is not this one."""


def _is_here(host: object) -> bool:
    if host is None:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback or name in _NAMES
    except ValueError:
        return name in _NAMES or name.endswith(_NEVER_SENT)


def _stay_here(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host: object = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        raise LeftTheMachine(f"a test tried to reach {host}")


sys.addaudithook(_stay_here)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long tests, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in set(long)]


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and a store of the test's own, and none of the user's settings."""
    place = _homes / str(next(_numbers))
    place.mkdir()
    for name in list(os.environ):
        if name.startswith("PLAYHEAD_") and name != "PLAYHEAD_RECORDINGS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("PLAYHEAD_STORE", str(place / "store"))
    return place
