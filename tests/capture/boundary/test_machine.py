"""What the agent asks of the machine is answered as it was."""

import os
import platform
import resource
import socket

import pytest

from playhead.capture.boundary import machine
from tests.support.boundaries import Taped, installed


def ask_everything():
    """One of each, with what it is."""
    found = [
        os.cpu_count(),
        os.getloadavg(),
        os.times(),
        os.uname(),
        socket.gethostname(),
        socket.getfqdn(),
        resource.getrusage(resource.RUSAGE_SELF),
        os.uname().sysname,
    ]
    try:
        found.append(os.getlogin())
    except OSError as error:
        found.append((error.errno, error.strerror))
    return found


def test_a_replay_is_told_what_was_recorded(tmp_path):
    """Values, types and errors."""
    with installed(machine):
        taped = Taped(tmp_path)
        recorded = taped.record(ask_everything)
        replayed = taped.replay(ask_everything)
    assert replayed == recorded
    assert [type(each) for each in replayed] == [type(each) for each in recorded]


def test_another_machine_answers_as_the_recorded_one(tmp_path, monkeypatch):
    """Nothing is asked again, neither for `platform`."""

    def run():
        monkeypatch.setattr(platform, "_uname_cache", None)
        return os.cpu_count(), socket.gethostname(), platform.node()

    taped = Taped(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(socket, "gethostname", lambda: "the-recorded-host")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "node-one", "6", "1", "x86_64")))
    with installed(machine):
        assert taped.record(run) == (7, "the-recorded-host", "node-one")
    monkeypatch.setattr(os, "cpu_count", lambda: pytest.fail("asked"))
    monkeypatch.setattr(socket, "gethostname", lambda: pytest.fail("asked"))
    monkeypatch.setattr(os, "uname", lambda: pytest.fail("asked"))
    with installed(machine):
        assert taped.replay(run) == (7, "the-recorded-host", "node-one")
    monkeypatch.undo()
    platform._uname_cache = None


def test_process_ids_are_left_alone():
    """A recorded id would name a stranger."""
    with installed(machine):
        assert os.getpid.__module__ == "posix"
