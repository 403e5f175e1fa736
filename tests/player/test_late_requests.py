"""Requests of which a process knows the place alone: the wire has what they say."""

from functools import partial

import pytest

from playhead.capture.boundary import calls
from playhead.capture.boundary.transports import passed
from playhead.core.boundary import REQUEST, Diverged
from tests.support.boundaries import Taped, installed


def agent(*acts):
    """A lane of a tool (`t1`, `t2`), requests (`r`) and the pieces of their answers (`p`)."""
    for act in acts:
        if act.startswith("t"):
            calls.call("tool", act, b"", lambda: "done")
        else:
            passed.call("POST model.test", list, REQUEST if act == "r" else passed.PIECE)


@pytest.fixture
def taped(tmp_path):
    """One that a model is asked in, a tool behind it, and a model again."""
    with installed():
        taped = Taped(tmp_path)
        taped.record(partial(agent, "t1", "r", "p", "t2", "r", "p"))
        yield taped


def divergences(taped):
    return [facts["divergence"]["class"] for facts in taped.reports if "divergence" in facts]


def test_a_request_behind_the_tool_that_followed_it_is_told(taped):
    """Each has a place further on in its lane, but the last."""
    taped.replay(partial(agent, "t1", "r", "p", "t2", "r", "p"))
    assert divergences(taped) == []
    with pytest.raises(Diverged):
        taped.replay(partial(agent, "t1", "t2", "r", "r"))
    assert divergences(taped) == ["reordered"]


def test_one_piece_more_behind_a_request_that_is_gone_is_not_told(taped):
    """The lengths of the pieces that are gone are read for those of the next answer; the wire says which request is missing."""
    taped.replay(partial(agent, "t1", "t2", "r", "p", "p"))
    assert divergences(taped) == []
