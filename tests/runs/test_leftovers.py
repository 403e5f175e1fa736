"""How long a run waits for what its command left: as long as it sleeps, not as long as the machine keeps it waiting."""

import os
import signal
import subprocess
import sys

import pytest

from playhead.capture.process.rest import Rest
from playhead.capture.process.tree import Tree
from playhead.runs import leftovers
from playhead.runs.leftovers import await_leftovers


class Looks:
    """Counts how often the launcher served on."""

    def __init__(self, then=lambda _count: None):
        self.count = 0
        self.then = then

    def linger(self, bound_s, while_true):
        self.count += 1
        self.then(self.count)


@pytest.fixture
def left():
    """A process of this one's, as a command leaves it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree = Tree(child.pid, os.getpid())
        yield child, tree
        tree.close()
        child.kill()


def test_what_sleeps_is_waited_for_so_long(left, monkeypatch):
    """Ten looks of 50 ms, and it is named."""
    child, tree = left
    monkeypatch.setattr(Rest, "at_rest", lambda _self: True)
    looks = Looks()
    assert [each.pid for each in await_leftovers(looks, tree, 0.5)] == [child.pid]
    assert looks.count == 10


def test_what_waits_for_the_machine_is_given_its_time(left, monkeypatch):
    """It ends long after the bound, and nothing is left."""
    child, tree = left
    monkeypatch.setattr(Rest, "at_rest", lambda _self: False)
    looks = Looks(lambda count: (child.send_signal(signal.SIGKILL), child.wait()) if count == 50 else None)
    assert await_leftovers(looks, tree, 0.5) == []
    assert looks.count == 50


def test_what_never_rests_holds_nobody_for_ever(left, monkeypatch):
    """There is an end to it."""
    child, tree = left
    monkeypatch.setattr(Rest, "at_rest", lambda _self: False)
    monkeypatch.setattr(leftovers, "MOST", 0.001)
    assert [each.pid for each in await_leftovers(Looks(), tree, 0.5)] == [child.pid]


def test_at_once_is_at_once(left):
    """A run that was ended waits for nobody."""
    child, tree = left
    looks = Looks()
    assert [each.pid for each in await_leftovers(looks, tree, 0)] == [child.pid]
    assert looks.count == 0
